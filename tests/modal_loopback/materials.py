"""What containers are made of and share: images, mounted files, secrets, volumes, dicts."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from google.protobuf.empty_pb2 import Empty
from grpclib import GRPCError, Status
from modal_proto import api_pb2

from tests.modal_loopback.blobs import Blobs
from tests.modal_loopback.ids import new_id

BUILDER_VERSION = "2025.06"


class Materials:
    """The RPCs of images, mounts, secrets and volumes.

    Nothing is built: a container runs in this Python, with an image's environment variables and the
    files that were mounted or copied. Volumes exist by name only; nothing is mounted at their path.
    """

    def __init__(self, folder: Path, blobs: Blobs, secrets: dict[str, dict[str, str]]) -> None:
        self._files = folder / "files"
        self._files.mkdir(parents=True, exist_ok=True)
        self._blobs = blobs
        self._images: dict[str, api_pb2.Image] = {}
        self._mounts: dict[str, list[api_pb2.MountFile]] = {}
        self._volumes: dict[str, str] = {}  # name -> id
        self._secrets: dict[str, dict[str, str]] = {}  # id -> variables
        self._named_secrets = {name: self._keep_secret(values) for name, values in secrets.items()}

    # For containers.

    def environment(self, definition: api_pb2.Function) -> dict[str, str]:
        """The variables of a function's image and secrets."""
        variables: dict[str, str] = {}
        for image in self._layers(definition.image_id):
            for command in image.dockerfile_commands:
                if command.startswith("ENV "):
                    variables |= dict(word.split("=", 1) for word in shlex.split(command[4:]))
        for secret_id in definition.secret_ids:
            variables |= self._secrets[secret_id]
        return variables

    def unpack(self, definition: api_pb2.Function, root: Path) -> None:
        """Put the files of a function's mounts and image layers under ``root``."""
        layers = [layer.context_mount_id for layer in self._layers(definition.image_id)]
        for mount_id in (*layers, *definition.mount_ids):
            for file in self._mounts.get(mount_id, ()):
                path = root / file.filename.lstrip("/")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.unlink(missing_ok=True)
                path.symlink_to(self._files / file.sha256_hex)

    def dockerfile(self, definition: api_pb2.Function) -> list[str]:
        """The commands that a function's image would be built by, in order."""
        return [
            command for image in self._layers(definition.image_id) for command in image.dockerfile_commands
        ]

    def volumes_of(self, definition: api_pb2.Function) -> dict[str, str]:
        """Where a function mounts which volume: path -> name."""
        names = {volume_id: name for name, volume_id in self._volumes.items()}
        return {mount.mount_path: names[mount.volume_id] for mount in definition.volume_mounts}

    def _layers(self, image_id: str) -> Iterable[api_pb2.Image]:
        """An image's layers, the lowest first."""
        image = self._images.get(image_id)
        if image is not None:
            for base in image.base_images:
                yield from self._layers(base.image_id)
            yield image

    # Images and mounts.

    async def ImageGetOrCreate(
        self, request: api_pb2.ImageGetOrCreateRequest
    ) -> api_pb2.ImageGetOrCreateResponse:
        content = request.image.SerializeToString(deterministic=True)
        image_id = f"im-{hashlib.sha256(content).hexdigest()[:20]}"
        self._images[image_id] = request.image
        return api_pb2.ImageGetOrCreateResponse(
            image_id=image_id,
            result=api_pb2.GenericResult(status=api_pb2.GenericResult.GENERIC_STATUS_SUCCESS),
            metadata=api_pb2.ImageMetadata(image_builder_version=BUILDER_VERSION),
        )

    async def MountBatchedCheckExistence(
        self, request: api_pb2.MountBatchedCheckExistenceRequest
    ) -> api_pb2.MountBatchedCheckExistenceResponse:
        missing = [sha for sha in request.sha256_hex_hashes if not (self._files / sha).exists()]
        return api_pb2.MountBatchedCheckExistenceResponse(missing_sha256_hex_hashes=missing)

    async def MountPutFile(self, request: api_pb2.MountPutFileRequest) -> api_pb2.MountPutFileResponse:
        path = self._files / request.sha256_hex
        if request.WhichOneof("data_oneof") is not None and not path.exists():
            path.write_bytes(self._blobs.content(request))
        return api_pb2.MountPutFileResponse(exists=path.exists())

    async def MountGetOrCreate(
        self, request: api_pb2.MountGetOrCreateRequest
    ) -> api_pb2.MountGetOrCreateResponse:
        mount_id = new_id("mo")
        self._mounts[mount_id] = list(request.files)
        return api_pb2.MountGetOrCreateResponse(
            mount_id=mount_id, handle_metadata=api_pb2.MountHandleMetadata()
        )

    # Secrets and volumes.

    async def SecretGetOrCreate(
        self, request: api_pb2.SecretGetOrCreateRequest
    ) -> api_pb2.SecretGetOrCreateResponse:
        if not request.deployment_name:
            return api_pb2.SecretGetOrCreateResponse(secret_id=self._keep_secret(dict(request.env_dict)))
        if request.deployment_name not in self._named_secrets:
            raise GRPCError(Status.NOT_FOUND, f"no secret named {request.deployment_name!r}")
        return api_pb2.SecretGetOrCreateResponse(secret_id=self._named_secrets[request.deployment_name])

    def _keep_secret(self, variables: dict[str, str]) -> str:
        secret_id = new_id("st")
        self._secrets[secret_id] = variables
        return secret_id

    async def VolumeGetOrCreate(
        self, request: api_pb2.VolumeGetOrCreateRequest
    ) -> api_pb2.VolumeGetOrCreateResponse:
        require_environment(request.environment_name)
        name = request.deployment_name
        creates = request.object_creation_type != api_pb2.OBJECT_CREATION_TYPE_UNSPECIFIED
        if name not in self._volumes and not creates:
            raise GRPCError(Status.NOT_FOUND, f"no volume named {name!r}")
        volume_id = self._volumes.setdefault(name, new_id("vo"))
        return api_pb2.VolumeGetOrCreateResponse(volume_id=volume_id, metadata=self.volume(volume_id))

    async def VolumeCommit(self, request: api_pb2.VolumeCommitRequest) -> api_pb2.VolumeCommitResponse:
        return api_pb2.VolumeCommitResponse()

    async def VolumeReload(self, request: api_pb2.VolumeReloadRequest) -> Empty:
        return Empty()

    def volume(self, object_id: str) -> api_pb2.VolumeMetadata | None:
        """What is known of a volume; None for the id of anything else."""
        names = [name for name, id_ in self._volumes.items() if id_ == object_id]
        return api_pb2.VolumeMetadata(name=names[0]) if names else None


