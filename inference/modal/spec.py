"""What is deployed to Modal, and the words that asker and container share. Plain values, no Modal.

Whoever deploys writes a manifest, a list of `DeploymentSpec`, and names it in
``INFERENCE_DEPLOYMENTS``. A container gets its own spec, whole, in ``INFERENCE_DEPLOYMENT``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from inference.contract import Deployment, Engine, ModelSource, Request, Value

APP_NAME = "beacon"
REGISTER_NAME = "beacon-requests"  # a Modal Dict: request id -> the call that runs it
WEIGHTS_VOLUME = "beacon-weights"
CACHE_VOLUME = "beacon-cache"  # what vLLM compiled

MANIFEST_VARIABLE = "INFERENCE_DEPLOYMENTS"
OWN_SPEC_VARIABLE = "INFERENCE_DEPLOYMENT"


# What a container needs, pinned with the application to the last dependency: whoever deploys need not have
# it installed, and the image is the same next year. vLLM pins a transformers of its own. The .in files name
# what is used; the others are made of them by
# uv pip compile requirements.in --python-version 3.11 --python-platform x86_64-manylinux_2_28 --no-header
# --no-annotate -o requirements.txt
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
REQUIREMENTS_OF_VLLM = Path(__file__).with_name("requirements-vllm.txt")


class NoDeployments(Exception):
    """Nothing says what to deploy; the message says how to supply it."""


class DeploymentSpec(Value):
    """One model in one region, as a Modal class is made of it."""

    deployment: Deployment
    source: ModelSource
    placement: str = Field(min_length=1)  # the region as Modal knows it
    gpu: tuple[str, ...] = Field(default=(), strict=False)  # in order of preference; empty: CPU
    cpu_cores: float | None = Field(default=None, gt=0)  # None: as Modal has it
    memory_mib: int = Field(gt=0)
    timeout_seconds: int = Field(gt=0)  # of one call
    startup_timeout_seconds: int = Field(gt=0)
    scaledown_window_seconds: int = Field(gt=0)
    max_containers: int = Field(gt=0)
    retries: int = Field(ge=0)
    gpu_snapshot: bool = False  # a container starts from a snapshot of the loaded model on its GPU
    secrets: tuple[str, ...] = Field(default=(), strict=False)  # names of Modal secrets


_MANIFEST: TypeAdapter[tuple[DeploymentSpec, ...]] = TypeAdapter(tuple[DeploymentSpec, ...])


def write_manifest(path: Path, specs: Sequence[DeploymentSpec]) -> None:
    """Write what is to be deployed, for `declared_deployments` to read."""
    made = path.with_name(f"{path.name}.new")
    try:
        made.write_bytes(_MANIFEST.dump_json(tuple(specs), indent=2))
        made.replace(path)
    except OSError:
        made.unlink(missing_ok=True)  # a full disk leaves no half of one
        raise


def declared_deployments(environment: Mapping[str, str] = os.environ) -> tuple[DeploymentSpec, ...]:
    """What the environment says is deployed: in a container its own spec, else the manifest.

    Raises NoDeployments with the way out.
    """
    own = environment.get(OWN_SPEC_VARIABLE)
    if own is not None:
        return (DeploymentSpec.model_validate_json(own),)
    named = environment.get(MANIFEST_VARIABLE)
    if not named:
        raise NoDeployments(f"{MANIFEST_VARIABLE} names no manifest: `beacon deploy` writes one and uses it")
    try:
        return _MANIFEST.validate_json(Path(named).read_bytes())
    except FileNotFoundError:
        raise NoDeployments(f"{MANIFEST_VARIABLE}: no file {named}: `beacon deploy` writes it") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise NoDeployments(f"{named}: {place}: {first['msg']}: `beacon deploy` writes it anew") from None


def requirements(engine: Engine) -> tuple[str, ...]:
    """What to install in a container, pinned; of torch that is PyPI's build for Linux, with CUDA."""
    file = REQUIREMENTS_OF_VLLM if engine == "vllm" else REQUIREMENTS
    return tuple(file.read_text(encoding="utf-8").split())


