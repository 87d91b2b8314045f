"""Changes to the record that no reply made: repairs, cancellations, dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from beacon_pipeline.ledger.apply_outcome import CLEARED
from beacon_pipeline.ledger.attempt_rows import newest_failures, open_attempts, supersede
from beacon_pipeline.ledger.change_status import apply_changes, lock_statuses, note_repairs
from beacon_pipeline.ledger.parts.part import Part
from beacon_pipeline.ledger.rows import (
    attempts_table,
    calls_table,
    chunks,
    executions_table,
    transitions_table,
)
from beacon_pipeline.ledger.status import UNSUCCESSFUL, Cause, Status
from beacon_pipeline.ledger.transitions import Change
from inference.contract import FailureCode


class Repairs(Part):
    """What a repair changes on record."""

    def reopen(self, call_id: str, execution_ids: Sequence[str], *, actor: str) -> list[str]:
        """Record that a call believed ended still runs: its executions are dispatched again.

        Applies to executions without an answer that have no other open attempt.
        """
        now = self._clock()

        def reopen_all(connection: sa.Connection) -> list[str]:
            statuses = lock_statuses(connection, execution_ids)
            busy = open_attempts(connection, execution_ids)
            ids = [
                i
                for i in execution_ids
                if statuses[i] is not Status.COMPLETED and busy.get(i, call_id) == call_id
            ]
            changes = [
                Change(
                    i, statuses[i], Status.DISPATCHED, Cause.REPAIR, values=CLEARED | {"completed_at": None}
                )
                for i in ids
                if statuses[i] is not Status.DISPATCHED
            ]
            for some in chunks(ids):
                connection.execute(
                    sa.update(attempts_table)
                    .where(attempts_table.c.call_id == call_id, attempts_table.c.execution_id.in_(some))
                    .values(settled_at=None, failure_code=None, failure_message=None)
                )
            if ids:
                connection.execute(
                    sa.update(calls_table)
                    .where(calls_table.c.id == call_id)
                    .values(
                        settled_at=None,
                        replied=False,
                        confirmed_at=None,
                        truth=None,
                        failure_code=None,
                        failure_message=None,
                    )
                )
            return apply_changes(connection, changes, at=now, actor=actor)

        return self._database.write(reopen_all)

    def retry(self, execution_ids: Sequence[str], *, actor: str, detail: str | None = None) -> list[str]:
        """Make executions without an answer pending again: ended ones, whose open attempts it closes, and
        dispatched ones that have no attempt in flight."""
        sources = (*UNSUCCESSFUL, Status.DISPATCHED)
        return self._move_to(
            Status.PENDING, sources, execution_ids, Cause.RETRY, actor, detail, dict(CLEARED)
        )

    def cancel_pending(self, execution_ids: Sequence[str], *, actor: str) -> list[str]:
        """Cancel executions that were not dispatched."""
        values: dict[str, Any] = {
            "failure_code": FailureCode.CANCELLED.value,
            "failure_message": "cancelled before it was dispatched",
            "completed_at": self._clock(),
        }
        return self._move_to(
            Status.CANCELLED, (Status.PENDING,), execution_ids, Cause.CANCEL, actor, None, values
        )

    def _move_to(
        self,
        target: Status,
        sources: Sequence[Status],
        execution_ids: Sequence[str],
        cause: Cause,
        actor: str,
        detail: str | None,
        values: dict[str, Any],
    ) -> list[str]:
        now = self._clock()

        def move(connection: sa.Connection) -> list[str]:
            statuses = lock_statuses(connection, execution_ids)
            in_flight = open_attempts(connection, execution_ids)
            ids = [
                i
                for i in execution_ids
                if (status := statuses.get(i)) in sources
                and not (status is Status.DISPATCHED and i in in_flight)
            ]
            supersede(connection, ids, now)
            changes = [Change(i, statuses[i], target, cause, detail, values) for i in ids]
            return apply_changes(connection, changes, at=now, actor=actor)

        return self._database.write(move)

    def confirm(self, call_ids: Sequence[str]) -> None:
        """Keep that the provider was asked again about calls that ended, and reported the same."""
        now = self._clock()

        def update(connection: sa.Connection) -> None:
            for some in chunks(call_ids):
                connection.execute(
                    sa.update(calls_table).where(calls_table.c.id.in_(some)).values(confirmed_at=now)
                )

        self._database.write(update)

    def dead_letter(self, execution_ids: Sequence[str], *, actor: str, detail: str) -> list[str]:
        """End executions without an answer for good; returns the ids of those that changed.

        Unsettled ones become failed, with the reason of their newest attempt where it has one.
        """
        now = self._clock()

        def end(connection: sa.Connection) -> list[str]:
            statuses = lock_statuses(connection, execution_ids)
            open_ids = [i for i in execution_ids if not statuses[i].is_terminal]
            reasons = newest_failures(connection, open_ids)
            supersede(connection, open_ids, now)
            changes = []
            for execution_id in open_ids:
                code = reasons.get(execution_id) or FailureCode.INTERRUPTED.value
                values = {
                    "failure_code": code,
                    "failure_message": detail,
                    "dead_lettered_at": now,
                    "completed_at": now,
                }
                source = statuses[execution_id]
                changes.append(Change(execution_id, source, Status.FAILED, Cause.REPAIR, detail, values))
            ended = [i for i in execution_ids if statuses[i] in (Status.FAILED, Status.TIMED_OUT)]
            return apply_changes(connection, changes, at=now, actor=actor) + self._mark(
                connection, ended, now
            )

        return self._database.write(end)

    @staticmethod
    def _mark(connection: sa.Connection, execution_ids: Sequence[str], now: datetime) -> list[str]:
        marked: list[str] = []
        for some in chunks(execution_ids):
            unmarked = executions_table.c.id.in_(some) & executions_table.c.dead_lettered_at.is_(None)
            marked += connection.scalars(sa.select(executions_table.c.id).where(unmarked))
            connection.execute(sa.update(executions_table).where(unmarked).values(dead_lettered_at=now))
        return marked

    def adopt_region(self, job_id: str, spelled: str, region: str, *, actor: str) -> int:
        """Give a job's executions and calls of a misspelt region its canonical name.

        A transition of each execution, from its status to the same, keeps what was on record.

        An execution that was made under the canonical name meanwhile, and never asked, makes way.
        Returns how many executions were renamed; those that exist twice, both asked, stay.
        """
        table = executions_table
        other = table.alias()
        same_place = (
            (other.c.job_id == job_id)
            & (other.c.region == region)
            & (other.c.model == table.c.model)
            & (other.c.question == table.c.question)
            & (other.c.arm == table.c.arm)
            & (other.c.block == table.c.block)
            & (other.c.sample == table.c.sample)
        )
        misspelt = (table.c.job_id == job_id) & (table.c.region == spelled)

        def adopt(connection: sa.Connection) -> int:
            asked = sa.exists().where(attempts_table.c.execution_id == other.c.id)
            twins = sa.select(other.c.id).join(table, same_place & misspelt).where(~asked)
            ids = list(connection.scalars(twins))
            for some in chunks(ids):
                of_twins = transitions_table.c.execution_id.in_(some)
                connection.execute(sa.delete(transitions_table).where(of_twins))
                connection.execute(sa.delete(table).where(table.c.id.in_(some)))
            free = ~sa.exists().where(same_place)
            respelt = connection.execute(sa.select(table.c.id, table.c.status).where(misspelt, free)).all()
            connection.execute(sa.update(table).where(misspelt, free).values(region=region))
            note_repairs(
                connection,
                {row.id: Status(row.status) for row in respelt},
                at=self._clock(),
                actor=actor,
                detail=f"its region was on record as {spelled!r}, which is {region!r}",
            )
            connection.execute(
                sa.update(calls_table)
                .where(calls_table.c.job_id == job_id, calls_table.c.region == spelled)
                .values(region=region)
            )
            return len(respelt)

        return self._database.write(adopt)
