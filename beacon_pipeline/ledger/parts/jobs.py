"""Jobs: made once for each name, and read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from beacon_pipeline.ledger import rows
from beacon_pipeline.ledger.parts.part import Part, new_id
from beacon_pipeline.ledger.records import Cell, Job
from beacon_pipeline.ledger.rows import UNSETTLED, catalogs_table, chunks, executions_table, jobs_table
from beacon_pipeline.ledger.status import Status

JOBS_LOOKED_AT = 10_000  # newest ones, where jobs are looked for by what their plans say


class Jobs(Part):
    """The jobs on record, and the catalogs that they were asked from."""

    def ensure(
        self,
        job_name: str,
        *,
        source: str,
        catalog: str,
        catalog_digest: str,
        specification: dict[str, Any] | None = None,
        plan: dict[str, Any] | None = None,
        catalog_content: dict[str, Any] | None = None,
    ) -> Job:
        """The job with this ``job_name``, made now if there is none.

        What the catalog held is kept too, once for each digest.
        """
        now = self._clock()
        values = {
            "id": new_id(),
            "jobspec_id": job_name,
            "source": source,
            "catalog": catalog,
            "catalog_digest": catalog_digest,
            "specification": specification,
            "created_at": now,
            "plan": plan,
        }
        content = {"digest": catalog_digest, "content": catalog_content, "created_at": now}

        def ensure(connection: sa.Connection) -> Job:
            self._database.insert_missing(connection, jobs_table, [values])
            if catalog_content is not None:
                self._database.insert_missing(connection, catalogs_table, [content])
            found = sa.select(jobs_table).where(jobs_table.c.jobspec_id == job_name)
            return rows.job_from(connection.execute(found).mappings().one())

        return self._database.write(ensure)

    def named(self, job_name: str) -> Job | None:
        """The job with this ``job_name``, or None."""
        return self._one_job(sa.select(jobs_table).where(jobs_table.c.jobspec_id == job_name))

    def newest(self, limit: int = 50) -> list[Job]:
        """The newest jobs, newest first."""
        query = sa.select(jobs_table).order_by(jobs_table.c.created_at.desc()).limit(limit)
        return self._database.read(lambda c: [rows.job_from(row) for row in c.execute(query).mappings()])

    def latest(self) -> Job | None:
        """The newest job, or None."""
        return next(iter(self.newest(limit=1)), None)

    def oldest(self) -> Job | None:
        """The first job on record, or None."""
        return self._one_job(sa.select(jobs_table).order_by(jobs_table.c.created_at).limit(1))

    def latest_with_open(self, cells: Sequence[Cell]) -> Job | None:
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

    def open_names(self) -> set[str]:
        """The names of the jobs in which something is pending or dispatched."""
        query = (
            sa.select(jobs_table.c.jobspec_id)
            .join(executions_table, executions_table.c.job_id == jobs_table.c.id)
            .where(executions_table.c.status.in_(UNSETTLED))
            .distinct()
        )
        return self._database.read(lambda c: set(c.scalars(query)))

    def moving(self, since: datetime) -> set[str]:
        """The ``job_name`` of each job in which an execution took its status since then."""
        table = executions_table
        query = (
            sa.select(jobs_table.c.jobspec_id)
            .join(table, jobs_table.c.id == table.c.job_id)
            # Every status is named, so that the index of statuses by time serves.
            .where(table.c.status.in_([status.value for status in Status]), table.c.updated_at > since)
            .distinct()
        )
        return self._database.read(lambda c: set(c.scalars(query)))

    def names(self, job_ids: Iterable[str]) -> dict[str, str]:
        """The ``job_name`` of each of these jobs, by the job's id."""
        columns = jobs_table.c.id, jobs_table.c.jobspec_id

        def read(connection: sa.Connection) -> dict[str, str]:
            found: dict[str, str] = {}
            for some in chunks(sorted(set(job_ids))):
                rows = connection.execute(sa.select(*columns).where(jobs_table.c.id.in_(some)))
                found |= {row.id: row.jobspec_id for row in rows}
            return found

        return self._database.read(read)

    def with_plan(self, job_ids: Iterable[str]) -> set[str]:
        """Those of these jobs that ask more of a cell than one answer under the region's own prompt."""
        wanted = sorted(set(job_ids))
        return self._database.read(lambda c: set(rows.with_plan(c, wanted)))

    def with_counts(self, *, since: datetime, until: datetime) -> list[tuple[Job, int]]:
        """The jobs made between two moments, newest first, each with how many executions it has."""
        table = executions_table
        counted = sa.select(sa.func.count()).where(table.c.job_id == jobs_table.c.id).scalar_subquery()
        query = (
            sa.select(jobs_table, counted.label("executions"))
            .where(jobs_table.c.created_at >= since, jobs_table.c.created_at < until)
            .order_by(jobs_table.c.created_at.desc())
        )

        def read(connection: sa.Connection) -> list[tuple[Job, int]]:
            found = [dict(row) for row in connection.execute(query).mappings()]
            counts = [row.pop("executions") for row in found]
            return [(rows.job_from(row), count) for row, count in zip(found, counts, strict=True)]

        return self._database.read(read)

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

    def content_unlike(self, job_id: str, digest: str) -> dict[str, Any] | None:
        """What the catalog of a job held, where it has another digest than this one, and was kept."""
        own = sa.select(jobs_table.c.catalog_digest).where(jobs_table.c.id == job_id)
        found: str | None = self._database.read(lambda c: c.scalar(own))
        return None if found in (None, digest) else self.catalog_content(str(found))

    def catalog_content(self, digest: str) -> dict[str, Any] | None:
        """What the catalog with this digest held, or None: older jobs kept the digest alone."""
        query = sa.select(catalogs_table.c.content).where(catalogs_table.c.digest == digest)
        found: dict[str, Any] | None = self._database.read(lambda c: c.scalar(query))
        return found
