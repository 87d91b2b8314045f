"""What the end of a call changes, over every status, outcome and state of the attempts."""

from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest

from beacon_pipeline.ledger.apply_outcome import change_for
from beacon_pipeline.ledger.records import Outcome, Retry, Unsuccessful
from beacon_pipeline.ledger.status import Cause, Status
from beacon_pipeline.ledger.transitions import Change
from inference.contract import FailureCode
from tests.beacon_pipeline.asking import MOMENT, completed

AT = MOMENT + timedelta(minutes=1)
CLEARED = {"failure_code": None, "failure_message": None, "dead_lettered_at": None}
RETRY = Retry(failure_code=FailureCode.WORKER_LOST, message="gone")
FAILED = Unsuccessful(
    status=Status.TIMED_OUT, failure_code=FailureCode.TIMED_OUT, message="late", dead_letter=True
)
ANSWER = replace(completed("fine"), rendered_prompt="<|user|>?", reasoning="hm", kind_version="4")


def changed(status: Status, outcome: Outcome, *, attempt: bool = True, other: bool = False) -> Change | None:
    return change_for(
        "e1",
        status,
        outcome,
        attempt_open=attempt,
        other_attempt_open=other,
        cause=Cause.REPLY,
        at=AT,
    )


@pytest.mark.parametrize(("status", "attempt", "other"), list(product(Status, (True, False), (True, False))))
def test_an_answer_wins_over_any_other_end_and_is_a_repair_where_it_was_not_expected(
    status: Status, attempt: bool, other: bool
) -> None:
    change = changed(status, ANSWER, attempt=attempt, other=other)
    if status is Status.COMPLETED:
        assert change is None
        return
    assert change is not None
    assert (change.execution_id, change.source, change.target) == ("e1", status, Status.COMPLETED)
    expected = status is Status.DISPATCHED and not other
    assert change.cause is (Cause.REPLY if expected else Cause.REPAIR)
    assert change.detail is None
    assert change.values == CLEARED | {
        "answer": "fine",
        "answer_kind": "substantive",
        "kind_version": "4",
        "finish_reason": "stop",
        "prompt_tokens": 3,
        "output_tokens": 2,
        "output_token_sha256": ANSWER.output_token_sha256,
        "executed_region": "eu",
        "rendered_prompt": "<|user|>?",
        "reasoning": "hm",
        "provenance": ANSWER.provenance.model_dump(mode="json"),
        "cold_start": False,
        "started_at": MOMENT,
        "completed_at": MOMENT,
    }


@pytest.mark.parametrize("outcome", [RETRY, FAILED])
@pytest.mark.parametrize(("status", "attempt"), list(product(Status, (True, False))))
def test_a_failure_counts_only_for_the_attempt_in_flight(
    status: Status, attempt: bool, outcome: Retry | Unsuccessful
) -> None:
    change = changed(status, outcome, attempt=attempt)
    assert (change is not None) == (status is Status.DISPATCHED and attempt)


def test_a_retry_leaves_no_failure_on_the_execution_and_an_end_leaves_its_own() -> None:
    assert changed(Status.DISPATCHED, RETRY) == Change(
        "e1", Status.DISPATCHED, Status.PENDING, Cause.RETRY, "gone", CLEARED
    )
    ended = {"failure_code": "timed_out", "failure_message": "late", "completed_at": AT}
    assert changed(Status.DISPATCHED, FAILED) == Change(
        *("e1", Status.DISPATCHED, Status.TIMED_OUT, Cause.REPLY, "late"), ended | {"dead_lettered_at": AT}
    )
    cancelled = replace(FAILED, dead_letter=False)
    change = changed(Status.DISPATCHED, cancelled)
    assert change is not None
    assert change.values == ended | {"dead_lettered_at": None}
