"""Do the three truths agree? What the provider says, what the ledger says, what Dagster shows. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from beacon_pipeline.ledger.records import Execution
from beacon_pipeline.ledger.status import Status
from inference.contract import CallStatus


@dataclass(frozen=True)
class Shown:
    """What Dagster shows of a partition: its newest materialization's metadata."""

    execution_id: str | None
    status: str | None
    answer_kind: str | None


@dataclass(frozen=True)
class Mismatch:
    """Two truths that differ: what was found, and what a person or the sensor does about it."""

    found: str
    remedy: str


REPORTED_BY_HAND = "it was reported by hand: wipe it in the UI, or ask again in a new job"
RECONCILE = "nothing is lost: launch the partition again, and it attaches to what the provider has"


def mismatch_with_provider(execution: Execution, call_status: CallStatus | None) -> Mismatch | None:
    """Whether the ledger's status can be true, given the provider's word on the newest call.

    ``call_status`` is None where no call was ever accepted. ``unreachable`` contradicts nothing.
    """
    status, call = execution.status, execution.newest_call
    told = (
        f"the ledger says {status.value}, the provider says {call_status.value if call_status else 'nothing'}"
    )
    refused = call is not None and call.replied
    # Another attempt's reply may have come late and won over the newest call.
    answered = any(attempt.call.replied for attempt in execution.attempts)
    if not contradicts(status, call_status, refused=refused, answered=answered):
        return None
    if call_status is None:
        return Mismatch(f"{told}: an answer without a call", "look at the execution's transitions")
    return Mismatch(told, RECONCILE)


def contradicts(status: Status, call_status: CallStatus | None, *, refused: bool, answered: bool) -> bool:
    """Whether a status cannot be true, given the provider's word on the newest call.

    ``refused``: the reply or the refusal of the newest call is on record; ``answered``: that of any
    call of the execution is.
    """
    if call_status is CallStatus.UNREACHABLE:
        return False
    if call_status is None:
        return status is Status.COMPLETED
    match status:
        case Status.COMPLETED:
            return call_status not in (CallStatus.SUCCEEDED, CallStatus.EXPIRED) and not answered
        case Status.FAILED | Status.TIMED_OUT | Status.CANCELLED:
            return call_status is CallStatus.PENDING or (call_status is CallStatus.SUCCEEDED and not refused)
        case Status.DISPATCHED:
            return call_status is not CallStatus.PENDING
        case Status.PENDING:
            return call_status in (CallStatus.PENDING, CallStatus.SUCCEEDED) and not refused


def mismatch_with_dagster(execution: Execution, shown: Shown | None) -> Mismatch | None:
    """Whether Dagster shows of this execution's partition what the ledger says.

    ``shown`` is None where the partition is not materialized. A partition that shows another
    execution, of a newer or an older job, says nothing of this one; one that shows none is of no job.
    """
    completed = execution.status is Status.COMPLETED
    if shown is None:
        if not completed:
            return None
        return Mismatch(
            "the ledger says completed, Dagster shows the partition as not materialized",
            "launch the partition again: it materializes from the record, no model is asked",
        )
    if shown.execution_id is None:
        return Mismatch(
            f"the ledger says {execution.status.value}, Dagster shows a materialization of no execution",
            "launch the partition again: it shows the ledger's record" if completed else REPORTED_BY_HAND,
        )
    if shown.execution_id != execution.id:
        return None
    kind = execution.answer_kind.value if execution.answer_kind else None
    if shown.status == execution.status.value and shown.answer_kind == kind:
        return None
    return Mismatch(
        f"the ledger says {execution.status.value} ({kind or 'no answer'}), "
        f"Dagster shows {shown.status} ({shown.answer_kind or 'no answer'})",
        "launch the partition again: it shows the ledger's record",
    )


def mismatch_of_unknown(shown: Shown) -> Mismatch:
    """A partition that shows an execution which the ledger does not have: its row was deleted, or an
    older ledger was put back. Or it shows none: it was reported by hand."""
    if shown.execution_id is None:
        return Mismatch("Dagster shows a materialization of no execution", REPORTED_BY_HAND)
    return Mismatch(
        f"Dagster shows execution {shown.execution_id}, which the ledger does not have",
        "if this is the right ledger, launch the partition again: it shows the record, or asks anew",
    )


def deployment_problem(execution: Execution) -> str | None:
    """Why the answer may not be used as one of its deployment, region and model, or None."""
    if execution.executed_region not in (None, execution.region):
        return f"asked in {execution.region!r}, executed in {execution.executed_region!r}"
    if execution.provenance and execution.provenance.other_model:
        return f"asked {execution.model!r}, answered by {execution.provenance.served_model!r}"
    return None
