"""What monitoring reads of the ledger: a few aggregates, however many executions there are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from beacon_pipeline.ledger.database import WriteCounts
from beacon_pipeline.ledger.rows import (
    UNSETTLED,
    attempts_table,
    calls_table,
    executions_table,
    transitions_table,
    write_counts_table,
)
from beacon_pipeline.ledger.status import AnswerKind, Cause, Status
from inference.contract import CallStatus

PERCENTILES = (50, 95, 99)


@dataclass(frozen=True, slots=True)
class StatusCount:
    """How many executions have this status, and this report of the provider on their newest call.

    ``refused``: the newest call's reply, or its refusal, is on record as this execution's failure;
    ``answered``: any call's reply or refusal is on record.
    """

    status: Status
    call_status: CallStatus | None
    refused: bool
    answered: bool
    executions: int


@dataclass(frozen=True, slots=True)
class DeploymentUsage:
    """The calls of one deployment: how many, how many began cold, and the seconds of those that say
    when they ran."""

    region: str
    model: str
    provider: str
    calls: int
    cold_starts: int
    measured_calls: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counts of the executions queued in a time, and of the calls, repairs and writes made in it."""

    executions: int
    due_by_region: Mapping[str, Mapping[Status, int]]  # settled, or unsettled past the deadline
    by_answer_kind: Mapping[AnswerKind, int]
    agreements: tuple[StatusCount, ...]
    attempts: int
    attempted: int  # executions with at least one attempt
    pending: int  # of whatever time
    dispatched: int
    seconds: Mapping[int, float]  # percentile -> execution time of completed ones; empty if there are none
    computed: tuple[DeploymentUsage, ...]
    writes: WriteCounts
    repaired: int  # executions whose status was false and was set right, of whatever time


def read_statistics(connection: sa.Connection, *, since: datetime, overdue: datetime) -> Statistics:
    """Read everything, in one transaction. See `Aggregates.statistics`."""
    recent = executions_table.c.queued_at >= since
    attempts, attempted = _attempts(connection, recent)
    waiting = _count_by(connection, executions_table.c.status, executions_table.c.status.in_(UNSETTLED))
    answer_kind = executions_table.c.answer_kind
    kinds = _count_by(connection, answer_kind, recent, answer_kind.is_not(None))
    return Statistics(
        executions=connection.scalar(sa.select(sa.func.count()).where(recent)) or 0,
        due_by_region=_due(connection, recent, overdue),
        by_answer_kind={AnswerKind(kind): count for kind, count in kinds.items()},
        agreements=_agreements(connection, recent),
        attempts=attempts,
        attempted=attempted,
        pending=waiting.get(Status.PENDING.value, 0),
        dispatched=waiting.get(Status.DISPATCHED.value, 0),
        seconds=_percentiles(connection, recent),
        computed=_computed(connection, since),
        writes=_writes(connection, since),
        repaired=_repaired(connection, since),
    )


def _count_by(
    connection: sa.Connection, column: sa.Column[Any], *conditions: sa.ColumnElement[bool]
) -> dict[str, int]:
    query = sa.select(column, sa.func.count()).where(*conditions).group_by(column)
    return {row[0]: row[1] for row in connection.execute(query)}


def _due(
    connection: sa.Connection, recent: sa.ColumnElement[bool], overdue: datetime
) -> dict[str, dict[Status, int]]:
    table = executions_table
    due = table.c.status.not_in(UNSETTLED) | (table.c.updated_at < overdue)
    query = (
        sa.select(table.c.region, table.c.status, sa.func.count())
        .where(recent, due)
        .group_by(table.c.region, table.c.status)
        .order_by(table.c.region)
    )
    found: dict[str, dict[Status, int]] = {}
    for region, status, count in connection.execute(query):
        found.setdefault(region, {})[Status(status)] = count
    return found


def _attempts(connection: sa.Connection, recent: sa.ColumnElement[bool]) -> tuple[int, int]:
    query = (
        sa.select(sa.func.count(), sa.func.count(attempts_table.c.execution_id.distinct()))
        .select_from(attempts_table)
        .join(executions_table, executions_table.c.id == attempts_table.c.execution_id)
        .where(recent)
    )
    row = connection.execute(query).one()
    return row[0], row[1]


