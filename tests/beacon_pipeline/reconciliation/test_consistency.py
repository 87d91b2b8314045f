"""When two truths disagree, over all combinations, and what is then written for a person."""

from dataclasses import replace
from itertools import product

import pytest

from beacon_pipeline.execution.decide import (
    Action,
    CallStage,
    ExecutionState,
    MaterializationMatch,
    on_record,
)
from beacon_pipeline.ledger.status import AnswerKind, Status
from beacon_pipeline.reconciliation.consistency import (
    REPORTED_BY_HAND,
    MaterializedState,
    Mismatch,
    by_cell,
    contradicts,
    deployment_problem,
    find_mismatch,
    materialization_match,
    mismatch_of_unknown,
    mismatch_with_dagster,
    mismatch_with_provider,
    shown_of,
    summary_of_kinds,
)
from beacon_pipeline.reconciliation.reconcile import REMEDIES
from inference.contract import CallStatus
from tests.beacon_pipeline.executions import MOMENT, a_call, an_execution, attempts

# The ledger's status by what the provider says of the call that decides (`-`: nothing). `no`: both can be
# true; `yes`: they cannot; `final`: they cannot, unless the call's reply was this execution's failure;
# `any`: they cannot, unless any call has a reply.
CONTRADICTS = """
            -    pending  succeeded  failed  timed_out  cancelled  expired  unreachable
pending     no   final    final      no      no         no         no       no
dispatched  no   no       yes        yes     yes        yes        yes      no
completed   yes  any      no         any     any        any        no       no
failed      no   final    final      no      no         no         no       no
timed_out   no   final    final      no      no         no         no       no
cancelled   no   final    final      no      no         no         no       no
"""
TRUTHS, *ROWS = (line.split() for line in CONTRADICTS.strip().splitlines())
CELLS = [
    (row[0], call_status, when) for row in ROWS for call_status, when in zip(TRUTHS, row[1:], strict=True)
]


def test_the_table_has_every_status_and_every_report() -> None:
    assert {row[0] for row in ROWS} == {status.value for status in Status}
    assert set(TRUTHS) == {"-", *(call_status.value for call_status in CallStatus)}


@pytest.mark.parametrize(("status", "call_status", "when"), CELLS)
def test_which_status_cannot_be_true(status: str, call_status: str, when: str) -> None:
    known = None if call_status == "-" else CallStatus(call_status)
    for final, answered in product((False, True), repeat=2):
        stage = CallStage.REFUSED if final else CallStage.ENDED
        if status == "dispatched":
            stage = CallStage.ACCEPTED
        state = ExecutionState(Status(status), stage, known, 1, 3)
        expected = {"no": False, "yes": True, "final": not final, "any": not answered}[when]
        assert contradicts(state, answered=answered) is expected


def test_dispatched_with_no_call_in_flight_cannot_be_true() -> None:
    for attempts_made, stage in product((0, 3), (CallStage.NONE, CallStage.REFUSED)):
        assert contradicts(ExecutionState(Status.DISPATCHED, stage, None, attempts_made, 3), answered=False)


def test_an_earlier_call_that_runs_after_all_contradicts_an_end() -> None:
    state = ExecutionState(Status.FAILED, CallStage.EARLIER, CallStatus.PENDING, 2, 3)
    assert contradicts(state, answered=False)


LOST = {"failure_code": "worker_lost"}


@pytest.mark.parametrize(
    ("status", "calls", "failures", "call_status", "step"),
    [
        (Status.PENDING, [a_call()], [LOST], CallStatus.SUCCEEDED, Action.SETTLE),
        (Status.PENDING, [a_call(replied=True)], [LOST], CallStatus.SUCCEEDED, None),
        (Status.PENDING, [a_call(replied=True), a_call()], [LOST, LOST], CallStatus.SUCCEEDED, Action.SETTLE),
        (Status.FAILED, [a_call()], [LOST], CallStatus.SUCCEEDED, Action.SETTLE),
        (Status.FAILED, [a_call()], [LOST], CallStatus.PENDING, Action.REATTACH),
        (Status.FAILED, [a_call(), a_call(replied=True)], [LOST, LOST], None, None),
        # Another hand turned the status: the reply with the answer was read.
        (Status.FAILED, [a_call(replied=True)], [{}], CallStatus.SUCCEEDED, Action.SETTLE),
        (Status.DISPATCHED, [a_call()], [{"settled_at": None}], CallStatus.FAILED, Action.SETTLE),
        (Status.DISPATCHED, [a_call()], [{"settled_at": None}], CallStatus.PENDING, None),
        (Status.DISPATCHED, [], [], None, Action.DISPATCH),
        (Status.COMPLETED, [a_call()], [{}], CallStatus.FAILED, Action.NOTHING),
        (Status.COMPLETED, [a_call(replied=True), a_call()], [{}, {}], CallStatus.FAILED, None),
        (Status.COMPLETED, [], [], None, Action.NOTHING),
        (Status.PENDING, [], [], None, None),
    ],
)
def test_the_remedy_is_that_of_the_step_that_the_table_takes(
    status: Status, calls: list, failures: list, call_status: CallStatus | None, step: Action | None
) -> None:
    made = tuple(
        replace(attempt, **{"settled_at": MOMENT} | changes)
        for attempt, changes in zip(attempts(*calls), failures, strict=True)
    )
    execution = an_execution(status, attempts=made)
    mismatch = mismatch_with_provider(execution, lambda _: call_status, budget=3)
    assert (mismatch and mismatch.remedy) == (REMEDIES[step] if step else None)
    if mismatch is not None:
        reported = call_status.value if call_status else "nothing"
        assert mismatch.found == f"the ledger says {status.value}, the provider says {reported}"


