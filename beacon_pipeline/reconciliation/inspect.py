"""Look at executions as the ledger, their provider and Dagster have them now, and judge each one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.catalog.partitions import key_of
from beacon_pipeline.execution.call_status import states_of
from beacon_pipeline.execution.decide import CallStage, Facts, facts_of, stage_of
from beacon_pipeline.execution.preflight import check_ready, deployments_of
from beacon_pipeline.execution.providers import Providers
from beacon_pipeline.execution.resources import ProvidersResource
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Cell, Execution
from beacon_pipeline.ledger.status import Status
from beacon_pipeline.reconciliation.consistency import Shown
from beacon_pipeline.reconciliation.reconcile import Case, Healing, View, reconcile
from beacon_pipeline.reconciliation.view import Materialized
from inference.contract import CallState, CallStatus, Deployment, NotConfigured

LOOK_SECONDS = 10.0  # for all of a tick's questions to providers together
NO_WORD = "it gives no word on their calls"


@dataclass(frozen=True)
class Inspection:
    """One execution, what the provider says of it, and what heals it."""

    execution: Execution
    call_status: CallStatus | None
    healing: Healing
    provider: str  # that has its newest call, or would get the next
    waits_for: str | None = None  # why it is wrong, nobody works on it, and nothing can be done now

    @property
    def confirms(self) -> bool:
        """Whether the provider was asked about a call that ended, and the record stands."""
        final = self.call_status is not None and self.call_status.is_final
        return final and self.healing is Healing.NOTHING and self.execution.status.is_terminal

    @property
    def was_told(self) -> bool:
        """Whether the provider gave a word on it just now."""
        call = self.execution.newest_call
        asked = call is not None and call.confirmed_at is None
        return asked and self.call_status not in (None, CallStatus.UNREACHABLE)

    @property
    def waits(self) -> bool:
        """Whether nothing can be done for it now."""
        return self.waits_for is not None


ShownBy = Callable[[Sequence[str]], Mapping[str, Materialized]]
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
        newest = {e.id for e in self._ledger.newest_executions(completed)}
        states, durable = asyncio.run(self._ask([e for e in executions if _may_have_ended(e)]))
        found = []
        for execution in executions:
            shown = materialized.get(key_of(execution.cell))
            case = Case(
                facts=self._facts(execution, states, durable),
                view=self._view(execution, shown.shown if shown else None),
                unattended=execution.updated_at < untouched_since or execution.id in abandoned,
                newest=execution.id in newest,
                told=execution.status is Status.CANCELLED or execution.dead_lettered_at is not None,
            )
            call = execution.newest_call
            found.append(self._examined(execution, case, states.get(call.id) if call else None))
        return self._held_back(found)

    def _examined(self, execution: Execution, case: Case, state: CallState | None) -> Inspection:
        healing, call_status = reconcile(case), case.facts.call_status
        left_alone = case.unattended or execution.status.is_terminal
        no_word = healing is Healing.WAIT and call_status is CallStatus.UNREACHABLE and left_alone
        why = f"{NO_WORD}: {state.detail}" if state and state.detail else NO_WORD
        return Inspection(
            execution, call_status, healing, self._provider_of(execution), why if no_word else None
        )

    def _provider_of(self, execution: Execution) -> str:
        call = execution.newest_call
        return call.provider if call else self._catalog.model(execution.model).provider.value

    def _held_back(self, examined: list[Inspection]) -> list[Inspection]:
        """Nothing is dispatched to what cannot be asked: a run would only fail at it."""
        to_dispatch = [e.execution.cell for e in examined if e.healing is Healing.REDISPATCH]
        if not to_dispatch:
            return examined
        blocked = asyncio.run(self._blocked(deployments_of(to_dispatch)))
        return [
            replace(e, healing=Healing.WAIT, waits_for=why)
            if e.healing is Healing.REDISPATCH
            and (why := blocked.get(Deployment(region=e.execution.region, model=e.execution.model)))
            else e
            for e in examined
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

        try:
            reasons = await asyncio.gather(*(why_not(deployment) for deployment in deployments))
        finally:
            await providers.close()
        return {d: why for d, why in zip(deployments, reasons, strict=True) if why is not None}

    def _facts(
        self, execution: Execution, states: Mapping[str, CallState], durable: Mapping[str, bool]
    ) -> Facts:
        call = execution.newest_call
        state = states.get(call.id) if call else None
        confirmed = call.status if call and call.confirmed_at else None
        return facts_of(
            execution,
            state.status if state else confirmed,
            budget=self._catalog.settings.attempt_budget,
            durable=durable.get(call.provider, True) if call else True,
        )

    def _view(self, execution: Execution, shown: Shown | None) -> View:
        if execution.cell in self._under_way:
            return View.UNDER_WAY
        if shown is None:
            return View.MISSING
        if shown.execution_id != execution.id:
            return View.OTHER
        kind = execution.answer_kind.value if execution.answer_kind else None
        agrees = (shown.status, shown.answer_kind) == (execution.status.value, kind)
        return View.AGREES if agrees else View.DIFFERS

    async def _ask(self, executions: Sequence[Execution]) -> tuple[dict[str, CallState], dict[str, bool]]:
        """The provider's word by call id, and by provider name whether its calls are durable."""
        calls = list({e.newest_call.id: e.newest_call for e in executions if e.newest_call}.values())
        providers = self._providers.open(self._catalog)
        try:
            states = await states_of(providers, calls, deadline_seconds=self._look_seconds)
            return states, {name: _is_durable(providers, name) for name in {c.provider for c in calls}}
        finally:
            await providers.close()


def _is_durable(providers: Providers, name: str) -> bool:
    try:
        return providers.named(name).durable
    except NotConfigured:
        return True  # nothing is known of it: so nothing is given up


def _may_have_ended(execution: Execution) -> bool:
    """Whether the provider may know of an end of the newest call that the record does not."""
    call = execution.newest_call
    if call is None or execution.status in (Status.COMPLETED, Status.PENDING):
        return False
    return call.confirmed_at is None and stage_of(call) in (CallStage.ACCEPTED, CallStage.INTENDED)
