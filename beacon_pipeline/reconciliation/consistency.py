"""Do the provider, the ledger and Dagster agree on an execution? Pure.

A disagreement is what the decision table would change, and its remedy is the text of that step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from beacon_pipeline.execution.decide import (
    Action,
    Attendance,
    ExecutionState,
    MaterializationMatch,
    StatusOf,
    decide,
    deciding_call,
    state_of,
)
from beacon_pipeline.ledger.records import Cell, Execution, Sibling
from beacon_pipeline.ledger.status import AnswerKind, Status
from beacon_pipeline.reconciliation.reconcile import REMEDIES
from inference.contract import CallStatus


@dataclass(frozen=True)
class MaterializedState:
    """What Dagster shows of a partition: its newest materialization's metadata."""

    execution_id: str | None
    status: str | None
    answer_kind: str | None


@dataclass(frozen=True)
class Mismatch:
    """Two records that differ: what was found, and what reconciliation or a person does about it."""

    found: str
    remedy: str


REPORTED_BY_HAND = "it was reported by hand: wipe it in the UI, or ask again in a new job"
NOT_ON_RECORD = (
    "if the ledger was replaced, restore it; else wipe the partition in the UI, or ask anew in a new job"
)


def summary_of_kinds(answers: Sequence[Sibling | Execution]) -> str | None:
    """Which kinds the answers of a cell are: `refusal`, or of several `3 substantive, 2 refusal`."""
    counted = Counter(one.answer_kind for one in answers if one.answer_kind)
    if len(answers) == 1:
        return next((kind.value for kind in counted), None)
    return ", ".join(f"{counted[kind]} {kind.value}" for kind in AnswerKind if counted[kind]) or None


def shown_of(
    execution: Execution, of_cell: Sequence[Sibling | Execution], shown: MaterializedState | None
) -> MaterializedState | None:
    """What a partition shows of one of the executions ``of_cell``: all that the job asked of it, in order.

    A partition sums its executions up, under the id of the first, as soon as all are completed. Until then
    it has nothing to show of them, so that nothing is missing of those that are.
    """
    if len(of_cell) <= 1:
        return shown
    kind = execution.answer_kind.value if execution.answer_kind else None
    itself = MaterializedState(execution.id, execution.status.value, kind)
    ours = shown is not None and shown.execution_id in {one.id for one in of_cell}
    if any(one.status is not Status.COMPLETED for one in of_cell) and not ours:
        return itself if execution.status is Status.COMPLETED else None
    if shown is None or not ours:
        return shown
    agrees = (shown.status, shown.answer_kind) == (Status.COMPLETED.value, summary_of_kinds(of_cell))
    return itself if agrees else MaterializedState(execution.id, shown.status, shown.answer_kind)


def by_cell(executions: Iterable[Execution]) -> dict[Cell, list[Execution]]:
    """Executions by their cell; the order stays."""
    found: dict[Cell, list[Execution]] = {}
    for execution in executions:
        found.setdefault(execution.cell, []).append(execution)
    return found


def materialization_match(execution: Execution, shown: MaterializedState | None) -> MaterializationMatch:
    """What Dagster shows of an execution's partition; ``shown`` is None where it is not materialized."""
    if shown is None:
        return MaterializationMatch.MISSING
    if shown.execution_id != execution.id:
        return MaterializationMatch.OTHER
    kind = execution.answer_kind.value if execution.answer_kind else None
    agrees = (shown.status, shown.answer_kind) == (execution.status.value, kind)
    return MaterializationMatch.AGREES if agrees else MaterializationMatch.DIFFERS


def find_mismatch(
    execution: Execution, shown: MaterializedState | None, status_of: StatusOf, *, budget: int
) -> Mismatch | None:
    """What disagrees about an execution, if anything; with the provider first, to which an answer is lost."""
    return mismatch_with_provider(execution, status_of, budget=budget) or mismatch_with_dagster(
        execution, shown, status_of, budget=budget
    )


