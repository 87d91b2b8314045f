"""Calls to providers: written before they are sent, and settled with what came of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from beacon_pipeline.ledger import rows
from beacon_pipeline.ledger.apply_outcome import change_for
from beacon_pipeline.ledger.attempt_rows import close_attempts, open_attempts, supersede, write_attempts
from beacon_pipeline.ledger.change_status import apply_changes, lock_statuses
from beacon_pipeline.ledger.parts.part import Part
from beacon_pipeline.ledger.records import Call, CallFacts, Execution, Outcome, Unsuccessful
from beacon_pipeline.ledger.rows import calls_table
from beacon_pipeline.ledger.status import Cause, Status
from beacon_pipeline.ledger.transitions import Change
from inference.contract import FailureCode, Request
from inference.inspection import Account

# A value that no column takes: SQLite's driver raises OverflowError for an integer of more than 64 bits,
# PostgreSQL's server a DataError; the statement is refused before anything of it is written.
UNSTORABLE = (sa.exc.StatementError, ArithmeticError, ValueError, TypeError)
PROBLEM_LIMIT = 200  # characters of such a refusal kept as the failure's message


class Calls(Part):
    """The calls on record. A status changes only in `apply_changes`."""

    def open(
        self,
        executions: Sequence[Execution],
        build: Callable[[Sequence[Execution]], Request],
        *,
        provider: str,
        actor: str,
    ) -> Call | None:
        """Write the intent to call a provider, before anything is sent.

        In one transaction the pending ones among ``executions`` (all of one deployment) become
        dispatched, each gets its next attempt, and the request that ``build`` makes for them is
        kept whole. Returns the call, or None when someone else had claimed them all.
        """
        now = self._clock()

        def claim(connection: sa.Connection) -> sa.RowMapping | None:
            statuses = lock_statuses(connection, [execution.id for execution in executions])
            claimed = [e for e in executions if statuses.get(e.id) is Status.PENDING]
            if not claimed:
                return None
            request = build(claimed)
            connection.execute(sa.insert(calls_table), [_call_values(request, claimed, provider, now)])
            write_attempts(connection, request, claimed)
            items = {item.id: item for item in request.items}
            changes = [
                Change(
                    execution.id,
                    Status.PENDING,
                    Status.DISPATCHED,
                    Cause.DISPATCH,
                    values={
                        "prompt": items[execution.id].prompt,
                        "system_prompt": items[execution.id].system_prompt,
                        "parameters": items[execution.id]
                        .parameters(request.parameters)
                        .model_dump(mode="json"),
                        "dispatched_at": now,
                        "completed_at": None,
                    },
                )
                for execution in claimed
            ]
            apply_changes(connection, changes, at=now, actor=actor)
            return rows.read_call(connection, request.id)

        row = self._database.write(claim)
        return None if row is None else rows.call_from(row)

    def accept(self, call_id: str, provider_call_id: str, *, account: Account | None = None) -> str:
        """Keep the provider's call id, and whose call it is; the first one stays. Returns the id on record.

        A submit is at least once: when two processes send the same request, each may be given an id,
        and either leads to the call that a durable provider runs. Raises LookupError.
        """
        now = self._clock()

        def record(connection: sa.Connection) -> str:
            connection.execute(
                sa.update(calls_table)
                .where(calls_table.c.id == call_id, calls_table.c.provider_call_id.is_(None))
                .values(
                    provider_call_id=provider_call_id,
                    accepted_at=now,
                    workspace=account.workspace if account else None,
                    environment=account.environment if account else None,
                )
            )
            return str(rows.read_call(connection, call_id)["provider_call_id"])

        return self._database.write(record)

    def request_cancel(self, call_id: str) -> None:
        """Keep that a person wants the call stopped; the first time counts."""
        self._update_call(
            call_id, cancel_requested_at=sa.func.coalesce(calls_table.c.cancel_requested_at, self._clock())
        )

    def _update_call(self, call_id: str, **values: Any) -> None:
        change = sa.update(calls_table).where(calls_table.c.id == call_id).values(**values)
        self._database.write(lambda c: c.execute(change))

    def get(self, call_id: str) -> Call:
        """The call with this id. Raises LookupError."""
        return rows.call_from(self._database.read(lambda c: rows.read_call(c, call_id)))

    def unsettled(self, *, after: tuple[datetime, str] | None = None, limit: int = 500) -> list[Call]:
        """Calls whose end is not on record, oldest first, past the key (created_at, id)."""
        key = sa.tuple_(calls_table.c.created_at, calls_table.c.id)
        query = sa.select(calls_table).where(calls_table.c.settled_at.is_(None))
        if after is not None:
            moment = sa.bindparam("moment", after[0], type_=calls_table.c.created_at.type)
            query = query.where(key > sa.tuple_(moment, sa.literal(after[1])))
        query = query.order_by(calls_table.c.created_at, calls_table.c.id).limit(limit)
        return self._database.read(lambda c: [rows.call_from(row) for row in c.execute(query).mappings()])

    def settle(
        self,
        call_id: str,
        outcomes: Mapping[str, Outcome],
        facts: CallFacts,
        *,
        actor: str,
        cause: Cause = Cause.REPLY,
    ) -> list[str]:
        """Record how a call ended: ``outcomes`` by execution id, and the facts of the call.

        One transaction. Returns the ids of the executions that changed: a late or repeated
        report changes nothing, except that an answer always wins over a failure on record.
        """
        now = self._clock()
        return self._database.write(
            lambda c: self._settle(c, call_id, outcomes, facts, actor=actor, cause=cause, now=now)
        )

    def settle_with(
        self,
        call_id: str,
        judge: Callable[[Sequence[Execution]], Mapping[str, Outcome]],
        facts: CallFacts,
        *,
        actor: str,
        cause: Cause = Cause.REPLY,
    ) -> list[Execution]:
        """As `settle_call`, with the outcomes that ``judge`` gives for the executions of the call.

        ``judge`` may run several times, and must have no effect. Returns the call's executions, changed
        or not, as they are on record then. What the database cannot hold of one execution ends that one
        as ``malformed_reply``, and no other.
        """
        now = self._clock()

        def settle(connection: sa.Connection) -> list[Execution]:
            outcomes = judge(rows.executions_on(connection, call_id))
            self._settle(connection, call_id, outcomes, facts, actor=actor, cause=cause, now=now)
            return rows.executions_on(connection, call_id)

        def close(connection: sa.Connection) -> list[Execution]:
            self._close_call(connection, call_id, facts, now)
            return rows.executions_on(connection, call_id)

        try:
            return self._database.write(settle)
        except UNSTORABLE:
            outcomes = judge(self._database.read(lambda c: rows.executions_on(c, call_id)))
            for execution_id, outcome in outcomes.items():
                self._settle_alone(call_id, execution_id, outcome, actor=actor, cause=cause, now=now)
            # The call is closed last: until then, whoever comes next reads its reply again.
            return self._database.write(close)

    def _settle_alone(
        self, call_id: str, execution_id: str, outcome: Outcome, *, actor: str, cause: Cause, now: datetime
    ) -> None:
        def settle(one: Outcome) -> None:
            outcomes = {execution_id: one}
            self._database.write(
                lambda c: self._settle(c, call_id, outcomes, None, actor=actor, cause=cause, now=now)
            )

        try:
            settle(outcome)
        except UNSTORABLE as error:
            problem = " ".join(str(error).split())[:PROBLEM_LIMIT]
            settle(
                Unsuccessful(
                    status=Status.FAILED,
                    failure_code=FailureCode.MALFORMED_REPLY,
                    message=f"the database cannot hold what came: {problem}",
                    dead_letter=True,
                )
            )

    def _settle(
        self,
        connection: sa.Connection,
        call_id: str,
        outcomes: Mapping[str, Outcome],
        facts: CallFacts | None,
        *,
        actor: str,
        cause: Cause,
        now: datetime,
    ) -> list[str]:
        """Record these outcomes, and close the call where its facts are given."""
        statuses = lock_statuses(connection, list(outcomes))
        open_on = open_attempts(connection, list(outcomes))
        changes = [
            change
            for execution_id, outcome in outcomes.items()
            if (
                change := change_for(
                    execution_id,
                    statuses[execution_id],
                    outcome,
                    attempt_open=open_on.get(execution_id) == call_id,
                    other_attempt_open=open_on.get(execution_id) not in (None, call_id),
                    cause=cause,
                    at=now,
                )
            )
        ]
        answered = [i for i, status in statuses.items() if status is Status.COMPLETED]
        close_attempts(connection, call_id, outcomes, now, answered=answered)
        applied = apply_changes(connection, changes, at=now, actor=actor)
        supersede(connection, [c.execution_id for c in changes if c.target is Status.COMPLETED], now)
        if facts is not None:
            self._close_call(connection, call_id, facts, now)
        return applied

    def _close_call(self, connection: sa.Connection, call_id: str, facts: CallFacts, now: datetime) -> None:
        still_without_reply = calls_table.c.replied.is_(False)
        connection.execute(
            sa.update(calls_table)
            .where(calls_table.c.id == call_id, still_without_reply)
            .values(
                settled_at=now,
                truth=facts.status.value,
                replied=facts.replied,
                failure_code=facts.failure.code.value if facts.failure else None,
                failure_message=facts.failure.message if facts.failure else None,
                raw_reply=facts.raw_reply,
                reported_region=facts.reported_region,
                cloud=facts.cloud,
                task_id=facts.task_id,
                cold_start=facts.cold_start,
                started_at=facts.started_at,
                finished_at=facts.finished_at,
            )
        )


def _call_values(
    request: Request, claimed: Sequence[Execution], provider: str, now: datetime
) -> dict[str, Any]:
    return {
        "id": request.id,
        "job_id": claimed[0].job_id,
        "region": request.deployment.region,
        "model": request.deployment.model,
        "provider": provider,
        "request": request.model_dump_json(),
        "created_at": now,
        "replied": False,
    }