def gpu_spelling(name: str) -> str:
    """A GPU as Modal tells it: in capitals, with its count unless that is one. ``l4:1`` is ``L4``."""
    kind, _, count = name.strip().partition(":")
    return kind.upper() if count.strip() in ("", "1") else f"{kind.upper()}:{count.strip()}"


def settings_of(spec: DeploymentSpec) -> dict[str, str]:
    """How a deployment is to be, in the words in which Modal tells how it is."""
    return settings(
        regions=(spec.placement,),
        gpus=spec.gpu,
        timeout=spec.timeout_seconds,
        memory_mib=spec.memory_mib,
        retries=spec.retries,
    )


def settings(
    *,
    regions: Iterable[str],
    gpus: Iterable[str],
    timeout: int,
    memory_mib: int | None,
    retries: int | None,
) -> dict[str, str]:
    """The settings that can be compared, as words: all that the SDK's ``info()`` tells of what we set."""
    return {
        "region": ", ".join(regions) or "any",
        "gpu": ", ".join(map(gpu_spelling, gpus)) or "none",
        "timeout": f"{timeout} s",
        "memory": f"{memory_mib} MiB" if memory_mib else "as it comes",
        "retries": str(retries or 0),
    }


def class_name(deployment: Deployment) -> str:
    """The name of a deployment's class in the Modal app: ``eu:mistral-7b`` is ``eu__mistral_7b``.

    A Python identifier, and no two deployments share one: a dash between letters or digits becomes
    one underscore, everything else that an identifier cannot have is spelled in capitals, which
    ids have not (``.`` is ``D``, a dash elsewhere ``H``, an underscore ``U``).
    """
    name = f"{_spelled(deployment.region)}__{_spelled(deployment.model)}"
    return f"N{name}" if name[0].isdigit() else name


def fresh_class_name(deployment: Deployment) -> str:
    """The name of a deployment's second class, each of whose containers answers one call and ends."""
    return f"{class_name(deployment)}__fresh"


_CAPITALS = {".": "D", "-": "H", "_": "U"}


def _spelled(text: str) -> str:
    parts = re.split(r"(?<=[a-z0-9])-(?=[a-z0-9])", text)
    return "_".join(re.sub(r"[^a-z0-9]", _in_capitals, part) for part in parts)


def _in_capitals(found: re.Match[str]) -> str:
    return _CAPITALS.get(found[0]) or f"X{ord(found[0]):x}Z"


# What a container says instead of a reply.


class Duplicate(Value):
    """Another call had claimed the request before: that call has, or will have, the reply."""

    kind: Literal["duplicate"] = "duplicate"
    version: Literal[1] = 1
    request_id: str
    duplicate_of: str  # the call id


class Rejected(Value):
    """The request does not fit what is deployed: nothing was generated."""

    kind: Literal["rejected"] = "rejected"
    version: Literal[1] = 1
    message: str


_NOTICE: TypeAdapter[Duplicate | Rejected] = TypeAdapter(
    Annotated[Duplicate | Rejected, Field(discriminator="kind")]
)


def read_notice(raw: object) -> Duplicate | Rejected | None:
    """What a container returned instead of a reply, or None when this is a reply, or meant as one."""
    try:
        return _NOTICE.validate_python(raw)
    except ValidationError:
        return None


def misfit(spec: DeploymentSpec, request: Request) -> str | None:
    """Why a deployment cannot answer a request, or None. An answer of other weights is no answer."""
    if request.deployment != spec.deployment:
        return f"asked of {request.deployment}, but this is {spec.deployment}"
    # A local folder's path differs from machine to machine; the revision is the digest of its files.
    # The batch size changes nothing of what is loaded: the request's is taken.
    asked, served = request.model, spec.source
    compared = [name for name in ModelSource.model_fields if name not in ("folder", "batch_size")]
    differing = [name for name in compared if getattr(asked, name) != getattr(served, name)]
    if differing:
        listed = ", ".join(
            f"{name} {getattr(asked, name)!r} where {getattr(served, name)!r} is deployed"
            for name in differing
        )
        return f"{spec.deployment}: asked for {listed}: `beacon deploy` brings it up to date"
    return None
