"""Bring executions to their true state: the loop around `decide`.

For one deployment of one job: read the ledger, decide, act, and again, until every execution is
settled or patience runs out. Every step is durable before the next one begins, so a process that
dies anywhere in here leaves a record from which the next one goes on.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import structlog

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.catalog.kept import as_kept
from beacon_pipeline.catalog.plan import DEFAULT_PLAN, Plan
from beacon_pipeline.execution.call import FIRST_POLL_SECONDS, Calls, age_of, in_thread, is_overdue
from beacon_pipeline.execution.decide import (
    Action,
    Attendance,
    DecidingCall,
    ExecutionState,
    calls_to_poll,
    decide,
    deciding_call,
    state_of,
)
from beacon_pipeline.execution.preflight import check_configured, check_ready, deployments_to_ask
from beacon_pipeline.execution.providers import Providers
from beacon_pipeline.execution.retry_policy import retry_delay_seconds
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Call, Cell, Execution
from beacon_pipeline.ledger.status import Status
from inference.contract import CallState, CallStatus, Deployment, ReplyUnavailable, SubmitUnknown

SLOWEST_POLL_SECONDS = 2.0
# While a call is pending, the record is looked at this often for what others did: at one time of its own
# for each deployment, or a thousand that were sent together are read together.
READ_AGAIN_SECONDS = (20.0, 60.0)
SUBMITTING_SECONDS = 30.0  # from writing an intent to the record of its acceptance, at the very most
UNREACHABLE_PATIENCE_SECONDS = 120.0  # of one run; the executions stay dispatched and are healed later

log = structlog.get_logger()
Result = TypeVar("Result")
OnSettled = Callable[[Sequence[Execution]], None]


@dataclass
class _DeploymentRun:
    """What is true only while one deployment is being worked on."""

    job_id: str
    asks: Catalog  # with the words of the job
    cells: Sequence[Cell]
    on_settled: OnSettled
    plan: Plan = DEFAULT_PLAN
    block: int = 1
    asked: asyncio.Event = field(default_factory=asyncio.Event)  # its calls are made, or it has none to make
    reported: set[str] = field(default_factory=set)  # executions handed to `on_settled`
    seen_unsettled: set[str] = field(default_factory=set)  # executions that had not ended, or were asked here
    states: dict[str, CallState] = field(default_factory=dict)  # by call id, as polled just now
    poll_seconds: float = FIRST_POLL_SECONDS
    unacknowledged: set[str] = field(default_factory=set)  # calls whose submit got no answer here
    read_at: float = 0.0  # when the record was read, by the event loop's clock
    read_again_seconds: float = field(default_factory=lambda: random.uniform(*READ_AGAIN_SECONDS))
    unreachable_since: datetime | None = None

    def status_of(self, call: Call) -> CallStatus | None:
        state = self.states.get(call.id)
        return state.status if state else None

    def deciding(self, execution: Execution) -> DecidingCall:
        return deciding_call(execution, self.status_of)

    def deciding_calls(self, executions: Iterable[Execution]) -> list[Call]:
        """The calls that decide for these executions, each once."""
        found = [self.deciding(execution).call for execution in executions]
        return list({call.id: call for call in found if call}.values())


class Materializer:
    """Works on the executions of a job. ``actor`` is kept with every status change.

    ``attended_by``: whether a person launched the run, or reconciliation, which asks nothing again that
    a person cancelled or was alerted of.

    All coroutines raise LedgerUnavailable, and NotConfigured before anything was dispatched.
    """

    def __init__(
        self,
        ledger: Ledger,
        catalog: Catalog,
        providers: Providers,
        *,
        actor: str,
        attended_by: Attendance = Attendance.RUN,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        unreachable_patience_seconds: float = UNREACHABLE_PATIENCE_SECONDS,
    ) -> None:
        self._ledger = ledger
        self._catalog = catalog
        self._providers = providers
        self._actor = actor
        self._attended_by = attended_by
        self._sleep = sleep
        self._patience = unreachable_patience_seconds
        self._calls = Calls(ledger, catalog, providers, actor=actor, sleep=sleep)

    async def materialize(
        self, job_id: str, cells: Sequence[Cell], on_settled: OnSettled, plan: Plan = DEFAULT_PLAN
    ) -> None:
        """Work on all cells block by block, and in a block on all deployments side by side.

        A block begins when the one before has ended: no call of it is open. ``on_settled`` is called with
        executions as soon as nothing more is to be done for them here; those that are still dispatched when
        patience runs out come last, as they are, and with them those of the blocks that did not begin.
        """
        by_deployment: dict[Deployment, list[Cell]] = {}
        for cell in cells:
            by_deployment.setdefault(cell.deployment, []).append(cell)
        check_configured(self._catalog, self._providers, by_deployment)
        executions = await in_thread(self._ledger.executions.of_job, job_id, cells)
        await check_ready(self._catalog, self._providers, deployments_to_ask(executions))
        asks = await in_thread(self._asked_by, job_id)
        unsettled = {e.id for e in executions if not e.status.is_terminal}
        blocks = iter(sorted(plan.blocks))
        for block in blocks:
            left: set[str] = set()

            def settled(some: Sequence[Execution], left: set[str] = left) -> None:
                left.update(e.id for e in some if not e.status.is_terminal)
                on_settled(some)

            works = [
                _DeploymentRun(
                    job_id, asks, by_deployment[deployment], settled, plan, block, seen_unsettled=unsettled
                )
                for deployment in plan.deployment_order(block, by_deployment)
            ]
            await self._block(works)
            if left:
                break
        for block in blocks:
            on_settled(await in_thread(self._ledger.executions.of_job, job_id, cells, block=block))

    def _asked_by(self, job_id: str) -> Catalog:
        """The catalog as this job asks it: what it asks does not change when the catalog does."""
        content = self._ledger.jobs.content_unlike(job_id, self._catalog.digest)
        return self._catalog if content is None else as_kept(self._catalog, content)

    async def _block(self, works: Sequence[_DeploymentRun]) -> None:
        """Work on a block's deployments. Those of a plan make their calls one by one, in its order."""
        before: asyncio.Event | None = None
        turns = []
        for work in works:
            turns.append(self._in_turn(work, None if work.plan.is_default else before))
            before = work.asked
        await _side_by_side(turns)

    async def _in_turn(self, work: _DeploymentRun, before: asyncio.Event | None) -> None:
        try:
            if before is not None:
                await before.wait()
            await self._deployment(work)
        finally:
            work.asked.set()

    async def _deployment(self, work: _DeploymentRun) -> None:
        executions = await self._executions(work)
        while True:
            plan = self._plan([e for e in executions if e.id not in work.reported], work)
            self._report(work, plan.pop(Action.NOTHING, []) + plan.pop(Action.SHOW, []))
            waiting = plan.pop(Action.WAIT, []) + plan.pop(Action.FOLLOW, [])
            if not plan and not waiting:
                return
            for action, some in plan.items():
                await self._act(action, some, work)
            work.asked.set()
            if plan:
                if all(e.id in work.reported for e in executions):
                    return
                if plan.keys() != {Action.POLL}:
                    if plan.keys() != {Action.RESUBMIT}:
                        work.poll_seconds = FIRST_POLL_SECONDS
                    executions = await self._executions(work)
                continue
            if self._out_of_patience(waiting, work):
                self._leave(waiting, work)
                return
            await self._sleep(work.poll_seconds)
            work.poll_seconds = min(work.poll_seconds * 1.5, SLOWEST_POLL_SECONDS)
            await self._poll(waiting, work)
            if self._record_may_have_moved(waiting, work):
                executions = await self._executions(work)

    async def _executions(self, work: _DeploymentRun) -> list[Execution]:
        work.read_at = asyncio.get_running_loop().time()
        return await in_thread(self._ledger.executions.of_job, work.job_id, work.cells, block=work.block)

    def _record_may_have_moved(self, waiting: Sequence[Execution], work: _DeploymentRun) -> bool:
        """Avoid re-reading the ledger on every poll. A success needs no re-read: what it means depends on
        nothing that others did. Any other end may have been asked for by a person."""
        calls = work.deciding_calls(waiting)
        statuses = {status for call in calls if (status := work.status_of(call))}
        ended = any(status.is_final and status is not CallStatus.SUCCEEDED for status in statuses)
        sent_by_others = any(call.provider_call_id is None for call in calls)
        since_read = asyncio.get_running_loop().time() - work.read_at
        return ended or sent_by_others or since_read > work.read_again_seconds

    def _plan(self, executions: Sequence[Execution], work: _DeploymentRun) -> dict[Action, list[Execution]]:
        plan: dict[Action, list[Execution]] = {}
        for execution in executions:
            ended = execution.status.is_terminal
            if not ended:
                work.seen_unsettled.add(execution.id)
            action = decide(self._state(execution, work))
            if action is Action.DISPATCH and ended and execution.id in work.seen_unsettled:
                action = Action.NOTHING  # it ended while this run worked on it, cancelled by a person, say
            if action is Action.GIVE_UP and ended:
                action = Action.NOTHING
            plan.setdefault(action, []).append(execution)
        return plan

    def _state(self, execution: Execution, work: _DeploymentRun) -> ExecutionState:
        deciding, call = work.deciding(execution), execution.newest_call
        return state_of(
            execution,
            deciding,
            budget=self._catalog.settings.attempt_budget,
            durable=self._providers.named(call.provider).durable if call else True,
            submitting=call is not None
            and call.id not in work.unacknowledged
            and age_of(call) < SUBMITTING_SECONDS,
            attended_by=self._attended_by,
        )

    def _report(self, work: _DeploymentRun, executions: Sequence[Execution]) -> None:
        if executions:
            work.reported.update(execution.id for execution in executions)
            work.on_settled(executions)

    def _report_settled(self, work: _DeploymentRun, on_call: Sequence[Execution]) -> None:
        """Hand over what the end of a call settled: it is not asked again here, whatever budget is left.

        What had ended before without an answer, and still has none, is left to the table.
        """
        settled = [
            e
            for e in _unreported(on_call, work)
            if e.status is Status.COMPLETED or (e.status.is_terminal and e.id in work.seen_unsettled)
        ]
        self._report(work, settled)

    def _leave(self, waiting: Sequence[Execution], work: _DeploymentRun) -> None:
        reasons = {state.detail for state in work.states.values() if state.detail}
        log.warning("left unsettled", calls=len(work.deciding_calls(waiting)), reasons=sorted(reasons))
        self._report(work, waiting)

    def _out_of_patience(self, waiting: Sequence[Execution], work: _DeploymentRun) -> bool:
        calls = work.deciding_calls(waiting)
        now = datetime.now(UTC)
        if any(work.status_of(call) is CallStatus.PENDING for call in calls):
            work.unreachable_since = None
            return all(is_overdue(call, self._catalog, otherwise_seconds=self._patience) for call in calls)
        work.unreachable_since = work.unreachable_since or now
        return (now - work.unreachable_since).total_seconds() >= self._patience

    async def _act(self, action: Action, executions: Sequence[Execution], work: _DeploymentRun) -> None:
        calls = work.deciding_calls(executions)
        match action:
            case Action.POLL:
                await self._poll(executions, work)
            case Action.SETTLE:
                for call in calls:
                    await self._settle(call, work)
            case Action.REATTACH:
                for call in calls:
                    ids = [e.id for e in executions if e.newest_call and e.newest_call.id == call.id]
                    await in_thread(self._ledger.repairs.reopen, call.id, ids, actor=self._actor)
            case Action.RESUBMIT:
                for call in calls:
                    await self._submit(call, work, again=True)
            case Action.INTERRUPT:
                for call in calls:
                    self._report_settled(work, await self._calls.interrupt(call))
            case Action.DISPATCH:
                await self._dispatch(executions, work)
            case Action.GIVE_UP:
                ids = [execution.id for execution in executions]
                detail = "the attempt budget is spent"
                await in_thread(self._ledger.repairs.dead_letter, ids, actor=self._actor, detail=detail)
            case Action.NOTHING | Action.SHOW | Action.WAIT | Action.FOLLOW:
                raise AssertionError(f"{action} needs no act")

    async def _poll(self, executions: Sequence[Execution], work: _DeploymentRun) -> None:
        calls = {call.id: call for execution in executions for call in calls_to_poll(execution)}
        work.states.update(await self._calls.poll(list(calls.values())))

    async def _dispatch(self, executions: Sequence[Execution], work: _DeploymentRun) -> None:
        """Make a new attempt. After a failed one only when the backoff is over, and the provider still has
        no answer of any earlier call."""
        again = [e.id for e in executions if e.status is not Status.PENDING]
        if again:
            await in_thread(self._ledger.repairs.retry, again, actor=self._actor, detail="asked again")
        if failed := max(len(e.attempts) for e in executions):
            await self._sleep(retry_delay_seconds(failed))
            await self._poll(executions, work)
            executions = [e for e in executions if decide(self._state(e, work)) is Action.DISPATCH]
        work.seen_unsettled.update(e.id for e in executions)
        call = await self._calls.open(executions, work.plan, asks=work.asks) if executions else None
        if call is not None:
            await self._submit(call, work)

    async def _submit(self, call: Call, work: _DeploymentRun, *, again: bool = False) -> None:
        try:
            refused = await self._calls.submit(call, again=again)
        except SubmitUnknown as unknown:
            await self._submit_unknown(call, work, str(unknown))
            return
        work.unreachable_since = None
        work.poll_seconds = FIRST_POLL_SECONDS
        self._report_settled(work, refused)

    async def _submit_unknown(self, call: Call, work: _DeploymentRun, reason: str) -> None:
        """Whether the call runs is not known: wait before it is sent again, or leave it as it is."""
        log.warning("it is not known whether a call was accepted", call=call.id, reason=reason)
        work.unacknowledged.add(call.id)
        work.unreachable_since = work.unreachable_since or datetime.now(UTC)
        if (datetime.now(UTC) - work.unreachable_since).total_seconds() >= self._patience:
            on_call = await in_thread(self._ledger.executions.on_call, call.id)
            self._report(work, _unreported(on_call, work))
            return
        await self._sleep(work.poll_seconds)
        work.poll_seconds = min(work.poll_seconds * 2, SLOWEST_POLL_SECONDS)

    async def _settle(self, call: Call, work: _DeploymentRun) -> None:
        state = work.states[call.id]
        try:
            settled = await self._calls.settle(call, state)
        except ReplyUnavailable as unavailable:
            log.warning("a reply could not be fetched yet", call=call.id, reason=str(unavailable))
            work.states[call.id] = CallState(status=CallStatus.UNREACHABLE, detail=str(unavailable))
        else:
            self._report_settled(work, settled)

    async def cancel(self, job_id: str, cells: Sequence[Cell]) -> None:
        """Stop what is pending or in flight of these cells, and record it as the provider reports it.

        An execution whose provider cannot be reached stays dispatched, with the request on record.
        """
        executions = await in_thread(self._ledger.executions.of_job, job_id, cells)
        pending = [e.id for e in executions if e.status is Status.PENDING]
        await in_thread(self._ledger.repairs.cancel_pending, pending, actor=self._actor)
        in_flight = [e.newest_call for e in executions if e.status is Status.DISPATCHED and e.newest_call]
        calls = {call.id: call for call in in_flight}.values()
        await asyncio.gather(*(self._calls.cancel(call) for call in calls))


async def _side_by_side(work: Sequence[Coroutine[Any, Any, Result]]) -> list[Result]:
    """The results in order; the first that raises stops the others, and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(one) for one in work]
    except BaseExceptionGroup as group:
        first = group.exceptions[0]
        raise first from first.__cause__
    return [task.result() for task in running]


def _unreported(executions: Sequence[Execution], work: _DeploymentRun) -> list[Execution]:
    return [
        e for e in executions if e.block == work.block and e.cell in work.cells and e.id not in work.reported
    ]
