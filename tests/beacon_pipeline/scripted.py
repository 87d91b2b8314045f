"""A provider that does what a test says: a fake of the outside world, behind the real protocol."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from inference.contract import (
    CallFailure,
    CallState,
    CallStatus,
    Deployment,
    FailureCode,
    FinishReason,
    Item,
    ItemAnswer,
    ItemFailure,
    ItemResult,
    MalformedReply,
    NotConfigured,
    Reply,
    ReplyUnavailable,
    Request,
    SubmitRejected,
    SubmitUnknown,
    token_digest,
)
from inference.inspection import DeploymentState
from tests.inference.provenance import made_up_provenance

PENDING = CallState(status=CallStatus.PENDING)
SUCCEEDED = CallState(status=CallStatus.SUCCEEDED)
UNREACHABLE = CallState(status=CallStatus.UNREACHABLE, detail="connection refused")


def ended(call_status: CallStatus, code: FailureCode, message: str = "as scripted") -> CallState:
    return CallState(status=call_status, failure=CallFailure(code=code, message=message))


def says(text: str) -> Callable[[Item], ItemResult]:
    """Every item is answered with this text."""

    def answer(item: Item) -> ItemAnswer:
        return ItemAnswer(
            id=item.id,
            text=text,
            finish_reason=FinishReason.STOP,
            prompt_tokens=3,
            output_tokens=2,
            output_token_sha256=token_digest([1, 2]),
            seconds=0.1,
        )

    return answer


def fails(code: FailureCode, message: str = "as scripted") -> Callable[[Item], ItemResult]:
    """Every item fails in this way."""
    return lambda item: ItemFailure(id=item.id, code=code, message=message)


@dataclass
class Behaviour:
    """How one call goes: the answer to its submit, then what each poll is told (the last for ever)."""

    states: Sequence[CallState] = (SUCCEEDED,)
    submit: str = "accepted"  # or "lost", "lost before", "rejected"
    results: Callable[[Item], ItemResult] = field(default_factory=lambda: says("fine"))
    region: str | None = None  # None: where it was asked
    malformed: bool = False
    unavailable_fetches: int = 0
    refused_submits: int = 0  # connections refused before one is taken
    refusals_after_loss: int = 0  # of the same request, sent again after its answer was lost
    duplicate_submits: int = 0


@dataclass
class ScriptedProvider:
    """Goes through ``script``, one behaviour for each distinct request; the last repeats."""

    script: Sequence[Behaviour]
    name: str = "local"
    durable: bool = True
    configured: bool = True
    deployed: bool | None = True  # None: could not be asked
    new_ids: bool = False  # every submit gets an id of its own, that leads to the first call of the request
    requests: list[Request] = field(default_factory=list)  # distinct ones, in order: each one was paid for
    prefix: str = field(default_factory=lambda: uuid.uuid4().hex)  # of the call ids
    polls: int = 0
    cancelled: list[str] = field(default_factory=list)

    def check_configured(self, *deployments: Deployment) -> None:
        if not self.configured:
            raise NotConfigured("no token: log in with `scripted login`")

    async def inspect(self, deployment: Deployment) -> DeploymentState:
        return DeploymentState(found=self.deployed, detail=f"{deployment}: run `scripted deploy`")

    def _behaviour(self, call_id: str) -> Behaviour:
        index = int(call_id.rpartition("-")[2])
        return self.script[min(index, len(self.script) - 1)]

    async def submit(self, request: Request) -> str:
        known = [r.id for r in self.requests]
        first = request.id not in known
        call_id = f"{self.prefix}-{len(known) if first else known.index(request.id)}"
        behaviour = self._behaviour(call_id)
        if behaviour.submit == "rejected":
            self.requests.append(request)
            raise SubmitRejected(CallFailure(code=FailureCode.REJECTED, message="as scripted"))
        if behaviour.refused_submits:
            behaviour.refused_submits -= 1
            raise SubmitUnknown("connection refused")
        if first and behaviour.submit == "lost before":
            behaviour.submit = "accepted"
            raise SubmitUnknown("connection reset")
        if first or not self.durable:
            self.requests.append(request)
        else:
            behaviour.duplicate_submits += 1
        if first and behaviour.submit == "lost":
            raise SubmitUnknown("connection reset")
        if not first and behaviour.refusals_after_loss:
            behaviour.refusals_after_loss -= 1
            raise SubmitRejected(CallFailure(code=FailureCode.REJECTED, message="not found"))
        if self.new_ids and not first:
            return f"again-{behaviour.duplicate_submits}-{call_id}"
        return call_id

    async def poll(self, call_id: str) -> CallState:
        self.polls += 1
        behaviour = self._behaviour(call_id)
        if call_id in self.cancelled:
            return ended(CallStatus.CANCELLED, FailureCode.CANCELLED)
        states = behaviour.states
        if len(states) > 1:
            behaviour.states = states[1:]
        return states[0]

    async def fetch(self, call_id: str, request: Request) -> Reply:
        behaviour = self._behaviour(call_id)
        if behaviour.unavailable_fetches:
            behaviour.unavailable_fetches -= 1
            raise ReplyUnavailable("connection reset")
        if behaviour.malformed:
            raise MalformedReply("items: Field required", "{'text': 'hm'}")
        now = datetime.now(UTC)
        return Reply(
            version=1,
            request_id=request.id,
            region=behaviour.region or request.deployment.region,
            cloud=None,
            task_id="ta-1",
            cold_start=True,
            started_at=now,
            finished_at=now,
            provenance=made_up_provenance("scripted", len(request.items)),
            items=tuple(behaviour.results(item) for item in request.items),
        )

    async def cancel(self, call_id: str) -> None:
        self.cancelled.append(call_id)

    async def close(self) -> None:
        pass
