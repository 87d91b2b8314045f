"""Which status may follow which, and the one place where a status changes: compared, set and kept in the
same transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from beacon_pipeline.ledger.rows import chunks, executions_table, transitions_table
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


def lock_statuses(connection: sa.Connection, execution_ids: Sequence[str]) -> dict[str, Status]:
    """The statuses of these executions, held still until the transaction ends.

    SQLite's writer holds the whole database; PostgreSQL locks the rows, in one order for all.
    """
    statuses: dict[str, Status] = {}
    for some in chunks(sorted(execution_ids)):
        rows = connection.execute(
            sa.select(executions_table.c.id, executions_table.c.status)
            .where(executions_table.c.id.in_(some))
            .order_by(executions_table.c.id)
            .with_for_update()
        )
        statuses.update({row.id: Status(row.status) for row in rows})
    return statuses


def note_repairs(
    connection: sa.Connection, statuses: Mapping[str, Status], *, at: datetime, actor: str, detail: str
) -> None:
    """Keep of executions, given with their statuses, that something else of them was set right."""
    rows = [
        {
            "execution_id": execution_id,
            "from_status": status.value,
            "to_status": status.value,
            "at": at,
            "cause": Cause.REPAIR.value,
            "actor": actor,
            "detail": detail,
        }
        for execution_id, status in statuses.items()
    ]
    for some in chunks(rows):
        connection.execute(sa.insert(transitions_table), some)


def apply_changes(
    connection: sa.Connection, changes: Sequence[Change], *, at: datetime, actor: str
) -> list[str]:
    """Make the changes that still fit; returns the ids of the executions that changed.

    Raises IllegalTransition before anything is written if any change is illegal.
    """
    for change in changes:
        require_legal(change.source, change.target)
    current = lock_statuses(connection, [change.execution_id for change in changes])
    fitting = [change for change in changes if current.get(change.execution_id) is change.source]
    by_columns: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for change in fitting:
        values = {"status": change.target.value, "updated_at": at, **change.values}
        parameters = {f"new_{name}": value for name, value in values.items()}
        parameters |= {"old_id": change.execution_id, "old_status": change.source.value}
        by_columns.setdefault(tuple(sorted(values)), []).append(parameters)
    for columns, parameter_sets in by_columns.items():
        connection.execute(
            sa.update(executions_table)
            .where(
                executions_table.c.id == sa.bindparam("old_id"),
                executions_table.c.status == sa.bindparam("old_status"),
            )
            .values(
                {name: sa.bindparam(f"new_{name}", type_=executions_table.c[name].type) for name in columns}
            ),
            parameter_sets,
        )
    if fitting:
        connection.execute(
            sa.insert(transitions_table),
            [
                {
                    "execution_id": change.execution_id,
                    "from_status": change.source.value,
                    "to_status": change.target.value,
                    "at": at,
                    "cause": change.cause.value,
                    "actor": actor,
                    "detail": change.detail,
                }
                for change in fitting
            ],
        )
    return [change.execution_id for change in fitting]
