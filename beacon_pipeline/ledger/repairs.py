"""Changes to the record that no reply made: repairs, cancellations, dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from beacon_pipeline.ledger.attempts import open_attempts, supersede
from beacon_pipeline.ledger.reader import LedgerReader
from beacon_pipeline.ledger.reading import attempts_table, calls_table, chunks
from beacon_pipeline.ledger.settlement import CLEARED
from beacon_pipeline.ledger.transitions import Change, apply_changes, lock_statuses
from beacon_pipeline.vocabulary import Cause, Status
from inference.contract import FailureCode

ENDED = (Status.FAILED, Status.TIMED_OUT, Status.CANCELLED)


class LedgerRepairs(LedgerReader):
    """The repairing part of the ledger. Every method is one transaction."""

    def reopen(self, call_id: str, execution_ids: Sequence[str], *, actor: str) -> list[str]:
        """Record that a call believed ended still runs: its executions are dispatched again.

        Applies to failed, timed out and cancelled executions without another open attempt.
        """
        now = self._clock()

        def reopen_all(connection: sa.Connection) -> list[str]:
            statuses = lock_statuses(connection, execution_ids)
            busy = open_attempts(connection, execution_ids)
            ids = [i for i in execution_ids if statuses[i] in ENDED and busy.get(i, call_id) == call_id]
            changes = [
                Change(
                    i, statuses[i], Status.DISPATCHED, Cause.REPAIR, values=CLEARED | {"completed_at": None}
                )
                for i in ids
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
                    .values(settled_at=None, replied=False)
                )
            return apply_changes(connection, changes, at=now, actor=actor)

        return self._database.write(reopen_all)

    def retry(self, execution_ids: Sequence[str], *, actor: str, detail: str | None = None) -> list[str]:
        """Make ended executions without an answer pending again; closes what is left open of them."""
        return self._move_to(Status.PENDING, ENDED, execution_ids, Cause.RETRY, actor, detail, dict(CLEARED))

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
            ids = [i for i in execution_ids if statuses.get(i) in sources]
            supersede(connection, ids, now)
            changes = [Change(i, statuses[i], target, cause, detail, values) for i in ids]
            return apply_changes(connection, changes, at=now, actor=actor)

        return self._database.write(move)
