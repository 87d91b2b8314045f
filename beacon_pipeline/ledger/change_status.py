"""The one place where a status changes: compared, set and kept as a transition in the same transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from beacon_pipeline.ledger.rows import chunks, executions_table, transitions_table
from beacon_pipeline.ledger.status import Cause, Status
from beacon_pipeline.ledger.transitions import Change, require_legal


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
    kept = [
        Change(execution_id, status, status, Cause.REPAIR, detail)
        for execution_id, status in statuses.items()
    ]
    _keep(connection, kept, at=at, actor=actor)


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
    _keep(connection, fitting, at=at, actor=actor)
    return [change.execution_id for change in fitting]


def _keep(connection: sa.Connection, changes: Sequence[Change], *, at: datetime, actor: str) -> None:
    rows = [
        {
            "execution_id": change.execution_id,
            "from_status": change.source.value,
            "to_status": change.target.value,
            "at": at,
            "cause": change.cause.value,
            "actor": actor,
            "detail": change.detail,
        }
        for change in changes
    ]
    for some in chunks(rows):
        connection.execute(sa.insert(transitions_table), some)
