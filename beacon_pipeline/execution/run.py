"""Bring executions to their true state: the effects around `decide`.

For one deployment of one job: read the ledger, decide, act, and again, until every execution is
settled or patience runs out. Every step is durable before the next one begins, so a process that
dies anywhere in here leaves a record from which the next one goes on.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, ParamSpec, TypeVar

import structlog

from beacon_pipeline.catalog import Catalog, UnknownName
from beacon_pipeline.execution.call_status import account_of, poll_call
from beacon_pipeline.execution.decide import Action, Facts, decide, facts_of, retry_delay_seconds
from beacon_pipeline.execution.outcomes import outcomes_of_failure, outcomes_of_reply
from beacon_pipeline.execution.preflight import check_configured, check_ready, deployments_to_ask
from beacon_pipeline.execution.providers import Providers
from beacon_pipeline.execution.request import request_for
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Call, CallFacts, Cell, Execution, Outcome
from beacon_pipeline.ledger.status import Cause, Status
from inference.contract import (
    CallFailure,
    CallState,
    CallStatus,
    Deployment,
    FailureCode,
    MalformedReply,
    ReplyUnavailable,
    SubmitRejected,
    SubmitUnknown,
)
from inference.inspection import Account

FIRST_POLL_SECONDS, SLOWEST_POLL_SECONDS = 0.1, 2.0
# While a call is pending, the record is looked at this often for what others did: at one time of its own
# for each deployment, or a thousand that were sent together are read together.
READ_AGAIN_SECONDS = (20.0, 60.0)
MAX_CONCURRENT_POLLS = 64  # to providers, over all deployments of a run
SUBMITTING_SECONDS = 30.0  # from writing an intent to the record of its acceptance, at the very most
MAX_CONCURRENT_FETCHES = 16  # of replies, which shall not wait behind the questions about other calls
UNREACHABLE_PATIENCE_SECONDS = 120.0  # of one run; the executions stay dispatched and are healed later

log = structlog.get_logger()
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
OnSettled = Callable[[Sequence[Execution]], None]
Judge = Callable[[Sequence[Execution]], Mapping[str, Outcome]]


@dataclass
class _DeploymentRun:
    """What is true only while one deployment is being worked on."""

    job_id: str
    cells: Sequence[Cell]
    on_settled: OnSettled
    reported: set[str] = field(default_factory=set)  # executions handed to `on_settled`
    seen_unsettled: set[str] = field(default_factory=set)  # executions that had not ended when looked at
    states: dict[str, CallState] = field(default_factory=dict)  # by call id, as polled just now
    poll_seconds: float = FIRST_POLL_SECONDS
    unacknowledged: set[str] = field(default_factory=set)  # calls whose submit got no answer here
    refused: dict[str, CallFailure] = field(default_factory=dict)  # by call id, when it was sent again
    read_at: float = 0.0  # when the record was read, by the event loop's clock
    read_again_seconds: float = field(default_factory=lambda: random.uniform(*READ_AGAIN_SECONDS))
    unreachable_since: datetime | None = None


class Materializer:
    """Works on the executions of a job. ``actor`` is kept with every status change.

    All coroutines raise LedgerUnavailable, and NotConfigured before anything was dispatched.
    """

    def __init__(
        self,
        ledger: Ledger,
        catalog: Catalog,
        providers: Providers,
        *,
        actor: str,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        unreachable_patience_seconds: float = UNREACHABLE_PATIENCE_SECONDS,
    ) -> None:
        self._ledger = ledger
        self._catalog = catalog
        self._providers = providers
        self._actor = actor
        self._sleep = sleep
        self._patience = unreachable_patience_seconds
        self._questions = asyncio.Semaphore(MAX_CONCURRENT_POLLS)
        self._fetches = asyncio.Semaphore(MAX_CONCURRENT_FETCHES)

    async def materialize(self, job_id: str, cells: Sequence[Cell], on_settled: OnSettled) -> None:
        """Work on all cells, deployment by deployment, side by side.

        ``on_settled`` is called with executions as soon as nothing more is to be done for them
        here; those that are still dispatched when patience runs out come last, as they are.
        """
        by_deployment: dict[Deployment, list[Cell]] = {}
        for cell in cells:
            by_deployment.setdefault(Deployment(region=cell.region, model=cell.model), []).append(cell)
        check_configured(self._catalog, self._providers, by_deployment)
        executions = await self._read(self._ledger.executions, job_id, cells)
        await check_ready(self._catalog, self._providers, deployments_to_ask(executions))
        rounds = (_DeploymentRun(job_id, some, on_settled) for some in by_deployment.values())
        await _side_by_side([self._deployment(work) for work in rounds])

    async def _deployment(self, work: _DeploymentRun) -> None:
        executions = await self._executions(work)
        while True:
            open_ones = [e for e in executions if e.id not in work.reported]
            plan = self._plan(open_ones, work)
            self._report(work, plan.pop(Action.NOTHING, []) + plan.pop(Action.GIVE_UP, []))
            waiting = plan.pop(Action.WAIT, [])
            if not plan and not waiting:
                return
            for action, some in plan.items():
                await self._act(action, some, work)
            if plan:
                if all(e.id in work.reported for e in executions):
                    return
                if plan.keys() != {Action.ASK}:
                    if plan.keys() != {Action.RESUBMIT}:
                        work.poll_seconds = FIRST_POLL_SECONDS
                    executions = await self._executions(work)
                continue
            if self._out_of_patience(waiting, work):
                reasons = {s.detail for s in work.states.values() if s.detail}
                log.warning("left as dispatched", calls=len(_calls_of(waiting)), reasons=sorted(reasons))
                self._report(work, waiting)
                return
            await self._sleep(work.poll_seconds)
            work.poll_seconds = min(work.poll_seconds * 1.5, SLOWEST_POLL_SECONDS)
            await self._ask(_calls_of(waiting), work)
            if self._record_may_have_moved(waiting, work):
                executions = await self._executions(work)

    async def _executions(self, work: _DeploymentRun) -> list[Execution]:
        work.read_at = asyncio.get_running_loop().time()
        return await self._read(self._ledger.executions, work.job_id, work.cells)

    def _record_may_have_moved(self, waiting: Sequence[Execution], work: _DeploymentRun) -> bool:
        """While calls are pending, a thousand of them shall not read the ledger a thousand times a second.

        What a success means depends on nothing that others did; any other end may be a wished one.
        """
        statuses = {state.status for state in work.states.values()}
        ended = any(status.is_final and status is not CallStatus.SUCCEEDED for status in statuses)
        sent_by_others = any(call.provider_call_id is None for call in _calls_of(waiting))
        since_read = asyncio.get_running_loop().time() - work.read_at
        return ended or sent_by_others or since_read > work.read_again_seconds

    def _plan(self, executions: Sequence[Execution], work: _DeploymentRun) -> dict[Action, list[Execution]]:
        plan: dict[Action, list[Execution]] = {}
        for execution in executions:
            if not execution.status.is_terminal:
                work.seen_unsettled.add(execution.id)
            action = decide(self._facts(execution, work))
            if (
                action is Action.DISPATCH
                and execution.status.is_terminal
                and execution.id in work.seen_unsettled
            ):
                action = Action.NOTHING  # somebody else ended it meanwhile, a person who cancels, say
            plan.setdefault(action, []).append(execution)
        return plan

    def _facts(self, execution: Execution, work: _DeploymentRun) -> Facts:
        call = execution.newest_call
        state = work.states.get(call.id) if call else None
        return facts_of(
            execution,
            state.status if state else None,
            budget=self._catalog.settings.attempt_budget,
            durable=self._providers.named(call.provider).durable if call else True,
            submitting=call is not None
            and call.id not in work.unacknowledged
            and _age(call) < SUBMITTING_SECONDS,
        )

    def _report(self, work: _DeploymentRun, executions: Sequence[Execution]) -> None:
        if executions:
            work.reported.update(execution.id for execution in executions)
            work.on_settled(executions)

    def _out_of_patience(self, waiting: Sequence[Execution], work: _DeploymentRun) -> bool:
        calls = _calls_of(waiting)
        now = datetime.now(UTC)
        reachable = any(work.states[c.id].status is CallStatus.PENDING for c in calls if c.id in work.states)
        if reachable:
            work.unreachable_since = None
            return all(_age(call) > self._longest(call) for call in calls)
        work.unreachable_since = work.unreachable_since or now
        return (now - work.unreachable_since).total_seconds() >= self._patience

    def _longest(self, call: Call) -> float:
        """Seconds after which a call that is still pending is left to reconciliation."""
        try:
            model = self._catalog.model(call.model)
        except UnknownName:
            return self._patience
        return model.startup_timeout_seconds + (model.retries + 1) * model.timeout_seconds

    async def _act(self, action: Action, executions: Sequence[Execution], work: _DeploymentRun) -> None:
        match action:
            case Action.ASK:
                await self._ask(_calls_of(executions), work)
            case Action.SETTLE:
                for call in _calls_of(executions):
                    await self._settle(call, work)
            case Action.REATTACH:
                for call in _calls_of(executions):
                    ids = [e.id for e in executions if e.newest_call and e.newest_call.id == call.id]
                    await self._write(self._ledger.reopen, call.id, ids, actor=self._actor)
            case Action.RESUBMIT:
                for call in _calls_of(executions):
                    await self._submit(call, work, again=True)
            case Action.INTERRUPT:
                for call in _calls_of(executions):
                    await self._interrupt(call, work)
            case Action.DISPATCH:
                await self._dispatch(executions, work)
            case Action.NOTHING | Action.GIVE_UP | Action.WAIT:
                raise AssertionError(f"{action} needs no act")

    async def _ask(self, calls: Sequence[Call], work: _DeploymentRun) -> None:
        accepted = [call for call in calls if call.provider_call_id is not None]
        states = await asyncio.gather(*(self._poll(call) for call in accepted))
        work.states.update({call.id: state for call, state in zip(accepted, states, strict=True)})

    async def _poll(self, call: Call) -> CallState:
        assert call.provider_call_id is not None, "only accepted calls can be asked about"
        provider = self._providers.named(call.provider)
        async with self._questions:
            state = await poll_call(provider, call)
        if call.cancel_requested_at is not None and state.status is CallStatus.PENDING:
            # The wish may not have reached the provider; repeating it changes nothing.
            with suppress(ReplyUnavailable):
                await provider.cancel(call.provider_call_id)
        return state

    async def _dispatch(self, executions: Sequence[Execution], work: _DeploymentRun) -> None:
        ended = [e.id for e in executions if e.status.is_terminal]
        if ended:
            await self._write(self._ledger.retry, ended, actor=self._actor, detail="asked again")
        failed_rounds = max(len(e.attempts) for e in executions)
        if failed_rounds:
            await self._sleep(retry_delay_seconds(failed_rounds))
        model = self._catalog.model(executions[0].model)
        call = await self._write(
            self._ledger.open_call,
            executions,
            lambda claimed: request_for(self._catalog, claimed),
            provider=model.provider.value,
            actor=self._actor,
        )
        if call is not None:
            await self._submit(call, work)

    async def _submit(self, call: Call, work: _DeploymentRun, *, again: bool = False) -> None:
        """Send a call that is on record. Whatever is lost on the way, the record says so truly.

        ``again``: it may have been sent before. Then a refusal is about this sending only, and says
        nothing of the call that the earlier one may have started.
        """
        provider = self._providers.named(call.provider)
        try:
            async with self._questions:
                account = await account_of(provider)
                provider_call_id = await provider.submit(call.request)
        except SubmitRejected as rejected:
            if again:
                work.refused[call.id] = rejected.failure
                await self._submit_unknown(call, work, f"refused when it was sent again: {rejected}")
                return
            facts = CallFacts(status=CallStatus.FAILED, replied=True, failure=rejected.failure)
            await self._settle_failure(call, rejected.failure, facts, work)
        except SubmitUnknown as unknown:
            await self._submit_unknown(call, work, str(unknown))
        else:
            work.unreachable_since = None
            work.poll_seconds = FIRST_POLL_SECONDS
            await self._record_accepted(call, provider_call_id, account)

    async def _submit_unknown(self, call: Call, work: _DeploymentRun, reason: str) -> None:
        """Whether the call runs is not known: wait before it is sent again, or leave it as it is."""
        log.warning("it is not known whether a call was accepted", call=call.id, reason=reason)
        work.unacknowledged.add(call.id)
        work.unreachable_since = work.unreachable_since or datetime.now(UTC)
        if (datetime.now(UTC) - work.unreachable_since).total_seconds() >= self._patience:
            await self._report_left(call, work)
            return
        await self._sleep(work.poll_seconds)
        work.poll_seconds = min(work.poll_seconds * 2, SLOWEST_POLL_SECONDS)

    async def _record_accepted(self, call: Call, provider_call_id: str, account: Account | None) -> None:
        """Go on with the id on record: another process that sent the same request may have been first."""
        on_record = await self._write(
            self._ledger.record_accepted, call.id, provider_call_id, account=account
        )
        if on_record != provider_call_id:
            log.info("sent twice", call=call.id, on_record=on_record, also_accepted_as=provider_call_id)

    async def _settle(self, call: Call, work: _DeploymentRun) -> None:
        state = work.states.pop(call.id)
        if state.status is CallStatus.SUCCEEDED:
            await self._settle_reply(call, work)
            return
        assert state.failure is not None, "a call that ended without a reply has a reason"
        failure = state.failure
        if call.cancel_requested_at is not None and failure.code in _LOOKS_LIKE_A_CANCEL:
            failure = CallFailure(code=FailureCode.CANCELLED, message=failure.message)
        facts = CallFacts(status=state.status, replied=False, failure=failure)
        await self._settle_failure(call, failure, facts, work, Cause.PROVIDER_REPORT)

    async def _settle_reply(self, call: Call, work: _DeploymentRun) -> None:
        assert call.provider_call_id is not None, "a succeeded call has an id"
        provider = self._providers.named(call.provider)
        try:
            async with self._fetches:
                reply = await provider.fetch(call.provider_call_id, call.request)
        except ReplyUnavailable as unavailable:
            log.warning("a reply could not be fetched yet", call=call.id, reason=str(unavailable))
            unreachable = CallState(status=CallStatus.UNREACHABLE, detail=str(unavailable))
            work.states[call.id] = unreachable
            return
        except MalformedReply as malformed:
            failure = CallFailure(code=FailureCode.MALFORMED_REPLY, message=malformed.problem)
            facts = CallFacts(
                status=CallStatus.SUCCEEDED, replied=True, failure=failure, raw_reply=malformed.raw
            )
            await self._settle_failure(call, failure, facts, work)
            return
        judge = partial(
            outcomes_of_reply,
            reply,
            budget=self._catalog.settings.attempt_budget,
            read_region=self._catalog.read_region,
        )
        facts = CallFacts(
            status=CallStatus.SUCCEEDED,
            replied=True,
            reported_region=reply.region,
            cloud=reply.cloud,
            task_id=reply.task_id,
            cold_start=reply.cold_start,
            started_at=reply.started_at,
            finished_at=reply.finished_at,
        )
        await self._settle_as(call, judge, facts, work, Cause.REPLY)

    async def _interrupt(self, call: Call, work: _DeploymentRun) -> None:
        failure = CallFailure(
            code=FailureCode.INTERRUPTED, message="the asking process ended before the answer came"
        )
        facts = CallFacts(status=CallStatus.EXPIRED, replied=True, failure=failure)
        await self._settle_failure(call, failure, facts, work, Cause.REPAIR)

    async def _settle_failure(
        self,
        call: Call,
        failure: CallFailure,
        facts: CallFacts,
        work: _DeploymentRun,
        cause: Cause = Cause.REPLY,
    ) -> None:
        budget = self._catalog.settings.attempt_budget
        judge = partial(outcomes_of_failure, failure, call_id=call.id, budget=budget)
        await self._settle_as(call, judge, facts, work, cause)

    async def _settle_as(
        self, call: Call, judge: Judge, facts: CallFacts, work: _DeploymentRun, cause: Cause
    ) -> None:
        """Hand over what this call ended: it is not asked again here, whatever budget is left."""
        on_call = await self._write(
            self._ledger.judge_call, call.id, judge, facts, actor=self._actor, cause=cause
        )
        ours = _unreported(on_call, work)
        self._report(work, [execution for execution in ours if execution.status.is_terminal])

    async def _report_left(self, call: Call, work: _DeploymentRun) -> None:
        """Hand over what this call carries, unsettled: patience ran out."""
        on_call = await self._read(self._ledger.executions_on, call.id)
        self._report(work, _unreported(on_call, work))

    async def cancel(self, job_id: str, cells: Sequence[Cell]) -> None:
        """Stop what is pending or in flight of these cells, and record it as the provider tells it.

        An execution whose provider cannot be reached stays dispatched, with the wish on record.
        """
        executions = await self._read(self._ledger.executions, job_id, cells)
        pending = [e.id for e in executions if e.status is Status.PENDING]
        await self._write(self._ledger.cancel_pending, pending, actor=self._actor)
        in_flight = [e for e in executions if e.status is Status.DISPATCHED]
        await asyncio.gather(*(self._cancel_call(call) for call in _calls_of(in_flight)))

    async def _cancel_call(self, call: Call) -> None:
        await self._write(self._ledger.request_cancel, call.id)
        work = _DeploymentRun(call.job_id, (), lambda _: None)
        provider = self._providers.named(call.provider)
        if call.provider_call_id is None and provider.durable:
            await self._submit(call, work, again=True)  # it runs once; now it has an id to cancel by
        call = await self._read(self._ledger.call, call.id)
        if call.provider_call_id is None:
            await self._give_up_refused(call, work)
            return
        try:
            await provider.cancel(call.provider_call_id)
        except ReplyUnavailable as unavailable:
            log.warning("a call could not be cancelled yet", call=call.id, reason=str(unavailable))
            return
        state = await poll_call(provider, call)
        for _ in range(CANCEL_POLLS):
            if state.status is not CallStatus.PENDING:
                break
            await self._sleep(FIRST_POLL_SECONDS)
            state = await poll_call(provider, call)
        if state.status.is_final:
            work.states[call.id] = state
            await self._settle(call, work)

    async def _give_up_refused(self, call: Call, work: _DeploymentRun) -> None:
        """A person ends what the provider refuses to be sent again: there is nothing to cancel it by."""
        refusal = work.refused.get(call.id)
        if refusal is None:
            return
        message = f"given up on request; whether an earlier sending runs is not known: {refusal.message}"
        failure = CallFailure(code=FailureCode.CANCELLED, message=message)
        facts = CallFacts(status=CallStatus.UNREACHABLE, replied=False, failure=failure)
        await self._settle_failure(call, failure, facts, work, Cause.CANCEL)

    async def _read(
        self,
        query: Callable[Arguments, Result],
        *arguments: Arguments.args,
        **options: Arguments.kwargs,
    ) -> Result:
        return await asyncio.to_thread(query, *arguments, **options)

    _write = _read


CANCEL_POLLS = 50  # of a tenth of a second: a provider that needs longer is settled by reconciliation

# A provider may report a call that was stopped on request as one that broke.
_LOOKS_LIKE_A_CANCEL = frozenset(
    {FailureCode.WORKER_LOST, FailureCode.PROVIDER_ERROR, FailureCode.CANCELLED, FailureCode.INTERRUPTED}
)


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
    return [e for e in executions if e.cell in work.cells and e.id not in work.reported]


def _age(call: Call) -> float:
    """Seconds since a call was written down."""
    return (datetime.now(UTC) - call.created_at).total_seconds()


def _calls_of(executions: Sequence[Execution]) -> list[Call]:
    """The newest calls of these executions, each once."""
    return list({e.newest_call.id: e.newest_call for e in executions if e.newest_call}.values())
