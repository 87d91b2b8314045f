"""What runs in a Modal container: one loaded model that answers requests, each at most once.

Modal itself is handed to it: `Claim` is the register of requests, ``environment`` what Modal says of
the container. So everything here runs, and is tested, without Modal.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from inference.contract import (
    UNREPORTED_REGION,
    FailureCode,
    Item,
    ItemAnswer,
    ItemFailure,
    Provenance,
    Reply,
    Request,
)
from inference.modal.spec import DeploymentSpec, Duplicate, Rejected, misfit
from inference.model_files import HubUnreachable, ModelUnavailable
from inference.runtime.chat_runtime import Runtime, answer_each
from inference.runtime.engines import load_runtime

Claim = Callable[[str, str], str]
"""(request id, call id) -> the id of the call that owns the request: the first that claimed it."""

Load = Callable[[], Runtime]


class GpuMissing(RuntimeError):
    """The deployment has a GPU and this container sees none; another container may."""


def load_model(spec: DeploymentSpec, cache_dir: Path | None) -> Runtime:
    """The model on the device that the deployment has. Raises ModelUnavailable, GpuMissing.

    A deployment with a GPU never answers from a CPU instead: it would be slow, and not the same.
    """
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    if spec.gpu and device == "cpu":
        raise GpuMissing(
            f"{spec.deployment} is deployed on {' or '.join(spec.gpu)}, and there is no GPU here"
        )
    return load_runtime(spec.source, device=device, cache_dir=cache_dir)


class ModelServer:
    """One model, in one container.

    Final errors are reported item by item in the reply; what may pass is raised, so that Modal retries.
    """

    def __init__(
        self, spec: DeploymentSpec, *, claim: Claim, load: Load, environment: Mapping[str, str] = os.environ
    ) -> None:
        self._spec = spec
        self._claim = claim
        self._load = load
        self._environment = environment
        self._runtime: Runtime | None = None
        self._answered_before = False

    def warm_up(self) -> None:
        """Load the model. Whatever that raises is raised again to whoever asks, who loads it again, and
        not here: a container that dies while it starts is started again and again, and paid for."""
        try:
            self._runtime = self._load()
        except Exception:  # noqa: BLE001 - a CUDA that is out of memory is a plain RuntimeError, say
            self._runtime = None

    def answer(self, raw: object, call_id: str) -> dict[str, object]:
        """The reply to a request as plain data, or a notice (`read_notice`) why this call has none.

        A request is answered by the call that claims it first, and again only by that one, when
        Modal retries it. Raises HubUnreachable, GpuMissing, DeviceLost, and whatever breaks in the register
        or while the model is loaded.
        """
        cold, self._answered_before = not self._answered_before, True
        try:
            request = Request.model_validate(raw)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            return Rejected(message=f"not a request of this version: {place}: {first['msg']}").model_dump()
        problem = misfit(self._spec, request)
        if problem is not None:
            return Rejected(message=problem).model_dump()
        owner = self._claim(request.id, call_id)
        if owner != call_id:
            return Duplicate(request_id=request.id, duplicate_of=owner).model_dump()
        return self._generate(request, cold).model_dump(mode="json")

    def _generate(self, request: Request, cold: bool) -> Reply:
        started = datetime.now(UTC)
        items: Sequence[ItemAnswer | ItemFailure]
        try:
            runtime = self._runtime = self._runtime or self._load()
        except HubUnreachable:
            raise
        except ModelUnavailable as unavailable:
            items = [_unavailable(item, unavailable) for item in request.items]
            provenance = _provenance_without_model(self._spec)
        else:
            size = request.model.batch_size
            items = answer_each(runtime, request.items, request.parameters, batch_size=size)
            provenance = runtime.provenance(size)
        if request.fresh_start:
            provenance = provenance.model_copy(update={"fresh_start": cold})
        return Reply(
            version=1,
            request_id=request.id,
            region=self._environment.get("MODAL_REGION") or UNREPORTED_REGION,
            cloud=self._environment.get("MODAL_CLOUD_PROVIDER"),
            task_id=self._environment.get("MODAL_TASK_ID"),
            cold_start=cold,
            started_at=started,
            finished_at=datetime.now(UTC),
            provenance=provenance,
            items=tuple(items),
        )


def _unavailable(item: Item, reason: ModelUnavailable) -> ItemFailure:
    return ItemFailure(id=item.id, code=FailureCode.MODEL_UNAVAILABLE, message=str(reason))


def _provenance_without_model(spec: DeploymentSpec) -> Provenance:
    return Provenance(
        model_revision=spec.source.revision,
        weights_sha256=None,
        tokenizer_sha256=None,
        dtype=spec.source.dtype,
        device=None,
        engine=spec.source.engine,
        libraries={},
        batch_size=None,
    )
