"""What heals an execution whose truths disagree: a pure function of values.

`decide` says what a run does with an execution it works on; `reconcile` says whether a run has to
work on it at all, given what Dagster shows. `docs/reconciliation.md` is its table, rendered from
the test that holds it over every combination.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from beacon_pipeline.execution.decide import Action, CallStage, Facts, decide
from beacon_pipeline.ledger.status import Status
from inference.contract import CallStatus


class View(StrEnum):
    """What Dagster shows of an execution's partition."""

    UNDER_WAY = "under_way"  # a run that works on the partition is queued or running
    MISSING = "missing"  # the partition is not materialized
    AGREES = "agrees"  # it shows this execution as the ledger has it
    DIFFERS = "differs"  # it shows this execution, but not as the ledger has it
    OTHER = "other"  # it shows another execution, or none that the ledger knows


class Healing(StrEnum):
    """What brings the truths together."""

    NOTHING = "nothing"  # they agree, or the end was told to a person
    WAIT = "wait"  # somebody works on it, or the provider cannot be asked: unknown is not failed
    ATTACH = "attach"  # a run follows the call that is there and settles it: no GPU is paid
    REDISPATCH = "redispatch"  # a run makes a new attempt, within the budget
    CORRECT_DAGSTER = "correct_dagster"  # a run materializes the partition from the record
    DEAD_LETTER = "dead_letter"  # the budget is spent: end it, and tell someone

    @property
    def needs_run(self) -> bool:
        return self in (Healing.ATTACH, Healing.REDISPATCH, Healing.CORRECT_DAGSTER)


@dataclass(frozen=True)
class Case:
    """All that `reconcile` looks at.

    ``facts.call_status`` is the provider's word on the newest call, None where no call was accepted.
    ``unattended``: nobody has touched it within its deadline, or the run that worked on it is gone.
    ``newest``: no newer job asks the same. ``told``: a person cancelled it, or it is a dead letter.
    """

    facts: Facts
    view: View
    unattended: bool
    newest: bool
    told: bool


def reconcile(case: Case) -> Healing:
    """What heals one execution. Total: every combination has an answer."""
    if case.view is View.UNDER_WAY:
        return Healing.WAIT
    match case.facts.status:
        case Status.COMPLETED:
            # A partition shows its newest execution; an older one has nothing to correct there.
            stale = case.newest and case.view is not View.AGREES
            return Healing.CORRECT_DAGSTER if stale else Healing.NOTHING
        case Status.PENDING | Status.DISPATCHED:
            return _unsettled(case.facts) if case.unattended else Healing.WAIT
        case Status.FAILED | Status.TIMED_OUT | Status.CANCELLED:
            return _ended(case)


def _unsettled(facts: Facts) -> Healing:
    match decide(facts):
        case Action.SETTLE | Action.RESUBMIT | Action.REATTACH:
            return Healing.ATTACH
        case Action.WAIT if facts.call_status is CallStatus.PENDING:
            return Healing.ATTACH  # it runs, and nobody is there to read its answer
        case Action.WAIT | Action.ASK:
            return Healing.WAIT
        case Action.DISPATCH | Action.INTERRUPT | Action.GIVE_UP | Action.NOTHING:
            return _next_attempt(facts)


def _ended(case: Case) -> Healing:
    if case.facts.stage is CallStage.ACCEPTED:
        # The end on record came from no reply: the provider may know better.
        match case.facts.call_status:
            case CallStatus.SUCCEEDED | CallStatus.PENDING:
                return Healing.ATTACH
            case None | CallStatus.UNREACHABLE:
                return Healing.WAIT
            case _:
                pass
    return Healing.NOTHING if case.told else _next_attempt(case.facts)


def _next_attempt(facts: Facts) -> Healing:
    return Healing.REDISPATCH if facts.attempts < facts.budget else Healing.DEAD_LETTER