def mismatch_with_provider(execution: Execution, status_of: StatusOf, *, budget: int) -> Mismatch | None:
    """Whether the ledger's status can be true, given what the provider says of the execution's calls.

    ``budget`` is the number of attempts that are allowed.
    """
    state = _unattended(execution, None, status_of, budget)
    # Another attempt's reply may have come late and won over the newest call.
    answered = any(attempt.call.replied for attempt in execution.attempts)
    if not contradicts(state, answered=answered):
        return None
    reported = state.call_status.value if state.call_status else "nothing"
    found = f"the ledger says {execution.status.value}, the provider says {reported}"
    if execution.status is Status.COMPLETED:
        return Mismatch(found, REMEDIES[Action.NOTHING])
    return Mismatch(found, REMEDIES[decide(state)])


def contradicts(state: ExecutionState, *, answered: bool) -> bool:
    """Whether a status cannot be true, given what the provider says of the call that decides.

    ``answered``: the reply or the refusal of any call of the execution is on record.
    """
    if state.status is Status.COMPLETED:
        true = (CallStatus.SUCCEEDED, CallStatus.EXPIRED, CallStatus.UNREACHABLE)
        return state.call_status is None or (state.call_status not in true and not answered)
    action = decide(state)
    if state.status is Status.DISPATCHED:
        return action in (Action.SETTLE, Action.REATTACH, Action.DISPATCH, Action.GIVE_UP)
    return action in (Action.SETTLE, Action.REATTACH) or (
        action is Action.FOLLOW and state.call_status is CallStatus.PENDING
    )


def _unattended(
    execution: Execution, shown: MaterializedState | None, status_of: StatusOf, budget: int
) -> ExecutionState:
    """An execution as reconciliation would look at it."""
    deciding = deciding_call(execution, status_of)
    if execution.status is Status.COMPLETED and execution.newest_call:
        deciding = deciding._replace(status=status_of(execution.newest_call))
    return state_of(
        execution,
        deciding,
        budget=budget,
        attended_by=Attendance.NOBODY,
        shown=materialization_match(execution, shown),
    )


def mismatch_with_dagster(
    execution: Execution, shown: MaterializedState | None, status_of: StatusOf, *, budget: int
) -> Mismatch | None:
    """Whether Dagster shows of this execution's partition what the ledger says.

    ``shown`` is None where the partition is not materialized. A partition that shows another
    execution, of a newer or an older job, says nothing of this one; one that shows none is of no job.
    """
    status, completed = execution.status.value, execution.status is Status.COMPLETED
    state = _unattended(execution, shown, status_of, budget)
    remedy = REMEDIES[decide(state)]
    match state.shown:
        case MaterializationMatch.MISSING if completed:
            return Mismatch(
                f"the ledger says {status}, Dagster shows the partition as not materialized", remedy
            )
        case MaterializationMatch.OTHER if shown is not None and shown.execution_id is None:
            found = f"the ledger says {status}, Dagster shows a materialization of no execution"
            return Mismatch(found, remedy if completed else REPORTED_BY_HAND)
        case MaterializationMatch.DIFFERS if shown is not None:
            kind = execution.answer_kind.value if execution.answer_kind else "no answer"
            return Mismatch(
                f"the ledger says {status} ({kind}), "
                f"Dagster shows {shown.status} ({shown.answer_kind or 'no answer'})",
                remedy,
            )
    return None


def mismatch_of_unknown(shown: MaterializedState) -> Mismatch:
    """A partition that shows an execution which the ledger does not have: its row was deleted, or an
    older ledger was put back. Or it shows none: it was reported by hand."""
    if shown.execution_id is None:
        return Mismatch("Dagster shows a materialization of no execution", REPORTED_BY_HAND)
    return Mismatch(
        f"Dagster shows execution {shown.execution_id}, which the ledger does not have", NOT_ON_RECORD
    )


def deployment_problem(execution: Execution) -> str | None:
    """Why the answer may not be used as one of its deployment, region and model, or None."""
    if execution.executed_region not in (None, execution.region):
        return f"asked in {execution.region!r}, executed in {execution.executed_region!r}"
    if execution.provenance and execution.provenance.other_model:
        return f"asked {execution.model!r}, answered by {execution.provenance.served_model!r}"
    return None
