"""Which status may follow which. Pure; `change_status` makes the changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from beacon_pipeline.ledger.status import UNSUCCESSFUL, Cause, Status

LEGAL_TRANSITIONS: dict[Status | None, frozenset[Status]] = {
    None: frozenset({Status.PENDING}),
    # Straight to completed: the reply of an attempt that was thought lost, read before the next one.
    # Straight to failed: nothing could be dispatched, and healing gave up.
    Status.PENDING: frozenset({Status.DISPATCHED, Status.CANCELLED, Status.COMPLETED, Status.FAILED}),
    Status.DISPATCHED: frozenset({Status.COMPLETED, Status.PENDING}) | UNSUCCESSFUL,
    # An unsuccessful end may turn out wrong (the provider succeeded after all, or still runs),
    # or be asked again within the budget. A completed one is final: there is an answer.
    **{
        status: (frozenset({Status.COMPLETED, Status.DISPATCHED, Status.PENDING}) | UNSUCCESSFUL) - {status}
        for status in UNSUCCESSFUL
    },
    Status.COMPLETED: frozenset(),
}


class IllegalTransition(Exception):
    """A status change that the record does not allow; it is a defect of the caller."""

    def __init__(self, source: Status | None, target: Status) -> None:
        super().__init__(f"illegal transition: {source.value if source else 'nothing'} -> {target.value}")
        self.source, self.target = source, target


def require_legal(source: Status | None, target: Status) -> None:
    """Raises IllegalTransition unless ``target`` may follow ``source``."""
    if target not in LEGAL_TRANSITIONS[source]:
        raise IllegalTransition(source, target)


@dataclass(frozen=True, slots=True)
class Change:
    """One intended status change: applies only while the status is still ``source``."""

    execution_id: str
    source: Status
    target: Status
    cause: Cause
    detail: str | None = None
    values: dict[str, Any] = field(default_factory=dict)  # column -> value, set with the status