def _agreements(connection: sa.Connection, recent: sa.ColumnElement[bool]) -> tuple[StatusCount, ...]:
    table, attempt, call = executions_table, attempts_table, calls_table
    one = sa.case((call.c.replied, 1), else_=0)
    calls_of = (
        sa.select(
            attempt.c.execution_id,
            sa.func.max(attempt.c.number).label("number"),
            sa.func.max(one).label("answered"),
        )
        .join(call, call.c.id == attempt.c.call_id)
        # Not a join: SQLite would group by an index of all attempts there ever were.
        .where(attempt.c.execution_id.in_(sa.select(table.c.id).where(recent)))
        .group_by(attempt.c.execution_id)
        .subquery()
    )
    newest = (attempt.c.execution_id == calls_of.c.execution_id) & (attempt.c.number == calls_of.c.number)
    # Literal columns, because an expression with bound values cannot be grouped by.
    yes, no = (sa.literal_column(value, sa.Integer) for value in "10")
    refused = sa.case((call.c.replied & attempt.c.failure_code.is_not(None), yes), else_=no)
    columns = (table.c.status, call.c.truth, refused, calls_of.c.answered)
    query = (
        sa.select(*columns, sa.func.count())
        .select_from(table)
        .outerjoin(calls_of, calls_of.c.execution_id == table.c.id)
        .outerjoin(attempt, newest)
        .outerjoin(call, call.c.id == attempt.c.call_id)
        .where(recent)
        .group_by(*columns)
    )
    return tuple(
        StatusCount(
            status=Status(status),
            call_status=None if call_status is None else CallStatus(call_status),
            refused=bool(refused),
            answered=bool(answered),
            executions=count,
        )
        for status, call_status, refused, answered, count in connection.execute(query)
    )


def _seconds_between(
    connection: sa.Connection, earlier: sa.Column[Any], later: sa.Column[Any]
) -> sa.ColumnElement[float]:
    if connection.dialect.name == "sqlite":
        days = sa.func.julianday(later, type_=sa.Float) - sa.func.julianday(earlier, type_=sa.Float)
        return days * 86_400
    return sa.cast(sa.extract("epoch", later - earlier), sa.Float)


def _percentiles(connection: sa.Connection, recent: sa.ColumnElement[bool]) -> dict[int, float]:
    """By nearest rank: every figure is a time that some execution took."""
    table = executions_table
    # Not a condition of its own: SQLite would go through an index of all that was ever completed.
    of_completed = _seconds_between(connection, table.c.dispatched_at, table.c.completed_at)
    took = sa.case((table.c.status == Status.COMPLETED.value, of_completed)).label("took")
    timed = sa.select(took).where(recent, took.is_not(None)).order_by(took)
    count = connection.scalar(sa.select(sa.func.count()).select_from(timed.order_by(None).subquery())) or 0
    if not count:
        return {}
    found = {}
    for percentile in PERCENTILES:
        rank = math.ceil(percentile / 100 * count)
        # The runtime's clock may be behind ours.
        found[percentile] = max(float(connection.scalar(timed.offset(rank - 1).limit(1)) or 0.0), 0.0)
    return found


def _computed(connection: sa.Connection, since: datetime) -> tuple[DeploymentUsage, ...]:
    call = calls_table
    ran = call.c.started_at.is_not(None) & call.c.finished_at.is_not(None)
    place = (call.c.region, call.c.model, call.c.provider)
    query = (
        sa.select(
            *place,
            sa.func.count(),
            sa.func.sum(sa.case((call.c.cold_start, 1), else_=0)),
            sa.func.sum(sa.case((ran, 1), else_=0)),
            sa.func.sum(
                sa.case((ran, _seconds_between(connection, call.c.started_at, call.c.finished_at)), else_=0.0)
            ),
        )
        .where(call.c.created_at >= since)
        .group_by(*place)
        .order_by(*place)
    )
    return tuple(
        DeploymentUsage(region, model, provider, calls, cold, measured, max(float(seconds), 0.0))
        for region, model, provider, calls, cold, measured, seconds in connection.execute(query)
    )


def _writes(connection: sa.Connection, since: datetime) -> WriteCounts:
    table = write_counts_table
    hour = since.replace(minute=0, second=0, microsecond=0)
    query = sa.select(
        sa.func.sum(table.c.committed), sa.func.sum(table.c.retried), sa.func.sum(table.c.failed)
    ).where(table.c.hour >= hour)
    return WriteCounts(*(int(value or 0) for value in connection.execute(query).one()))


def _repaired(connection: sa.Connection, since: datetime) -> int:
    """A repair that ends or repeats an execution gave up on it, and put nothing right."""
    table = transitions_table
    query = sa.select(sa.func.count(table.c.execution_id.distinct())).where(
        table.c.cause == Cause.REPAIR.value,
        table.c.at >= since,
        table.c.from_status != table.c.to_status,  # else it is a note, of a region respelt say
        table.c.to_status.in_([Status.COMPLETED.value, Status.DISPATCHED.value]),
    )
    return connection.scalar(query) or 0
