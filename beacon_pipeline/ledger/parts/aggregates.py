"""What is counted over many executions in a few statements."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from beacon_pipeline.ledger.parts.part import Part
from beacon_pipeline.ledger.records import Counts
from beacon_pipeline.ledger.rows import chunks, executions_table, jobs_table
from beacon_pipeline.ledger.statistics import Statistics, read_statistics
from beacon_pipeline.ledger.status import AnswerKind, Status


class Aggregates(Part):
    """Counts of what is on record."""

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

    def statistics(self, *, since: datetime, overdue: datetime) -> Statistics:
        """What monitoring needs to know of the executions queued since then, in a few aggregates.

        An unsettled execution that nothing touched since ``overdue`` counts as one that should have
        its answer by now.
        """
        return self._database.read(lambda c: read_statistics(c, since=since, overdue=overdue))

    def statuses_by_region(self, job_names: Iterable[str]) -> dict[str, dict[str, dict[Status, int]]]:
        """How many executions of these jobs have which status: job, then region, then status."""
        table = executions_table

        def read(connection: sa.Connection) -> dict[str, dict[str, dict[Status, int]]]:
            found: dict[str, dict[str, dict[Status, int]]] = {}
            for some in chunks(sorted(set(job_names))):
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

    def rules_by_job(self, job_ids: Iterable[str]) -> dict[str, set[str | None]]:
        """By which versions of the rules the kinds of these jobs' answers are; None: not on record."""
        table = executions_table
        columns = table.c.job_id, table.c.kind_version

        def read(connection: sa.Connection) -> dict[str, set[str | None]]:
            found: dict[str, set[str | None]] = {}
            for some in chunks(sorted(set(job_ids))):
                judged = table.c.answer_kind.in_((AnswerKind.SUBSTANTIVE, AnswerKind.REFUSAL))
                query = sa.select(*columns).where(table.c.job_id.in_(some), judged).distinct()
                for job, version in connection.execute(query):
                    found.setdefault(job, set()).add(version)
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
