"""Payloads too large for a message, exchanged over HTTP on loopback as Modal does with object storage."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from aiohttp import web
from grpclib import GRPCError, Status
from modal_proto import api_pb2

from tests.modal_loopback.ids import new_id
from tests.modal_loopback.payloads import INLINE_BYTES

MAX_BYTES = 1024**3

Refuses = Callable[[int], int | None]
"""Which download, counted from 1 -> the HTTP status to answer it with, if it is not to be answered."""

Loses = Callable[[int], bool]
"""Which look-up, counted from 1 -> whether the blob is not there."""


class _DataOrBlob(Protocol):
    data: bytes
    data_blob_id: str


class Blobs:
    """Files in ``folder``, each named by its blob id, and the RPCs that hand out their URLs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "blobs"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._refused: dict[str, Refuses] = {}
        self._lost: dict[str, Loses] = {}
        self._lookups: Counter[str] = Counter()
        self._downloads: Counter[str] = Counter()
        self.base_url = ""  # known once the HTTP server listens

    def routes(self) -> list[web.RouteDef]:
        return [web.put("/blobs/{id}", self._put), web.get("/blobs/{id}", self._get)]

    async def BlobCreate(self, request: api_pb2.BlobCreateRequest) -> api_pb2.BlobCreateResponse:
        blob_id = new_id("bl")
        urls = api_pb2.UploadUrlList(items=[self._url(blob_id)])
        return api_pb2.BlobCreateResponse(blob_ids=[blob_id], upload_urls=urls)

    async def BlobGet(self, request: api_pb2.BlobGetRequest) -> api_pb2.BlobGetResponse:
        self._lookups[request.blob_id] += 1
        loses = self._lost.get(request.blob_id)
        lost = loses is not None and loses(self._lookups[request.blob_id])
        if lost or not self._path(request.blob_id).exists():
            raise GRPCError(Status.NOT_FOUND, f"no blob {request.blob_id}")
        return api_pb2.BlobGetResponse(download_url=self._url(request.blob_id))

    def read(self, blob_id: str) -> bytes:
        return self._path(blob_id).read_bytes()

    def content(self, message: _DataOrBlob) -> bytes:
        """The data of a message that has it inline or as a blob."""
        return self.read(message.data_blob_id) if message.data_blob_id else message.data

    def put_away(
        self, result: api_pb2.GenericResult, refuses: Refuses | None = None, loses: Loses | None = None
    ) -> None:
        """Move a result's data to a blob when it is too large to travel inline, or a fault is about it."""
        if len(result.data) > INLINE_BYTES or (result.data and (refuses or loses)):
            blob_id = new_id("bl")
            self._path(blob_id).write_bytes(result.data)
            result.data_blob_id = blob_id
        if refuses and result.data_blob_id:
            self._refused[result.data_blob_id] = refuses
        if loses and result.data_blob_id:
            self._lost[result.data_blob_id] = loses

    def _url(self, blob_id: str) -> str:
        return f"{self.base_url}/blobs/{blob_id}"

    def _path(self, blob_id: str) -> Path:
        return self._folder / Path(blob_id).name

    async def _put(self, request: web.Request) -> web.Response:
        content = await request.read()
        self._path(request.match_info["id"]).write_bytes(content)
        return web.Response(headers={"ETag": f'"{hashlib.md5(content).hexdigest()}"'})

    async def _get(self, request: web.Request) -> web.StreamResponse:
        blob_id = request.match_info["id"]
        self._downloads[blob_id] += 1
        refuses = self._refused.get(blob_id)
        status = refuses(self._downloads[blob_id]) if refuses else None
        if status is not None:
            return web.Response(status=status, text="injected")
        return web.FileResponse(self._path(blob_id))
