"""What each check of a partition says: its verdict, what it saw, and what to do."""

from typing import Any

import pytest

from beacon_pipeline.execution.decide import Action, on_record
from beacon_pipeline.ledger.status import AnswerKind, Status
from beacon_pipeline.reconciliation.checks import (
    CHECKS,
    CheckInput,
    CheckName,
    CheckOutcome,
    executed_region,
    non_empty_output,
    of_cell,
)
from beacon_pipeline.reconciliation.checks import status_consistency as consistent
from beacon_pipeline.reconciliation.consistency import MaterializedState
from beacon_pipeline.reconciliation.reconcile import REMEDIES
from inference.contract import CallStatus, FinishReason
from tests.beacon_pipeline.executions import MOMENT, a_call, an_execution, attempts

NOTHING = "nothing to do"


def evidence(status: Status = Status.COMPLETED, **changes: Any) -> CheckInput:
    return CheckInput(an_execution(status, **changes), on_record, None, budget=3)


@pytest.mark.parametrize(
    ("looked_at", "passed", "seen", "remedy"),
    [
        (evidence(), True, "substantive answer of 2 characters", NOTHING),
        (evidence(answer_kind=AnswerKind.REFUSAL), True, "refusal answer of 2 characters", NOTHING),
        (evidence(answer_kind=None, answer=None), True, "unknown answer of 0 characters", NOTHING),
        (evidence(Status.FAILED), True, "no answer to look at: the execution is failed", NOTHING),
        (
            evidence(Status.CANCELLED, answer_kind=AnswerKind.EMPTY),
            True,
            "no answer to look at: the execution is cancelled",
            NOTHING,
        ),
        (
            evidence(answer="", answer_kind=AnswerKind.EMPTY, output_tokens=1),
            False,
            "the model generated no visible text (1 tokens, finish reason stop)",
            "the record is right",
        ),
        (
            evidence(answer="", answer_kind=AnswerKind.EMPTY, finish_reason=None),
            False,
            "the model generated no visible text (2 tokens, finish reason unknown)",
            "the record is right",
        ),
        (
            evidence(answer="", answer_kind=AnswerKind.UNFINISHED, finish_reason=FinishReason.LENGTH),
            False,
            "the output ended among the model's thoughts (2 tokens)",
            "raise max_new_tokens",
        ),
        (
            evidence(answer="<think>Well,", finish_reason=FinishReason.LENGTH),
            False,
            "the output ended among the model's thoughts (2 tokens)",
            "raise max_new_tokens",
        ),
    ],
)
def test_an_answer_without_visible_text(looked_at: CheckInput, passed: bool, seen: str, remedy: str) -> None:
    finding = non_empty_output(looked_at)
    assert finding.passed is passed
    assert finding.seen.startswith(seen)
    assert finding.remedy.startswith(remedy)


def test_the_region_and_the_model_are_those_asked() -> None:
    sound = executed_region(evidence())
    assert (sound.passed, sound.seen, sound.remedy) == (True, "asked in 'eu', executed there", NOTHING)
    elsewhere = executed_region(evidence(executed_region="us"))
    assert (elsewhere.passed, elsewhere.seen) == (False, "asked in 'eu', executed in 'us'")
    assert "flagged unusable" in elsewhere.remedy


SHOWN = MaterializedState("e1", "completed", "substantive")


@pytest.mark.parametrize(
    ("status", "call_status", "shown", "passed", "seen", "remedy"),
    [
        (
            Status.COMPLETED,
            CallStatus.SUCCEEDED,
            SHOWN,
            True,
            "provider: succeeded, ledger: completed, Dagster: completed",
            NOTHING,
        ),
        (
            Status.FAILED,
            CallStatus.FAILED,
            None,
            True,
            "provider: failed, ledger: failed, Dagster: nothing",
            NOTHING,
        ),
        (Status.PENDING, None, None, True, "provider: nothing, ledger: pending, Dagster: nothing", NOTHING),
        # The provider comes first: to it an answer is lost.
        (
            Status.FAILED,
            CallStatus.SUCCEEDED,
            SHOWN,
            False,
            "the ledger says failed, the provider says succeeded",
            REMEDIES[Action.SETTLE],
        ),
        (
            Status.COMPLETED,
            CallStatus.SUCCEEDED,
            None,
            False,
            "the ledger says completed, Dagster shows the partition as not materialized",
            REMEDIES[Action.SHOW],
        ),
    ],
)
def test_the_three_truths(
    status: Status,
    call_status: CallStatus | None,
    shown: MaterializedState | None,
    passed: bool,
    seen: str,
    remedy: str,
) -> None:
    ended = attempts(a_call(settled_at=MOMENT)) if call_status else ()
    execution = an_execution(status, attempts=ended)
    finding = consistent(CheckInput(execution, lambda _: call_status, shown, budget=3))
    assert (finding.passed, finding.seen, finding.remedy) == (passed, seen, remedy)


def test_no_call_says_nothing_of_the_provider() -> None:
    """Its outcome would otherwise be one of a call that another execution made."""
    looked_at = CheckInput(an_execution(Status.PENDING), lambda _: CallStatus.SUCCEEDED, None, budget=3)
    assert looked_at.call_status is None


GOOD, LONGER = CheckOutcome(True, "answer of 2 characters"), CheckOutcome(True, "answer of 9 characters")
BAD, WORSE = CheckOutcome(False, "no text", "compare"), CheckOutcome(False, "cut off", "raise the limit")


@pytest.mark.parametrize(
    ("outcomes", "of_all"),
    [
        ([GOOD], GOOD),
        ([BAD], BAD),
        ([GOOD, LONGER, LONGER], CheckOutcome(True, f"all 3 executions; 2 of them: {LONGER.seen}")),
        # One that fails is enough, and the first that does is shown with its remedy.
        ([GOOD, BAD, WORSE], CheckOutcome(False, "2 of 3 executions: no text", "compare")),
        ([BAD, BAD], CheckOutcome(False, "2 of 2 executions: no text", "compare")),
    ],
)
def test_a_partition_passes_where_all_its_executions_do(
    outcomes: list[CheckOutcome], of_all: CheckOutcome
) -> None:
    assert of_cell(outcomes) == of_all


def test_every_check_is_the_one_of_its_name() -> None:
    assert set(CHECKS) == set(CheckName)
    assert all(check.__name__ == name.value for name, check in CHECKS.items())
