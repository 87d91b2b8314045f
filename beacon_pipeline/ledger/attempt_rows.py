"""The attempts of executions: written with a call, open until their outcome is on record."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from beacon_pipeline.ledger.records import Execution, Outcome, Retry, Unsuccessful
from beacon_pipeline.ledger.rows import attempts_table, chunks
from inference.contract import Request


def write_attempts(connection: sa.Connection, request: Request, claimed: Sequence[Execution]) -> None:
    """Give each claimed execution its next attempt, on the call of ``request``."""
    numbers: dict[str, int] = {}
    for some in chunks([execution.id for execution in claimed]):
        highest = (
            sa.select(attempts_table.c.execution_id, sa.func.max(attempts_table.c.number))
            .where(attempts_table.c.execution_id.in_(some))
            .group_by(attempts_table.c.execution_id)
        )
        numbers |= {row[0]: row[1] for row in connection.execute(highest)}
    connection.execute(
        sa.insert(attempts_table),
        [
            {
                "id": str(uuid.uuid4()),
                "execution_id": execution.id,
                "call_id": request.id,
                "number": numbers.get(execution.id, 0) + 1,
            }
            for execution in claimed
        ],
    )


def open_attempts(connection: sa.Connection, execution_ids: Sequence[str]) -> dict[str, str]:
    """Execution id -> the call of its open attempt, for those that have one."""
    found: dict[str, str] = {}
    for some in chunks(execution_ids):
        query = sa.select(attempts_table.c.execution_id, attempts_table.c.call_id).where(
            attempts_table.c.execution_id.in_(some), attempts_table.c.settled_at.is_(None)
        )
        found |= {row.execution_id: row.call_id for row in connection.execute(query)}
    return found


def newest_failures(connection: sa.Connection, execution_ids: Sequence[str]) -> dict[str, str]:
    """Execution id -> the failure code of its newest attempt that failed."""
    codes: dict[str, str] = {}
    for some in chunks(execution_ids):
        query = (
            sa.select(attempts_table.c.execution_id, attempts_table.c.failure_code)
            .where(attempts_table.c.execution_id.in_(some), attempts_table.c.failure_code.is_not(None))
            .order_by(attempts_table.c.number)
        )
        codes |= {row.execution_id: row.failure_code for row in connection.execute(query)}
    return codes


def close_attempts(
    connection: sa.Connection,
    call_id: str,
    outcomes: Mapping[str, Outcome],
    now: datetime,
    *,
    answered: Collection[str],
) -> None:
    """Settle the attempts on a call with their outcomes; settled ones stay as they are, but for two.

    A failure that its reply holds is kept for an attempt that was closed without one, unless the execution
    is among those ``answered``: else that reply would be read again and again for an answer. And an answer
    in the reply takes away a failure that was reported before: the provider still holds that answer,
    whatever becomes of the execution's status.
    """
    parameters = []
    for execution_id, outcome in outcomes.items():
        failure = outcome if isinstance(outcome, Retry | Unsuccessful) else None
        parameters.append(
            {
                "on_execution": execution_id,
                "code": failure and failure.failure_code.value,
                "message": failure and failure.message,
                "without_answer": execution_id not in answered,
                "has_answer": failure is None,
            }
        )
    table = attempts_table
    closed_without_reason = table.c.failure_code.is_(None) & sa.bindparam("without_answer", type_=sa.Boolean)
    connection.execute(
        sa.update(table)
        .where(
            table.c.call_id == call_id,
            table.c.execution_id == sa.bindparam("on_execution"),
            table.c.settled_at.is_(None)
            | closed_without_reason
            | sa.bindparam("has_answer", type_=sa.Boolean),
        )
        .values(
            settled_at=sa.func.coalesce(table.c.settled_at, now),
            failure_code=sa.bindparam("code"),
            failure_message=sa.bindparam("message", type_=table.c.failure_message.type),
        ),
        parameters,
    )


def supersede(connection: sa.Connection, execution_ids: Sequence[str], now: datetime) -> None:
    """Close attempts that are still open on executions that have their answer now."""
    for some in chunks(execution_ids):
        connection.execute(
            sa.update(attempts_table)
            .where(attempts_table.c.execution_id.in_(some), attempts_table.c.settled_at.is_(None))
            .values(settled_at=now)
        )
