"""Executions, calls and attempts as the ledger gives them, without a ledger."""

from datetime import UTC, datetime
from typing import Any

from beacon_pipeline.ledger.records import Attempt, Call, Execution
from beacon_pipeline.ledger.status import AnswerKind, Status
from inference.contract import Deployment, FinishReason, GenerationParameters, Item, ModelSource, Request
from tests.inference.provenance import made_up_provenance

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
REQUEST = Request(
    id="request-1",
    deployment=Deployment(region="eu", model="tiny-qwen"),
    model=ModelSource(id="tiny-qwen", repository="o/m", revision="r", dtype="float32", context_tokens=64),
    parameters=GenerationParameters(max_new_tokens=8),
    items=(Item(id="e1", system_prompt="", prompt="?"),),
)


def a_call(**changes: Any) -> Call:
    """An accepted call that has not ended."""
    values: dict[str, Any] = dict.fromkeys(Call.__dataclass_fields__)
    values |= {"id": "c1", "job_id": "j1", "region": "eu", "model": "tiny-qwen", "provider": "local"}
    values |= {"request": REQUEST, "provider_call_id": "fc-1", "created_at": MOMENT, "replied": False}
    return Call(**values | changes)


def attempts(*calls: Call) -> tuple[Attempt, ...]:
    """One attempt in each call, oldest first."""
    return tuple(
        Attempt(f"a{n}", "e1", n, call.settled_at, None, None, call) for n, call in enumerate(calls, start=1)
    )


def an_execution(status: Status = Status.COMPLETED, **changes: Any) -> Execution:
    """An execution of this status; a completed one has an answer."""
    values: dict[str, Any] = dict.fromkeys(Execution.__dataclass_fields__)
    values |= {"id": "e1", "job_id": "j1", "region": "eu", "model": "tiny-qwen", "question": "math_basic"}
    values |= {"status": status, "queued_at": MOMENT, "updated_at": MOMENT, "attempts": ()}
    values |= {"arm": "regional", "block": 1, "sample": 1}
    if status is Status.COMPLETED:
        values |= {"answer": "56", "answer_kind": AnswerKind.SUBSTANTIVE, "finish_reason": FinishReason.STOP}
        values |= {"executed_region": "eu", "output_tokens": 2, "provenance": made_up_provenance("local", 1)}
    return Execution(**values | changes)