def test_an_answer_of_an_earlier_call_is_lost_whatever_became_of_the_newest() -> None:
    earlier, newest = a_call(id="c1"), a_call(id="c2")
    made = tuple(replace(attempt, settled_at=MOMENT) for attempt in attempts(earlier, newest))
    said = {"c1": CallStatus.SUCCEEDED, "c2": CallStatus.FAILED}
    failed = an_execution(Status.FAILED, attempts=made)
    lost = mismatch_with_provider(failed, lambda call: said[call.id], budget=3)
    assert lost == Mismatch("the ledger says failed, the provider says succeeded", REMEDIES[Action.SETTLE])
    # What is completed without a reply on record is held against its newest call, the one it would be of.
    completed = mismatch_with_provider(an_execution(attempts=made), lambda call: said[call.id], budget=3)
    assert completed is not None
    assert completed.found == "the ledger says completed, the provider says failed"


@pytest.mark.parametrize(
    ("status", "shown", "found", "remedy"),
    [
        (Status.COMPLETED, MaterializedState("e1", "completed", "substantive"), None, None),
        (Status.COMPLETED, MaterializedState("another", "failed", None), None, None),
        (Status.FAILED, None, None, None),
        (
            Status.COMPLETED,
            None,
            "the ledger says completed, Dagster shows the partition as not materialized",
            REMEDIES[Action.SHOW],
        ),
        (
            Status.COMPLETED,
            MaterializedState(None, None, None),
            "the ledger says completed, Dagster shows a materialization of no execution",
            REMEDIES[Action.SHOW],
        ),
        (
            Status.FAILED,
            MaterializedState(None, None, None),
            "the ledger says failed, Dagster shows a materialization of no execution",
            REPORTED_BY_HAND,
        ),
        (
            Status.COMPLETED,
            MaterializedState("e1", "completed", "refusal"),
            "the ledger says completed (substantive), Dagster shows completed (refusal)",
            REMEDIES[Action.SHOW],
        ),
        (
            Status.COMPLETED,
            MaterializedState("e1", "failed", "substantive"),
            "the ledger says completed (substantive), Dagster shows failed (substantive)",
            REMEDIES[Action.SHOW],
        ),
        (
            Status.FAILED,
            MaterializedState("e1", "completed", None),
            "the ledger says failed (no answer), Dagster shows completed (no answer)",
            REMEDIES[Action.DISPATCH],
        ),
        (Status.FAILED, MaterializedState("e1", "failed", None), None, None),
    ],
)
def test_what_dagster_shows(
    status: Status, shown: MaterializedState | None, found: str | None, remedy: str | None
) -> None:
    mismatch = mismatch_with_dagster(an_execution(status), shown, on_record, budget=3)
    assert mismatch == (Mismatch(found, remedy) if found and remedy else None)


def test_the_remedy_of_what_dagster_shows_knows_the_budget_and_the_acknowledged() -> None:
    shown = MaterializedState("e1", "completed", None)
    failed = an_execution(Status.FAILED)
    spent = mismatch_with_dagster(failed, shown, on_record, budget=0)
    assert spent is not None
    assert spent.remedy == REMEDIES[Action.GIVE_UP]
    dead = mismatch_with_dagster(replace(failed, dead_lettered_at=MOMENT), shown, on_record, budget=3)
    assert dead is not None
    assert dead.remedy == REMEDIES[Action.NOTHING]


def test_the_provider_comes_before_dagster() -> None:
    execution = an_execution(Status.FAILED, attempts=(replace(attempts(a_call())[0], settled_at=MOMENT),))
    shown = MaterializedState("e1", "completed", None)
    with_provider = find_mismatch(execution, shown, lambda _: CallStatus.SUCCEEDED, budget=3)
    with_dagster = find_mismatch(execution, shown, lambda _: CallStatus.FAILED, budget=3)
    assert with_provider is not None
    assert with_dagster is not None
    assert "the provider says succeeded" in with_provider.found
    assert "Dagster shows completed" in with_dagster.found
    assert find_mismatch(execution, None, lambda _: CallStatus.FAILED, budget=3) is None


