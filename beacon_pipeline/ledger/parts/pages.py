"""The record of a job in pages of bounded size, for readers that hold one page at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from beacon_pipeline.ledger.parts.part import Part
from beacon_pipeline.ledger.rows import (
    IN_ORDER,
    attempts_table,
    calls_table,
    chunks,
    executions_table,
    labels_table,
    transitions_table,
)

PAGE = 1000  # rows of a page; with long answers, some megabytes

Row = dict[str, Any]

_CALL_COLUMNS = [column for column in calls_table.c if column.name not in ("request", "raw_reply")]


class Pages(Part):
    """The record of a job in pages; each is read in a transaction of its own."""

    def executions(self, job_id: str) -> Iterator[list[Row]]:
        """The executions of a job by region, model, question, arm, block and sample.

        Besides its columns a row has ``attempts`` (how many), ``call``: the columns of the call that
        answered, or of the newest one, or None; and ``labels``: all on record for it, oldest first.
        """
        in_job = executions_table.c.job_id == job_id
        yield from self._pages(executions_table, IN_ORDER, in_job, complete=_with_calls_and_labels)

    def first_calls(self, job_id: str) -> dict[tuple[str, str, int], datetime]:
        """When the first call of each region, model and block of a job was made."""
        place = (executions_table.c.region, executions_table.c.model, executions_table.c.block)
        first = sa.func.min(calls_table.c.created_at, type_=calls_table.c.created_at.type)
        query = (
            sa.select(*place, first)
            .join(attempts_table, attempts_table.c.execution_id == executions_table.c.id)
            .join(calls_table, calls_table.c.id == attempts_table.c.call_id)
            .where(executions_table.c.job_id == job_id)
            .group_by(*place)
        )
        return self._database.read(lambda c: {(row[0], row[1], row[2]): row[3] for row in c.execute(query)})

    def transitions(self, job_id: str) -> Iterator[list[Row]]:
        """The status changes of a job's executions, in the order in which they were made."""
        of_job = sa.select(executions_table.c.id).where(executions_table.c.job_id == job_id)
        condition = transitions_table.c.execution_id.in_(of_job)
        yield from self._pages(transitions_table, [transitions_table.c.id], condition)

    def calls(self, job_id: str) -> Iterator[list[Row]]:
        """The calls of a job, oldest first, without what was sent and without raw replies."""
        key = [calls_table.c.created_at, calls_table.c.id]
        yield from self._pages(calls_table, key, calls_table.c.job_id == job_id, columns=_CALL_COLUMNS)

    def attempts(self, job_id: str) -> Iterator[list[Row]]:
        """The attempts of a job's executions, by execution and number."""
        of_job = sa.select(executions_table.c.id).where(executions_table.c.job_id == job_id)
        key = [attempts_table.c.execution_id, attempts_table.c.number]
        yield from self._pages(attempts_table, key, attempts_table.c.execution_id.in_(of_job))

    def _pages(
        self,
        table: sa.Table,
        key: Sequence[sa.Column[Any]],
        condition: sa.ColumnElement[bool],
        *,
        columns: Sequence[sa.Column[Any]] | None = None,
        complete: Callable[[sa.Connection, list[Row]], list[Row]] = lambda connection, rows: rows,
    ) -> Iterator[list[Row]]:
        """Pages in the order of ``key``, each read in a transaction of its own after the last row's key."""
        after: tuple[Any, ...] | None = None
        while True:
            query = sa.select(*(columns or table.c)).where(condition).order_by(*key).limit(PAGE)
            if after is not None:
                values = [sa.literal(value, column.type) for column, value in zip(key, after, strict=True)]
                query = query.where(sa.tuple_(*key) > sa.tuple_(*values))

            def page(connection: sa.Connection, query: sa.Select[Any] = query) -> list[Row]:
                return complete(connection, [dict(row) for row in connection.execute(query).mappings()])

            found = self._database.read(page)
            if found:
                yield found
            if len(found) < PAGE:
                return
            after = tuple(found[-1][column.name] for column in key)


def _with_calls_and_labels(connection: sa.Connection, rows: list[Row]) -> list[Row]:
    ids = [row["id"] for row in rows]
    attempts: dict[str, list[sa.RowMapping]] = {}
    query = sa.select(attempts_table).order_by(attempts_table.c.execution_id, attempts_table.c.number)
    for some in chunks(ids):
        for attempt in connection.execute(query.where(attempts_table.c.execution_id.in_(some))).mappings():
            attempts.setdefault(attempt["execution_id"], []).append(attempt)
    answering = {execution: _answering(tries) for execution, tries in attempts.items()}
    calls: dict[str, Row] = {}
    for some in chunks(sorted(set(answering.values()))):
        of_these = sa.select(*_CALL_COLUMNS).where(calls_table.c.id.in_(some))
        calls |= {row["id"]: dict(row) for row in connection.execute(of_these).mappings()}
    labels = _labels(connection, ids)
    for row in rows:
        row["attempts"] = len(attempts.get(row["id"], ()))
        row["call"] = calls.get(answering.get(row["id"], ""))
        row["labels"] = labels.get(row["id"], [])
    return rows


def _answering(attempts: Sequence[sa.RowMapping]) -> str:
    """The call of the attempt that ended without a failure, else of the newest."""
    answered = (a for a in attempts if a["settled_at"] is not None and a["failure_code"] is None)
    return str(next(answered, attempts[-1])["call_id"])


def _labels(connection: sa.Connection, execution_ids: Sequence[str]) -> dict[str, list[Row]]:
    table = labels_table
    found: dict[str, list[Row]] = {}
    for some in chunks(execution_ids):
        query = sa.select(table).where(table.c.execution_id.in_(some)).order_by(table.c.at, table.c.id)
        for row in connection.execute(query).mappings():
            found.setdefault(row["execution_id"], []).append(dict(row))
    return found