ENVIRONMENTS = ("", "main")


def require_environment(name: str) -> None:
    """Raises GRPCError NOT_FOUND unless there is an environment of this name."""
    if name not in ENVIRONMENTS:
        raise GRPCError(Status.NOT_FOUND, f"Environment '{name}' not found")


class Dicts:
    """The RPCs of `modal.Dict`: entries in memory, keys and values as the client serialized them."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}  # name -> id
        self._entries: dict[str, dict[bytes, bytes]] = {}

    async def DictGetOrCreate(
        self, request: api_pb2.DictGetOrCreateRequest
    ) -> api_pb2.DictGetOrCreateResponse:
        require_environment(request.environment_name)
        name = request.deployment_name
        creates = request.object_creation_type != api_pb2.OBJECT_CREATION_TYPE_UNSPECIFIED
        if name not in self._ids and not creates:
            raise GRPCError(Status.NOT_FOUND, f"no dict named {name!r}")
        dict_id = self._ids.setdefault(name, new_id("di")) if name else new_id("di")
        self._entries.setdefault(dict_id, {})
        return api_pb2.DictGetOrCreateResponse(dict_id=dict_id, metadata=api_pb2.DictMetadata(name=name))

    async def DictUpdate(self, request: api_pb2.DictUpdateRequest) -> api_pb2.DictUpdateResponse:
        entries = self._of(request.dict_id)
        new = [entry for entry in request.updates if entry.key not in entries]
        for entry in new if request.if_not_exists else request.updates:
            entries[entry.key] = entry.value
        return api_pb2.DictUpdateResponse(created=bool(new) or not request.if_not_exists)

    async def DictGet(self, request: api_pb2.DictGetRequest) -> api_pb2.DictGetResponse:
        value = self._of(request.dict_id).get(request.key)
        return api_pb2.DictGetResponse(found=value is not None, value=value)

    async def DictContains(self, request: api_pb2.DictContainsRequest) -> api_pb2.DictContainsResponse:
        return api_pb2.DictContainsResponse(found=request.key in self._of(request.dict_id))

    async def DictPop(self, request: api_pb2.DictPopRequest) -> api_pb2.DictPopResponse:
        value = self._of(request.dict_id).pop(request.key, None)
        return api_pb2.DictPopResponse(found=value is not None, value=value)

    async def DictLen(self, request: api_pb2.DictLenRequest) -> api_pb2.DictLenResponse:
        return api_pb2.DictLenResponse(len=len(self._of(request.dict_id)))

    async def DictClear(self, request: api_pb2.DictClearRequest) -> Empty:
        self._of(request.dict_id).clear()
        return Empty()

    async def DictDelete(self, request: api_pb2.DictDeleteRequest) -> Empty:
        self._entries.pop(request.dict_id, None)
        self._ids = {name: id_ for name, id_ in self._ids.items() if id_ != request.dict_id}
        return Empty()

    async def DictHeartbeat(self, request: api_pb2.DictHeartbeatRequest) -> Empty:
        return Empty()

    async def DictContents(self, request: api_pb2.DictContentsRequest) -> AsyncIterator[api_pb2.DictEntry]:
        for key, value in list(self._of(request.dict_id).items()):
            yield api_pb2.DictEntry(key=key if request.keys else b"", value=value if request.values else b"")

    def _of(self, dict_id: str) -> dict[bytes, bytes]:
        if dict_id not in self._entries:
            raise GRPCError(Status.NOT_FOUND, f"no dict {dict_id}")
        return self._entries[dict_id]
