"""Look at executions as the ledger, their provider and Dagster have them now, and judge each one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.catalog.partitions import key_of
from beacon_pipeline.execution.call_status import status_in, unconfirmed_states
from beacon_pipeline.execution.decide import (
    Attendance,
    ExecutionState,
    MaterializationMatch,
    calls_to_poll,
    deciding_call,
    state_of,
)
from beacon_pipeline.execution.preflight import check_ready, deployments_of
from beacon_pipeline.execution.resources import ProvidersResource
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Call, Cell, Execution
from beacon_pipeline.ledger.status import Status
from beacon_pipeline.reconciliation.consistency import materialization_match, shown_of
from beacon_pipeline.reconciliation.reconcile import Repair, reconcile
from beacon_pipeline.reconciliation.view import Materialization
from inference.contract import CallState, CallStatus, Deployment, NotConfigured

LOOK_SECONDS = 10.0  # for all of a tick's questions to providers together
NO_ANSWER = "it does not say what became of their calls"


@dataclass(frozen=True)
class Inspection:
    """One execution, what its provider says of it, and what repairs it."""

    execution: Execution
    call_status: CallStatus | None  # of the call that decides
    repair: Repair
    provider: str  # that has its newest call, or would get the next
    polled: tuple[tuple[Call, CallStatus], ...] = ()  # calls that the provider was asked about just now
    waits_for: str | None = None  # why it is wrong, no run works on it, and nothing can be done now

    @property
    def confirmed(self) -> list[str]:
        """Ids of calls that had ended on record, and which the provider confirmed."""
        if self.repair is not Repair.NOTHING or not self.execution.status.is_terminal:
            return []
        return [call.id for call, status in self.polled if status.is_final]

    @property
    def was_reached(self) -> bool:
        """Whether the provider gave an answer on it just now."""
        return any(status is not CallStatus.UNREACHABLE for _, status in self.polled)

    @property
    def waits(self) -> bool:
        """Whether nothing can be done for it now."""
        return self.waits_for is not None


ShownBy = Callable[[Sequence[str]], Mapping[str, Materialization]]
"""Partition keys -> their newest materializations, for those that have one."""


class Inspector:
    """Looks at executions as they are now.

    ``shown`` asks Dagster what it shows; ``under_way`` are the cells that its runs work on.
    ``look_seconds`` bounds all questions of one examination to providers together.
    """

    def __init__(
        self,
        ledger: Ledger,
        catalog: Catalog,
        providers: ProvidersResource,
        *,
        shown: ShownBy,
        under_way: Collection[Cell],
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._ledger = ledger
        self._catalog = catalog
        self._providers = providers
        self._shown = shown
        self._under_way = under_way
        self._look_seconds = look_seconds
        self._served = frozenset(catalog.cells())

    def examine(
        self, executions: Sequence[Execution], *, untouched_since: datetime, abandoned: Collection[str] = ()
    ) -> list[Inspection]:
        """What heals each of these executions, in their order.

        An unsettled one counts as unattended when nothing has touched it since ``untouched_since``,
        or its id is among ``abandoned``: the run that worked on it is gone. Executions whose place
        the catalog no longer has are left out: no run can work on them.
        """
        executions = [e for e in executions if e.cell in self._served]
        materialized = self._shown([key_of(e.cell) for e in executions])
        completed = [e.cell for e in executions if e.status is Status.COMPLETED]
        newest = {e.id for e in self._ledger.executions.newest(completed)}
        siblings = self._ledger.executions.siblings(executions)
        states, durable = asyncio.run(self._poll(executions))
        found = []
        for execution in executions:
            partition = materialized.get(key_of(execution.cell))
            of_cell = siblings.get((execution.job_id, execution.cell), ())
            shown = shown_of(execution, of_cell, partition.shown if partition else None)
            unattended = execution.updated_at < untouched_since or execution.id in abandoned
            found.append(
                self._inspected(
                    execution,
                    states,
                    durable,
                    attended_by=self._attended_by(execution, unattended),
                    shown=materialization_match(execution, shown),
                    newest=execution.id in newest,
                )
            )
        return self._held_back(found)

    def _attended_by(self, execution: Execution, unattended: bool) -> Attendance:
        if execution.cell in self._under_way:
            return Attendance.OTHER_RUN
        return Attendance.NOBODY if unattended else Attendance.RECENT

    def _inspected(
        self,
        execution: Execution,
        states: Mapping[str, CallState],
        durable: Mapping[str, bool],
        *,
        attended_by: Attendance,
        shown: MaterializationMatch,
        newest: bool,
    ) -> Inspection:
        deciding = deciding_call(execution, status_in(states))
        call = execution.newest_call
        state = state_of(
            execution,
            deciding,
            budget=self._catalog.settings.attempt_budget,
            durable=durable.get(call.provider, True) if call else True,
            attended_by=attended_by,
            shown=shown,
            newest=newest,
        )
        detail = states[deciding.call.id].detail if deciding.call and deciding.call.id in states else None
        repair = reconcile(state)
        return Inspection(
            execution,
            deciding.status,
            repair,
            self._provider_of(execution),
            tuple((c, states[c.id].status) for c in calls_to_poll(execution) if c.id in states),
            _waits_for(state, repair, detail),
        )

    def _provider_of(self, execution: Execution) -> str:
        call = execution.newest_call
        return call.provider if call else self._catalog.model(execution.model).provider.value

    def _held_back(self, inspected: list[Inspection]) -> list[Inspection]:
        """Those that would be dispatched to a provider that cannot be asked wait instead: a run that is
        bound to fail helps no one, and heals nothing."""
        to_dispatch = [e.execution.cell for e in inspected if e.repair is Repair.REDISPATCH]
        if not to_dispatch:
            return inspected
        blocked = asyncio.run(self._blocked(deployments_of(to_dispatch)))
        return [
            replace(e, repair=Repair.WAIT, waits_for=why)
            if e.repair is Repair.REDISPATCH and (why := blocked.get(e.execution.cell.deployment))
            else e
            for e in inspected
        ]

    async def _blocked(self, deployments: Sequence[Deployment]) -> dict[Deployment, str]:
        """Why each of these deployments cannot be asked, for those of which that is known in time."""
        providers = self._providers.open(self._catalog)

        async def why_not(deployment: Deployment) -> str | None:
            try:
                async with asyncio.timeout(self._look_seconds):
                    await check_ready(self._catalog, providers, [deployment])
            except NotConfigured as reason:
                return str(reason)
            except TimeoutError:
                pass  # the run that asks it finds out, and waits
            return None

        async with providers:
            reasons = await asyncio.gather(*(why_not(deployment) for deployment in deployments))
        return {d: why for d, why in zip(deployments, reasons, strict=True) if why is not None}

    async def _poll(self, executions: Sequence[Execution]) -> tuple[dict[str, CallState], dict[str, bool]]:
        """What the providers say, by call id, and by provider name whether its calls are durable."""
        unsettled = [e.newest_call for e in executions if e.newest_call and e.status is not Status.COMPLETED]
        async with self._providers.open(self._catalog) as providers:
            states = await unconfirmed_states(providers, executions, deadline_seconds=self._look_seconds)
            return states, {name: providers.is_durable(name) for name in {c.provider for c in unsettled}}


def _waits_for(state: ExecutionState, repair: Repair, detail: str | None) -> str | None:
    """Why nothing can be done for an execution that no run works on, or None where that is not so."""
    ended = state.status.is_terminal and state.attended_by is not Attendance.OTHER_RUN
    alone = ended or state.attended_by is Attendance.NOBODY
    if repair is not Repair.WAIT or state.call_status is not CallStatus.UNREACHABLE or not alone:
        return None
    return f"{NO_ANSWER}: {detail}" if detail else NO_ANSWER