@pytest.mark.parametrize(
    ("shown", "state"),
    [
        (None, MaterializationMatch.MISSING),
        (MaterializedState("e1", "completed", "substantive"), MaterializationMatch.AGREES),
        (MaterializedState("e1", "completed", "empty"), MaterializationMatch.DIFFERS),
        (MaterializedState("e1", "failed", "substantive"), MaterializationMatch.DIFFERS),
        (MaterializedState("e2", "completed", "substantive"), MaterializationMatch.OTHER),
        (MaterializedState(None, None, None), MaterializationMatch.OTHER),
    ],
)
def test_what_a_partition_shows_of_an_execution(
    shown: MaterializedState | None, state: MaterializationMatch
) -> None:
    assert materialization_match(an_execution(), shown) is state


def test_what_dagster_shows_and_the_ledger_does_not_have() -> None:
    deleted = mismatch_of_unknown(MaterializedState("e9", "completed", "empty"))
    assert "execution e9, which the ledger does not have" in deleted.found
    assert "restore" in deleted.remedy
    assert "ask anew in a new job" in deleted.remedy
    by_hand = mismatch_of_unknown(MaterializedState(None, None, None))
    assert by_hand == Mismatch("Dagster shows a materialization of no execution", REPORTED_BY_HAND)
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
    assert (
        mismatch_with_dagster(empty, MaterializedState("e1", "completed", "empty"), on_record, budget=3)
        is None
    )
    assert (
        mismatch_with_dagster(empty, MaterializedState("e1", "completed", None), on_record, budget=3)
        is not None
    )


OTHERS = "another execution", "completed", "substantive"
WHOLE = "e1", "completed", "2 substantive, 1 refusal"
ITSELF = "e2", "completed", "substantive"


@pytest.mark.parametrize(
    ("statuses", "shown", "expected"),
    [
        ("completed completed completed", None, None),
        ("completed completed completed", WHOLE, ITSELF),
        ("completed completed completed", OTHERS, OTHERS),
        ("completed completed completed", (None, None, None), (None, None, None)),
        (
            "completed completed completed",
            ("e1", "completed", "3 substantive"),
            ("e2", "completed", "3 substantive"),
        ),
        ("completed completed completed", ("e1", "failed", None), ("e2", "failed", None)),
        # A cell that is not whole has nothing to show: nothing is missing of the ones that are.
        ("completed completed failed", None, ITSELF),
        ("completed completed pending", OTHERS, ITSELF),
        ("completed completed pending", WHOLE, ("e2", *WHOLE[1:])),
        ("completed dispatched completed", None, None),
        ("completed failed completed", OTHERS, None),
    ],
)
def test_what_a_partition_shows_of_one_of_its_executions(
    statuses: str, shown: tuple[str | None, ...] | None, expected: tuple[str | None, ...] | None
) -> None:
    of_cell = [
        an_execution(Status(status), id=f"e{number}", sample=number)
        for number, status in enumerate(statuses.split(), start=1)
    ]
    if of_cell[2].status is Status.COMPLETED:
        of_cell[2] = replace(of_cell[2], answer_kind=AnswerKind.REFUSAL)
    found = shown_of(of_cell[1], of_cell, shown and MaterializedState(*shown))
    assert found == (expected and MaterializedState(*expected))


@pytest.mark.parametrize(
    "shown", [None, MaterializedState(*OTHERS), MaterializedState("e1", "completed", "refusal")]
)
@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED])
def test_a_partition_of_one_execution_is_taken_as_it_is(
    status: Status, shown: MaterializedState | None
) -> None:
    alone = an_execution(status)
    assert shown_of(alone, [alone], shown) == shown


@pytest.mark.parametrize(
    ("kinds", "summary"),
    [
        ([AnswerKind.REFUSAL], "refusal"),
        ([None], None),
        ([None, None], None),
        ([AnswerKind.EMPTY, AnswerKind.EMPTY], "2 empty"),
        # In the order of the vocabulary, which is not that of the answers; without those that have none.
        ([AnswerKind.EMPTY, None, AnswerKind.SUBSTANTIVE], "1 substantive, 1 empty"),
    ],
)
def test_the_kinds_of_a_partition_in_short(kinds: list[AnswerKind | None], summary: str | None) -> None:
    assert summary_of_kinds([an_execution(answer_kind=kind) for kind in kinds]) == summary


def test_executions_are_grouped_by_their_cell() -> None:
    first, other, second = an_execution(id="a"), an_execution(id="b", region="us"), an_execution(id="c")
    assert list(by_cell([first, other, second]).items()) == [
        (first.cell, [first, second]),
        (other.cell, [other]),
    ]
