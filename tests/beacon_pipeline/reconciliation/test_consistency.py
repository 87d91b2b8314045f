"""When two truths disagree, over all combinations, and what is then written for a person."""

from itertools import product

import pytest

from beacon_pipeline.ledger.status import AnswerKind, Status
from beacon_pipeline.reconciliation.consistency import (
    RECONCILE,
    REPORTED_BY_HAND,
    Mismatch,
    Shown,
    contradicts,
    deployment_problem,
    mismatch_of_unknown,
    mismatch_with_dagster,
    mismatch_with_provider,
)
from inference.contract import CallStatus
from tests.beacon_pipeline.executions import a_call, an_execution, attempts

# The ledger's status by the provider's word on the newest call (`-`: none was accepted). `no`: both can be
# true; `yes`: they cannot; `reply`, `any`: they cannot, unless the newest call, or any call, has a reply.
CONTRADICTS = """
            -    pending  succeeded  failed  timed_out  cancelled  expired  unreachable
pending     no   reply    reply      no      no         no         no       no
dispatched  no   no       yes        yes     yes        yes        yes      no
completed   yes  any      no         any     any        any        no       no
failed      no   yes      reply      no      no         no         no       no
timed_out   no   yes      reply      no      no         no         no       no
cancelled   no   yes      reply      no      no         no         no       no
"""
TRUTHS, *ROWS = (line.split() for line in CONTRADICTS.strip().splitlines())
CELLS = [
    (row[0], call_status, when) for row in ROWS for call_status, when in zip(TRUTHS, row[1:], strict=True)
]


def test_the_table_has_every_status_and_every_truth() -> None:
    assert {row[0] for row in ROWS} == {status.value for status in Status}
    assert set(TRUTHS) == {"-", *(call_status.value for call_status in CallStatus)}


@pytest.mark.parametrize(("status", "call_status", "when"), CELLS)
def test_which_status_cannot_be_true(status: str, call_status: str, when: str) -> None:
    word = None if call_status == "-" else CallStatus(call_status)
    for refused, answered in product((False, True), repeat=2):
        expected = {"no": False, "yes": True, "reply": not refused, "any": not answered}[when]
        assert contradicts(Status(status), word, refused=refused, answered=answered) is expected


@pytest.mark.parametrize(
    ("status", "calls", "call_status", "remedy"),
    [
        (Status.PENDING, [a_call()], CallStatus.SUCCEEDED, RECONCILE),
        (Status.PENDING, [a_call(replied=True)], CallStatus.SUCCEEDED, None),
        (Status.PENDING, [a_call(replied=True), a_call()], CallStatus.SUCCEEDED, RECONCILE),
        (Status.FAILED, [a_call()], CallStatus.SUCCEEDED, RECONCILE),
        (Status.FAILED, [a_call(), a_call(replied=True)], CallStatus.SUCCEEDED, None),
        (Status.DISPATCHED, [a_call()], CallStatus.FAILED, RECONCILE),
        (Status.DISPATCHED, [a_call()], CallStatus.PENDING, None),
        (Status.COMPLETED, [a_call()], CallStatus.FAILED, RECONCILE),
        (Status.COMPLETED, [a_call(replied=True), a_call()], CallStatus.FAILED, None),
        (Status.COMPLETED, [], None, "look at the execution's transitions"),
        (Status.PENDING, [], None, None),
    ],
)
def test_replies_on_record_are_seen_in_the_attempts(
    status: Status, calls: list, call_status: CallStatus | None, remedy: str | None
) -> None:
    mismatch = mismatch_with_provider(an_execution(status, attempts=attempts(*calls)), call_status)
    assert (mismatch and mismatch.remedy) == remedy
    if mismatch is not None:
        word = call_status.value if call_status else "nothing"
        assert f"the ledger says {status.value}, the provider says {word}" in mismatch.found


LAUNCH = "launch the partition again: it shows the ledger's record"
FROM_RECORD = "launch the partition again: it materializes from the record, no model is asked"


@pytest.mark.parametrize(
    ("status", "shown", "expected"),
    [
        (Status.COMPLETED, Shown("e1", "completed", "substantive"), None),
        (Status.COMPLETED, Shown("another", "failed", None), None),
        (Status.FAILED, None, None),
        (
            Status.COMPLETED,
            None,
            ("the ledger says completed, Dagster shows the partition as not materialized", FROM_RECORD),
        ),
        (
            Status.COMPLETED,
            Shown(None, None, None),
            ("the ledger says completed, Dagster shows a materialization of no execution", LAUNCH),
        ),
        (
            Status.FAILED,
            Shown(None, None, None),
            ("the ledger says failed, Dagster shows a materialization of no execution", REPORTED_BY_HAND),
        ),
        (
            Status.COMPLETED,
            Shown("e1", "completed", "refusal"),
            ("the ledger says completed (substantive), Dagster shows completed (refusal)", LAUNCH),
        ),
        (
            Status.COMPLETED,
            Shown("e1", "failed", "substantive"),
            ("the ledger says completed (substantive), Dagster shows failed (substantive)", LAUNCH),
        ),
        (
            Status.FAILED,
            Shown("e1", "completed", None),
            ("the ledger says failed (no answer), Dagster shows completed (no answer)", LAUNCH),
        ),
        (Status.FAILED, Shown("e1", "failed", None), None),
    ],
)
def test_what_dagster_shows(status: Status, shown: Shown | None, expected: tuple[str, str] | None) -> None:
    found = mismatch_with_dagster(an_execution(status), shown)
    assert found == (None if expected is None else Mismatch(*expected))


def test_what_dagster_shows_and_the_ledger_does_not_have() -> None:
    deleted = mismatch_of_unknown(Shown("e9", "completed", "empty"))
    assert "execution e9, which the ledger does not have" in deleted.found
    assert "launch the partition again" in deleted.remedy
    by_hand = mismatch_of_unknown(Shown(None, None, None))
    assert by_hand == Mismatch("Dagster shows a materialization of no execution", REPORTED_BY_HAND)


def test_a_remedy_names_the_way_out() -> None:
    assert "launch the partition again" in RECONCILE
    assert "wipe it in the UI, or ask again in a new job" in REPORTED_BY_HAND


def test_an_answer_of_another_region_or_model_is_a_problem() -> None:
    sound = an_execution()
    assert sound.provenance is not None
    other = sound.provenance.model_copy(update={"other_model": True, "served_model": "gpt"})
    assert deployment_problem(sound) is None
    assert deployment_problem(an_execution(executed_region=None, provenance=None)) is None
    assert deployment_problem(an_execution(executed_region="us")) == "asked in 'eu', executed in 'us'"
    assert deployment_problem(an_execution(provenance=other)) == "asked 'tiny-qwen', answered by 'gpt'"


def test_an_empty_answer_is_a_completed_one() -> None:
    empty = an_execution(answer="", answer_kind=AnswerKind.EMPTY)
    assert mismatch_with_dagster(empty, Shown("e1", "completed", "empty")) is None
    assert mismatch_with_dagster(empty, Shown("e1", "completed", None)) is not None
