"""The record of a job in pages of bounded size, for readers that hold one page at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
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
        in_job = (
            executions_table.c.id == transitions_table.c.execution_id,
            executions_table.c.job_id == job_id,
        )
        ends = sa.select(sa.func.min(transitions_table.c.id), sa.func.max(transitions_table.c.id))
        query = ends.select_from(transitions_table.join(executions_table, in_job[0])).where(in_job[1])
        first, last = self._database.read(lambda c: c.execute(query).one())
        if first is None:
            return
        # Each page looks its own rows up, and not for all executions of the job first; between the job's
        # first change and its last, for there may be years of others.
        of_job = sa.select(sa.literal(1)).where(*in_job).correlate(transitions_table).exists()
        condition = sa.and_(transitions_table.c.id.between(first, last), of_job)
        yield from self._pages(transitions_table, [transitions_table.c.id], condition)

    def calls(self, job_id: str) -> Iterator[list[Row]]:
        """The calls of a job, oldest first, without what was sent and without raw replies."""
        key = [calls_table.c.created_at, calls_table.c.id]
        yield from self._pages(calls_table, key, calls_table.c.job_id == job_id, columns=_CALL_COLUMNS)

    def attempts(self, job_id: str) -> Iterator[list[Row]]:
        """The attempts of a job's executions: of each in their order, the executions by region, model,
        question, arm, block and sample."""
        in_job = executions_table.c.job_id == job_id
        for page in self._pages(
            executions_table, IN_ORDER, in_job, columns=[executions_table.c.id, *IN_ORDER]
        ):
            ids = [row["id"] for row in page]
            tries = self._database.read(partial(_attempts, execution_ids=ids))
            yield [dict(attempt) for execution_id in ids for attempt in tries.get(execution_id, ())]

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
    attempts = _attempts(connection, ids)
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


def _attempts(connection: sa.Connection, execution_ids: Sequence[str]) -> dict[str, list[sa.RowMapping]]:
    """The attempts of these executions, of each in their order."""
    query = sa.select(attempts_table).order_by(attempts_table.c.execution_id, attempts_table.c.number)
    found: dict[str, list[sa.RowMapping]] = {}
    for some in chunks(execution_ids):
        for attempt in connection.execute(query.where(attempts_table.c.execution_id.in_(some))).mappings():
            found.setdefault(attempt["execution_id"], []).append(attempt)
    return found


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
