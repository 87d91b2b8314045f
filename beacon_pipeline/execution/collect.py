"""Executions whose place the catalog no longer has: read what providers have of them, and ask nothing anew.

No Dagster run can work on a partition that is gone, and an answer that was paid for is not lost for that: it
is read here, without a run. What has none, and can have none without asking again, ends with the reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.catalog.partitions import key_of
from beacon_pipeline.execution.call import Calls, in_thread, is_overdue
from beacon_pipeline.execution.call_status import status_in, unconfirmed_states
from beacon_pipeline.execution.decide import (
    Action,
    Attendance,
    calls_to_poll,
    decide,
    deciding_call,
    state_of,
)
from beacon_pipeline.execution.providers import Providers
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Call, Execution
from beacon_pipeline.ledger.status import Status
from inference.contract import CallState, CallStatus, NotConfigured, ReplyUnavailable, SubmitUnknown

NEVER_ENDED = "the catalog no longer has what this call asks, and it never ended"
_ASKS_ANEW = frozenset({Action.DISPATCH, Action.INTERRUPT, Action.GIVE_UP})


class _Seen(NamedTuple):
    """An execution, the call that decides, and what the table says of the two."""

    execution: Execution
    call: Call | None
    status: CallStatus | None
    action: Action


class Collected(NamedTuple):
    """Ids of executions: settled just now, and waiting for a provider that cannot be asked now."""

    settled: set[str]
    waiting: set[str]


class Collector:
    """``actor`` is kept with every status change; ``look_seconds`` bounds all questions to providers.

    All coroutines raise LedgerUnavailable.
    """

    def __init__(
        self, ledger: Ledger, catalog: Catalog, providers: Providers, *, actor: str, look_seconds: float
    ) -> None:
        self._ledger = ledger
        self._catalog = catalog
        self._providers = providers
        self._actor = actor
        self._look_seconds = look_seconds
        self._calls = Calls(ledger, catalog, providers, actor=actor, sleep=asyncio.sleep)
        self._served = frozenset(catalog.cells())

    async def collect(self, executions: Sequence[Execution]) -> Collected:
        """Look once at executions without an answer that no run works on, and record what there is."""
        states = await unconfirmed_states(self._providers, executions, deadline_seconds=self._look_seconds)
        seen = [self._seen(execution, states) for execution in executions]
        for call, action in {one.call.id: (one.call, one.action) for one in seen if one.call}.values():
            with suppress(ReplyUnavailable, SubmitUnknown, NotConfigured):  # then it stays as it is
                await self._act(call, action, states)
        confirmed = {
            call.id
            for one in seen
            if one.action is Action.NOTHING
            for call in calls_to_poll(one.execution)
            if call.id in states and states[call.id].status.is_final
        }
        await in_thread(self._ledger.repairs.confirm, sorted(confirmed))
        await self._end(executions, {one.execution.id for one in seen if one.action in _ASKS_ANEW})
        before = {execution.id: execution.status for execution in executions}
        now = await in_thread(self._ledger.executions.with_ids, list(before))
        settled = {e.id for e in now if e.status.is_terminal and e.status is not before[e.id]}
        unreachable = {one.execution.id for one in seen if one.status is CallStatus.UNREACHABLE}
        return Collected(settled, unreachable - settled)

    def _seen(self, execution: Execution, states: Mapping[str, CallState]) -> _Seen:
        deciding = deciding_call(execution, status_in(states))
        newest = execution.newest_call
        state = state_of(
            execution,
            deciding,
            budget=self._catalog.settings.attempt_budget,
            durable=newest is None or self._providers.is_durable(newest.provider),
            attended_by=Attendance.NOBODY,
        )
        return _Seen(execution, deciding.call, deciding.status, decide(state))

    async def _act(self, call: Call, action: Action, states: Mapping[str, CallState]) -> None:
        if action is Action.SETTLE:
            await self._calls.settle(call, states[call.id])
        elif action is Action.RESUBMIT:
            await self._calls.submit(call, again=True)
        elif action in (Action.FOLLOW, Action.REATTACH) and is_overdue(call, self._catalog):
            on_call = await in_thread(self._ledger.executions.on_call, call.id)
            if not any(execution.cell in self._served for execution in on_call):
                await self._calls.cancel(call, why=NEVER_ENDED)

    async def _end(self, executions: Sequence[Execution], without_call: set[str]) -> None:
        """End what could only be asked again, and what the end of its call left to be asked again."""
        now = await in_thread(self._ledger.executions.with_ids, [e.id for e in executions])
        for execution in now:
            if execution.status is Status.PENDING or execution.id in without_call:
                why = f"the catalog no longer has {key_of(execution.cell)}"
                end = self._ledger.repairs.dead_letter
                await in_thread(end, [execution.id], actor=self._actor, detail=why)
