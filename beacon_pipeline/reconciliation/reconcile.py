"""What brings the provider, the ledger and Dagster together again: the repair of each step. Pure.

The decision is `execution.decide`; this only names what reconciliation does to have it taken, and what a
person reads of it. `docs/reconciliation.md` shows the table with both.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from beacon_pipeline.execution.decide import Action, ExecutionState, decide


class Repair(StrEnum):
    """What reconciliation does about an execution."""

    NOTHING = "nothing"  # provider, ledger and Dagster agree, or only a person may go on
    WAIT = "wait"  # somebody works on it, or the provider cannot be asked: unknown is not failed
    ATTACH = "attach"  # a run follows the call that is there and records its end: no GPU is paid
    REDISPATCH = "redispatch"  # a run makes a new attempt, within the budget
    CORRECT_DAGSTER = "correct_dagster"  # a run materializes the partition from the record
    DEAD_LETTER = "dead_letter"  # the budget is spent: end it, and alert a person

    @property
    def needs_run(self) -> bool:
        return self in (Repair.ATTACH, Repair.REDISPATCH, Repair.CORRECT_DAGSTER)


REPAIRS: Mapping[Action, Repair] = {
    Action.NOTHING: Repair.NOTHING,
    Action.SHOW: Repair.CORRECT_DAGSTER,
    Action.POLL: Repair.WAIT,  # a look has polled already: this one could not be
    Action.WAIT: Repair.WAIT,
    Action.FOLLOW: Repair.ATTACH,
    Action.SETTLE: Repair.ATTACH,
    Action.REATTACH: Repair.ATTACH,
    Action.RESUBMIT: Repair.ATTACH,
    Action.INTERRUPT: Repair.REDISPATCH,
    Action.DISPATCH: Repair.REDISPATCH,
    Action.GIVE_UP: Repair.DEAD_LETTER,
}

# What a person reads. Each says what the table does, and no more.
REMEDIES: Mapping[Action, str] = {
    Action.NOTHING: "no run changes this record: `beacon show` has its path, ask again in a new job",
    Action.SHOW: "reconciliation materializes the partition from the record, and asks no model: "
    "wait for its sensor, or run `beacon reconcile`",
    Action.POLL: "reconciliation asks the provider what became of the call before anything is paid again: "
    "wait for its sensor, or run `beacon reconcile`",
    Action.WAIT: "a run works on it, or the provider cannot be asked now: look again later",
    Action.FOLLOW: "the provider runs it: reconciliation waits for its answer, and pays for no other",
    Action.SETTLE: "nothing is lost: reconciliation reads what the provider has before anything is paid "
    "again: wait for its sensor, or run `beacon reconcile`",
    Action.REATTACH: "nothing is lost: reconciliation follows the call that runs, and pays for no other: "
    "wait for its sensor, or run `beacon reconcile`",
    Action.RESUBMIT: "reconciliation sends the identical request again, which the provider runs once: "
    "wait for its sensor, or run `beacon reconcile`",
    Action.INTERRUPT: "its provider keeps no calls: reconciliation asks again, within the attempt budget",
    Action.DISPATCH: "no call can bring an answer any more: reconciliation asks again, "
    "within the attempt budget",
    Action.GIVE_UP: "the attempt budget is spent: ask again in a new job",
}


def reconcile(state: ExecutionState) -> Repair:
    """The repair of one execution."""
    return REPAIRS[decide(state)]
