"""Everything that can be read of the ledger."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from beacon_pipeline.ledger import newest, pages, rows
from beacon_pipeline.ledger.database import Database
from beacon_pipeline.ledger.records import (
    Call,
    Cell,
    Counts,
    Execution,
    ExecutionSummary,
    Job,
    Sibling,
    StudyRecord,
    Transition,
)
from beacon_pipeline.ledger.rows import (
    UNSETTLED,
    calls_table,
    catalogs_table,
    chunks,
    executions_table,
    jobs_table,
    transitions_table,
)
from beacon_pipeline.ledger.statistics import Statistics, read_statistics
from beacon_pipeline.ledger.status import Status
from beacon_pipeline.ledger.study_rows import read_studies, version_with


def _now() -> datetime:
    return datetime.now(UTC)


class LedgerReader:
    """The reading half of the ledger. Every method is one transaction.

    All methods raise LedgerUnavailable when the database cannot be used.
    """

    def __init__(self, url: str, *, clock: Callable[[], datetime] = _now) -> None:
        self._database = Database(url)
        self._clock = clock

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._database!r})"

    def close(self) -> None:
        """Give the connections back."""
        self._database.close()

    @property
    def place(self) -> str:
        """Where the ledger is, for messages: no password."""
        return self._database.place

    def schema_versions(self) -> tuple[str | None, str | None]:
        """The schema's version in the database, None while it has none, and the newest there is."""
        return self._database.schema_versions()

    def executions(
        self, job_id: str, cells: Sequence[Cell] | None = None, *, block: int | None = None
    ) -> list[Execution]:
        """Executions of a job, of these cells or all, of one block or all, in `rows.IN_ORDER`."""
        wanted = [executions_table.c.job_id == job_id]
        wanted += [] if block is None else [executions_table.c.block == block]
        if cells is None:
            return self._database.read(lambda c: rows.read_executions(c, *wanted))

        def read(connection: sa.Connection) -> list[Execution]:
            found: list[Execution] = []
            for some in chunks(sorted(set(cells))):
                found += rows.read_executions(connection, *wanted, rows.in_cells(some))
            return found

        return self._database.read(read)

    def execution_pages(self, job_id: str) -> Iterator[list[pages.Row]]:
        """As `pages.execution_pages`: each page is a transaction of its own."""
        return pages.execution_pages(self._database.read, job_id)

    def first_calls(self, job_id: str) -> dict[tuple[str, str, int], datetime]:
        """As `pages.first_calls`: by region, model and block."""
        return self._database.read(lambda c: pages.first_calls(c, job_id))

    def transition_pages(self, job_id: str) -> Iterator[list[pages.Row]]:
        """As `pages.transition_pages`."""
        return pages.transition_pages(self._database.read, job_id)

    def call_pages(self, job_id: str) -> Iterator[list[pages.Row]]:
        """As `pages.call_pages`."""
        return pages.call_pages(self._database.read, job_id)

    def attempt_pages(self, job_id: str) -> Iterator[list[pages.Row]]:
        """As `pages.attempt_pages`."""
        return pages.attempt_pages(self._database.read, job_id)

    def executions_with_ids(self, execution_ids: Sequence[str]) -> list[Execution]:
        """The executions with these ids that exist, of whatever job."""

        def read(connection: sa.Connection) -> list[Execution]:
            found: list[Execution] = []
            for some in chunks(sorted(set(execution_ids))):
                found += rows.read_executions(connection, executions_table.c.id.in_(some))
            return found

        return self._database.read(read)

    def siblings(self, executions: Sequence[Execution]) -> dict[tuple[str, Cell], list[Sibling]]:
        """By job and cell, how all executions of their cells stand, for those of jobs that have a plan."""
        table = executions_table
        cells: dict[str, set[Cell]] = {}
        for execution in executions:
            cells.setdefault(execution.job_id, set()).add(execution.cell)

        def read(connection: sa.Connection) -> dict[tuple[str, Cell], list[Sibling]]:
            found: dict[tuple[str, Cell], list[Sibling]] = {}
            for job_id in self._with_plan(connection, sorted(cells)):
                for some in chunks(sorted(cells[job_id])):
                    query = sa.select(table).with_only_columns(
                        *(table.c.id, table.c.region, table.c.model, table.c.question),
                        *(table.c.status, table.c.answer_kind),
                    )
                    query = query.where(table.c.job_id == job_id, rows.in_cells(some)).order_by(
                        *rows.IN_ORDER
                    )
                    for row in connection.execute(query).mappings():
                        sibling = rows.sibling_from(row)
                        found.setdefault((job_id, sibling.cell), []).append(sibling)
            return found

        return self._database.read(read)

    def with_plan(self, job_ids: Iterable[str]) -> set[str]:
        """Those of these jobs that ask more of a cell than one answer under the region's own prompt."""
        wanted = sorted(set(job_ids))
        return self._database.read(lambda c: set(self._with_plan(c, wanted)))

    @staticmethod
    def _with_plan(connection: sa.Connection, job_ids: Sequence[str]) -> list[str]:
        found: list[str] = []
        for some in chunks(job_ids):
            query = sa.select(jobs_table.c.id).where(
                jobs_table.c.id.in_(some), jobs_table.c.plan.is_not(None)
            )
            found += connection.scalars(query.order_by(jobs_table.c.id))
        return found

    def unknown_executions(self, execution_ids: Collection[str]) -> set[str]:
        """Those of these ids that no execution on record has."""
        table = executions_table

        def read(connection: sa.Connection) -> set[str]:
            known: set[str] = set()
            for some in chunks(sorted(set(execution_ids))):
                known.update(connection.scalars(sa.select(table.c.id).where(table.c.id.in_(some))))
            return set(execution_ids) - known

        return self._database.read(read)

    def newest_executions(self, cells: Sequence[Cell]) -> list[Execution]:
        """For each of these cells that was ever asked, its executions in the newest job."""

        def read(connection: sa.Connection) -> list[Execution]:
            found: list[Execution] = []
            for some in chunks(sorted(newest.ids_in_newest_job(connection, cells))):
                found += rows.read_executions(connection, executions_table.c.id.in_(some))
            return found

        return self._database.read(read)

    def executions_on(self, call_id: str) -> list[Execution]:
        """The executions that a call carries."""
        return self._database.read(lambda c: rows.executions_on(c, call_id))

    def studies(self, study: str | None = None) -> list[StudyRecord]:
        """The registered studies, or the versions of one, the oldest first."""
        return self._database.read(lambda c: read_studies(c, study))

    def study_version(self, study: str, digest: str) -> StudyRecord | None:
        """The version of a study whose content has this hash, or None."""
        return self._database.read(lambda c: version_with(c, study, digest))

    def job(self, jobspec_id: str) -> Job | None:
        """The job with this ``jobspec_id``, or None."""
        return self._one_job(sa.select(jobs_table).where(jobs_table.c.jobspec_id == jobspec_id))

    def catalog_content(self, digest: str) -> dict[str, Any] | None:
        """What the catalog with this digest held, or None: older jobs kept the digest alone."""
        query = sa.select(catalogs_table.c.content).where(catalogs_table.c.digest == digest)
        found: dict[str, Any] | None = self._database.read(lambda c: c.scalar(query))
        return found

    def jobs(self, limit: int = 50) -> list[Job]:
        """The newest jobs, newest first."""
        query = sa.select(jobs_table).order_by(jobs_table.c.created_at.desc()).limit(limit)
        return self._database.read(lambda c: [rows.job_from(row) for row in c.execute(query).mappings()])

    def latest_job(self) -> Job | None:
        """The newest job, or None."""
        return next(iter(self.jobs(limit=1)), None)

    def oldest_job(self) -> Job | None:
        """The first job on record, or None."""
        return self._one_job(sa.select(jobs_table).order_by(jobs_table.c.created_at).limit(1))

    def latest_job_with_open(self, cells: Sequence[Cell]) -> Job | None:
        """The newest job in which one of these cells is pending or dispatched, or None."""
        found = [
            self._one_job(
                sa.select(jobs_table)
                .join(executions_table, executions_table.c.job_id == jobs_table.c.id)
                .where(executions_table.c.status.in_(UNSETTLED), rows.in_cells(some))
                .order_by(jobs_table.c.created_at.desc())
                .limit(1)
            )
            for some in chunks(sorted(set(cells)))
        ]
        return max((job for job in found if job), key=lambda job: job.created_at, default=None)

    def _one_job(self, query: sa.Select[Any]) -> Job | None:
        row = self._database.read(lambda c: c.execute(query).mappings().one_or_none())
        return None if row is None else rows.job_from(row)

    def newest_settlement(self, *, after: datetime, before: datetime) -> datetime | None:
        """When the last execution of a job that has no unsettled one was settled, for the newest such
        job between two moments; None where there is none."""
        table = executions_table
        settled = [status.value for status in Status if status.is_terminal]
        changed = sa.select(table.c.job_id).where(table.c.status.in_(settled), table.c.updated_at > after)
        done = (
            sa.select(sa.func.max(table.c.updated_at, type_=table.c.updated_at.type).label("at"))
            .where(table.c.job_id.in_(changed))
            .group_by(table.c.job_id)
            .having(sa.func.sum(sa.case((table.c.status.in_(settled), 0), else_=1)) == 0)
            .subquery()
        )
        newest = sa.select(sa.func.max(done.c.at)).where(done.c.at > after, done.c.at < before)
        found: datetime | None = self._database.read(lambda c: c.execute(newest).scalar())
        return found

    def counts(self, job_id: str) -> Counts:
        """How many executions a job has, by status, answer kind and region."""
        table = executions_table

        def by(connection: sa.Connection, column: sa.Column[Any]) -> dict[str, int]:
            query = (
                sa.select(column, sa.func.count())
                .where(table.c.job_id == job_id, column.is_not(None))
                .group_by(column)
                .order_by(column)
            )
            return {row[0]: row[1] for row in connection.execute(query)}

        def count(connection: sa.Connection) -> Counts:
            by_status = by(connection, table.c.status)
            return Counts(
                executions=sum(by_status.values()),
                by_status=by_status,
                by_answer_kind=by(connection, table.c.answer_kind),
                by_region=by(connection, table.c.region),
            )

        return self._database.read(count)

    def transitions(self, execution_id: str) -> list[Transition]:
        """Every status change of an execution, oldest first."""
        query = (
            sa.select(transitions_table)
            .where(transitions_table.c.execution_id == execution_id)
            .order_by(transitions_table.c.id)
        )
        return self._database.read(
            lambda c: [rows.transition_from(row) for row in c.execute(query).mappings()]
        )

    def call(self, call_id: str) -> Call:
        """The call with this id. Raises LookupError."""
        return rows.call_from(self._database.read(lambda c: rows.read_call(c, call_id)))

    def open_calls(self, *, after: tuple[datetime, str] | None = None, limit: int = 500) -> list[Call]:
        """Calls whose end is not on record, oldest first, past the key (created_at, id)."""
        key = sa.tuple_(calls_table.c.created_at, calls_table.c.id)
        query = sa.select(calls_table).where(calls_table.c.settled_at.is_(None))
        if after is not None:
            moment = sa.bindparam("moment", after[0], type_=calls_table.c.created_at.type)
            query = query.where(key > sa.tuple_(moment, sa.literal(after[1])))
        query = query.order_by(calls_table.c.created_at, calls_table.c.id).limit(limit)
        return self._database.read(lambda c: [rows.call_from(row) for row in c.execute(query).mappings()])

    def statistics(self, *, since: datetime, overdue: datetime) -> Statistics:
        """What monitoring needs to know of the executions queued since then, in a few aggregates.

        An unsettled execution that nothing touched since ``overdue`` counts as one that should have
        its answer by now.
        """
        return self._database.read(lambda c: read_statistics(c, since=since, overdue=overdue))

    def asked_cells(self, since: datetime) -> set[Cell]:
        """The cells of the executions queued since then."""
        return self._cells(executions_table.c.queued_at >= since)

    def cells_of(self, job_id: str) -> set[Cell]:
        """The cells of a job's executions."""
        return self._cells(executions_table.c.job_id == job_id)

    def _cells(self, condition: sa.ColumnElement[bool]) -> set[Cell]:
        table = executions_table
        query = sa.select(table.c.region, table.c.model, table.c.question).where(condition).distinct()
        return self._database.read(lambda c: {Cell(*row) for row in c.execute(query)})

    def newest_transition(self) -> int:
        """The id of the newest status change, 0 where there is none: it grows with every change."""
        query = sa.select(sa.func.max(transitions_table.c.id))
        return self._database.read(lambda c: c.scalar(query) or 0)

    def unsettled(self) -> int:
        """How many executions are pending or dispatched."""
        query = sa.select(sa.func.count()).where(executions_table.c.status.in_(UNSETTLED))
        return self._database.read(lambda c: c.scalar(query) or 0)

    def open_job_names(self) -> set[str]:
        """The names of the jobs in which something is pending or dispatched."""
        query = (
            sa.select(jobs_table.c.jobspec_id)
            .join(executions_table, executions_table.c.job_id == jobs_table.c.id)
            .where(executions_table.c.status.in_(UNSETTLED))
            .distinct()
        )
        return self._database.read(lambda c: set(c.scalars(query)))

    def jobspec_ids(self, job_ids: Iterable[str]) -> dict[str, str]:
        """The ``jobspec_id`` of each of these jobs, by the job's id."""
        columns = jobs_table.c.id, jobs_table.c.jobspec_id

        def read(connection: sa.Connection) -> dict[str, str]:
            found: dict[str, str] = {}
            for some in chunks(sorted(set(job_ids))):
                rows = connection.execute(sa.select(*columns).where(jobs_table.c.id.in_(some)))
                found |= {row.id: row.jobspec_id for row in rows}
            return found

        return self._database.read(read)

    def standings(
        self, statuses: Iterable[Status], *, since: datetime, until: datetime, limit: int
    ) -> list[ExecutionSummary]:
        """Executions that took one of these statuses in this time and have it still, oldest first."""
        table = executions_table
        query = (
            sa.select(
                jobs_table.c.jobspec_id,
                *(table.c.region, table.c.model, table.c.question, table.c.status, table.c.updated_at),
                *(table.c.failure_code, table.c.failure_message, table.c.dead_lettered_at),
            )
            .join(jobs_table, jobs_table.c.id == table.c.job_id)
            .where(table.c.status.in_([status.value for status in statuses]))
            .where(table.c.updated_at >= since, table.c.updated_at <= until)
            .order_by(table.c.updated_at, table.c.id)
            .limit(limit)
        )
        return self._database.read(lambda c: [rows.standing_from(row) for row in c.execute(query).mappings()])

    def jobs_moving(self, since: datetime) -> set[str]:
        """The ``jobspec_id`` of each job in which an execution took its status since then."""
        table = executions_table
        query = (
            sa.select(jobs_table.c.jobspec_id)
            .join(table, jobs_table.c.id == table.c.job_id)
            # Every status is named, so that the index of statuses by time serves.
            .where(table.c.status.in_([status.value for status in Status]), table.c.updated_at > since)
            .distinct()
        )
        return self._database.read(lambda c: set(c.scalars(query)))

    def statuses_by_region(self, jobspec_ids: Iterable[str]) -> dict[str, dict[str, dict[Status, int]]]:
        """How many executions of these jobs have which status: job, then region, then status."""
        table = executions_table

        def read(connection: sa.Connection) -> dict[str, dict[str, dict[Status, int]]]:
            found: dict[str, dict[str, dict[Status, int]]] = {}
            for some in chunks(sorted(set(jobspec_ids))):
                query = (
                    sa.select(jobs_table.c.jobspec_id, table.c.region, table.c.status, sa.func.count())
                    .join(jobs_table, jobs_table.c.id == table.c.job_id)
                    .where(jobs_table.c.jobspec_id.in_(some))
                    .group_by(jobs_table.c.jobspec_id, table.c.region, table.c.status)
                )
                for job, region, status, number in connection.execute(query):
                    found.setdefault(job, {}).setdefault(region, {})[Status(status)] = number
            return found

        return self._database.read(read)

    def kinds_by_region(self, job_ids: Iterable[str]) -> dict[str, dict[str, dict[str, int]]]:
        """How many answers of these jobs (by id) are of which kind: job, then region, then kind."""
        table = executions_table
        columns = table.c.job_id, table.c.region, table.c.answer_kind

        def read(connection: sa.Connection) -> dict[str, dict[str, dict[str, int]]]:
            found: dict[str, dict[str, dict[str, int]]] = {}
            for some in chunks(sorted(set(job_ids))):
                query = (
                    sa.select(*columns, sa.func.count())
                    .where(table.c.job_id.in_(some), table.c.answer_kind.is_not(None))
                    .group_by(*columns)
                )
                for job, region, kind, number in connection.execute(query):
                    found.setdefault(job, {}).setdefault(region, {})[kind] = number
            return found

        return self._database.read(read)
