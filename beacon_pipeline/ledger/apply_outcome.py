"""What the end of a call changes, decided from plain values before anything is written."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from beacon_pipeline.ledger.records import Completed, Outcome, Retry, Unsuccessful
from beacon_pipeline.ledger.status import Cause, Status
from beacon_pipeline.ledger.transitions import Change

CLEARED: dict[str, Any] = {"failure_code": None, "failure_message": None, "dead_lettered_at": None}


def change_for(
    execution_id: str,
    status: Status,
    outcome: Outcome,
    *,
    attempt_open: bool,
    other_attempt_open: bool,
    cause: Cause,
    at: datetime,
) -> Change | None:
    """The status change that an outcome calls for, or None when it comes late and changes nothing.

    An answer always wins: it completes an execution that was recorded as failed, or whose next
    attempt is already pending or in flight, and that is recorded as a repair. A failure counts
    only for the attempt that is open, and only while the execution is dispatched.
    """
    if isinstance(outcome, Completed):
        if status is Status.COMPLETED:
            return None
        expected = status is Status.DISPATCHED and not other_attempt_open
        return Change(
            execution_id,
            status,
            Status.COMPLETED,
            cause if expected else Cause.REPAIR,
            values=_completed_values(outcome),
        )
    if status is not Status.DISPATCHED or not attempt_open:
        return None
    if isinstance(outcome, Retry):
        return Change(execution_id, status, Status.PENDING, Cause.RETRY, outcome.message, dict(CLEARED))
    return Change(
        execution_id, status, outcome.status, cause, outcome.message, _unsuccessful_values(outcome, at)
    )


def _completed_values(outcome: Completed) -> dict[str, Any]:
    return CLEARED | {
        "answer": outcome.answer,
        "answer_kind": outcome.answer_kind.value,
        "kind_version": outcome.kind_version,
        "finish_reason": outcome.finish_reason.value,
        "prompt_tokens": outcome.prompt_tokens,
        "output_tokens": outcome.output_tokens,
        "output_token_sha256": outcome.output_token_sha256,
        "executed_region": outcome.executed_region,
        "rendered_prompt": outcome.rendered_prompt,
        "reasoning": outcome.reasoning,
        "provenance": outcome.provenance.model_dump(mode="json"),
        "cold_start": outcome.cold_start,
        "started_at": outcome.started_at,
        "completed_at": outcome.completed_at,
    }


def _unsuccessful_values(outcome: Unsuccessful, at: datetime) -> dict[str, Any]:
    return {
        "failure_code": outcome.failure_code.value,
        "failure_message": outcome.message,
        "dead_lettered_at": at if outcome.dead_letter else None,
        "completed_at": at,
    }
