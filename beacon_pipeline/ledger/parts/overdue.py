"""What reconciliation reads of the ledger: bounded, oldest first, by indexes only."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

import sqlalchemy as sa

from beacon_pipeline.ledger import rows
from beacon_pipeline.ledger.parts.part import Part
from beacon_pipeline.ledger.records import Execution
from beacon_pipeline.ledger.rows import (
    UNSETTLED,
    attempts_table,
    calls_table,
    chunks,
    executions_table,
    jobs_table,
)
from beacon_pipeline.ledger.status import UNSUCCESSFUL, Status

ENDED = sorted(status.value for status in UNSUCCESSFUL)

Position = tuple[datetime, str]
"""Where a walk through executions by (updated_at, id) stands; it goes on past it."""


class Overdue(Part):
    """The reading that looks for what is wrong."""

    def unsettled(self, before: datetime, *, after: Position | None = None, limit: int) -> list[Execution]:
        """Unsettled executions that nothing touched since ``before``, past ``after``."""
        table = executions_table
        return self._walk([table.c.status.in_(UNSETTLED), table.c.updated_at < before], after, limit)

    def unconfirmed(self, *, after: Position | None = None, limit: int) -> list[Execution]:
        """Executions that ended without an answer, on which the provider has not had its last word.

        Those with an accepted call that did not reply with their failure, and was not asked about since
        its end; and failed ones of which no person was alerted.
        """
        table, attempt, call = executions_table, attempts_table, calls_table
        may_have_an_answer = (
            sa.exists()
            .where(attempt.c.execution_id == table.c.id, attempt.c.call_id == call.c.id)
            .where(call.c.provider_call_id.is_not(None), call.c.confirmed_at.is_(None))
            .where(call.c.replied.is_(False) | attempt.c.failure_code.is_(None))
        )
        unacknowledged = (table.c.status != Status.CANCELLED.value) & table.c.dead_lettered_at.is_(None)
        return self._walk([table.c.status.in_(ENDED), may_have_an_answer | unacknowledged], after, limit)

    def _walk(
        self, conditions: Sequence[sa.ColumnElement[bool]], after: Position | None, limit: int
    ) -> list[Execution]:
        table = executions_table
        query = sa.select(table.c.id).where(*conditions)
        if after is not None:
            moment = sa.bindparam("moment", after[0], type_=table.c.updated_at.type)
            key = sa.tuple_(table.c.updated_at, table.c.id)
            query = query.where(key > sa.tuple_(moment, sa.literal(after[1])))
        query = query.order_by(table.c.updated_at, table.c.id).limit(limit)

        def read(connection: sa.Connection) -> list[Execution]:
            ids = list(connection.scalars(query))
            found: dict[str, Execution] = {}
            for some in chunks(ids):
                found |= {e.id: e for e in rows.read_executions(connection, table.c.id.in_(some))}
            return [found[execution_id] for execution_id in ids]

        return self._database.read(read)

    def misspelt_regions(self, canonical: Collection[str], *, since: datetime) -> list[tuple[str, str]]:
        """(job id, region) for regions by other than these names, in jobs made since then."""
        table = executions_table
        query = (
            sa.select(table.c.job_id, table.c.region)
            .join(jobs_table, jobs_table.c.id == table.c.job_id)
            .where(jobs_table.c.created_at >= since, table.c.region.not_in(list(canonical)))
            .distinct()
            .order_by(table.c.job_id, table.c.region)
        )
        return self._database.read(lambda c: [(row.job_id, row.region) for row in c.execute(query)])
