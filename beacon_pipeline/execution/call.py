"""One call of a provider: write it down, submit, poll, fetch, and settle it in the ledger.

Every step is durable before the next one begins. What a call means for the loop around it is `run`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import ParamSpec, TypeVar

import structlog

from beacon_pipeline.catalog import Catalog, UnknownName
from beacon_pipeline.catalog.plan import DEFAULT_PLAN, Plan
from beacon_pipeline.execution.call_status import account_of, poll_call
from beacon_pipeline.execution.outcomes import outcomes_of_failure, outcomes_of_reply
from beacon_pipeline.execution.providers import Providers
from beacon_pipeline.execution.request import request_for
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Call, CallFacts, Execution, Outcome
from beacon_pipeline.ledger.status import Cause
from inference.contract import (
    CallFailure,
    CallState,
    CallStatus,
    FailureCode,
    MalformedReply,
    Reply,
    ReplyUnavailable,
    SubmitRejected,
    SubmitUnknown,
)
from inference.inspection import Account

FIRST_POLL_SECONDS = 0.1
CANCEL_POLLS = 50  # of a tenth of a second: a provider that needs longer is settled by reconciliation
LONGEST_UNKNOWN_SECONDS = 24 * 3600.0  # a call of a model whose limits are not known
MAX_CONCURRENT_POLLS = 64  # to providers, over all deployments of a run
MAX_CONCURRENT_FETCHES = 16  # of replies: they must not wait behind the polls of other calls

# A provider may report a call that was stopped on request as one that broke.
_LOOKS_LIKE_A_CANCEL = frozenset(
    {FailureCode.WORKER_LOST, FailureCode.PROVIDER_ERROR, FailureCode.CANCELLED, FailureCode.INTERRUPTED}
)

log = structlog.get_logger()
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Judge = Callable[[Sequence[Execution]], Mapping[str, Outcome]]


class RefusedAgain(SubmitUnknown):
    """A call that may have been sent before was refused: that says nothing of the earlier sending."""

    def __init__(self, rejected: SubmitRejected) -> None:
        super().__init__(f"refused when it was sent again: {rejected}")
        self.failure = rejected.failure


class Calls:
    """Works on calls, one at a time. ``actor`` is kept with every status change.

    All coroutines raise LedgerUnavailable.
    """

    def __init__(
        self,
        ledger: Ledger,
        catalog: Catalog,
        providers: Providers,
        *,
        actor: str,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._ledger = ledger
        self._catalog = catalog
        self._providers = providers
        self._actor = actor
        self._sleep = sleep
        self._polls = asyncio.Semaphore(MAX_CONCURRENT_POLLS)
        self._fetches = asyncio.Semaphore(MAX_CONCURRENT_FETCHES)

    async def open(
        self, executions: Sequence[Execution], plan: Plan = DEFAULT_PLAN, *, asks: Catalog
    ) -> Call | None:
        """Write the intent to ask for these executions of one deployment; None if others claimed them all.

        ``asks`` is the catalog with the words of their job.
        """
        model = self._catalog.model(executions[0].model)
        return await in_thread(
            self._ledger.calls.open,
            executions,
            lambda claimed: request_for(asks, claimed, plan),
            provider=model.provider.value,
            actor=self._actor,
        )

    async def submit(self, call: Call, *, again: bool = False) -> list[Execution]:
        """Send a call that is on record. Returns the executions that a refusal ended, if it was refused.

        ``again``: it may have been sent before. Raises SubmitUnknown where it is not known whether the call
        runs, and RefusedAgain where sending it again was refused.
        """
        provider = self._providers.named(call.provider)
        try:
            async with self._polls:
                account = await account_of(provider)
                provider_call_id = await provider.submit(call.request)
        except SubmitRejected as rejected:
            if again:
                raise RefusedAgain(rejected) from rejected
            facts = CallFacts(status=CallStatus.FAILED, replied=True, failure=rejected.failure)
            return await self._settle_failure(call, rejected.failure, facts, Cause.REPLY)
        await self._record_accepted(call, provider_call_id, account)
        return []

    async def _record_accepted(self, call: Call, provider_call_id: str, account: Account | None) -> None:
        """Go on with the id on record: another process that sent the same request may have been first."""
        recorded = await in_thread(self._ledger.calls.accept, call.id, provider_call_id, account=account)
        if recorded != provider_call_id:
            log.info("sent twice", call=call.id, on_record=recorded, also_accepted_as=provider_call_id)

    async def poll(self, calls: Sequence[Call]) -> dict[str, CallState]:
        """What providers say of these calls, by call id, for those that were accepted."""
        accepted = [call for call in calls if call.provider_call_id is not None]
        states = await asyncio.gather(*(self._poll(call) for call in accepted))
        return {call.id: state for call, state in zip(accepted, states, strict=True)}

    async def _poll(self, call: Call) -> CallState:
        assert call.provider_call_id is not None, "only accepted calls can be asked about"
        provider = self._providers.named(call.provider)
        async with self._polls:
            state = await poll_call(provider, call)
        if call.cancel_requested_at is not None and state.status is CallStatus.PENDING:
            # The request to cancel may not have reached the provider; repeating it changes nothing.
            with suppress(ReplyUnavailable):
                await provider.cancel(call.provider_call_id)
        return state

    async def settle(self, call: Call, state: CallState, *, why: str | None = None) -> list[Execution]:
        """Record how a call ended; returns its executions as they are then. Raises ReplyUnavailable.

        ``why`` stands for the provider's own reason where it was stopped on request.
        """
        if state.status is CallStatus.SUCCEEDED:
            return await self._settle_reply(call)
        assert state.failure is not None, "a call that ended without a reply has a reason"
        failure = state.failure
        if call.cancel_requested_at is not None and failure.code in _LOOKS_LIKE_A_CANCEL:
            failure = CallFailure(code=FailureCode.CANCELLED, message=why or failure.message)
        facts = CallFacts(status=state.status, replied=False, failure=failure)
        return await self._settle_failure(call, failure, facts, Cause.PROVIDER_REPORT)

    async def _settle_reply(self, call: Call) -> list[Execution]:
        assert call.provider_call_id is not None, "a succeeded call has an id"
        provider = self._providers.named(call.provider)
        try:
            async with self._fetches:
                reply = await provider.fetch(call.provider_call_id, call.request)
        except MalformedReply as malformed:
            failure = CallFailure(code=FailureCode.MALFORMED_REPLY, message=malformed.problem)
            facts = CallFacts(
                status=CallStatus.SUCCEEDED, replied=True, failure=failure, raw_reply=malformed.raw
            )
            return await self._settle_failure(call, failure, facts, Cause.REPLY)
        judge = partial(
            outcomes_of_reply,
            reply,
            budget=self._catalog.settings.attempt_budget,
            read_region=self._catalog.read_region,
        )
        return await self._record(call, judge, _facts_of(reply), Cause.REPLY)

    async def interrupt(self, call: Call) -> list[Execution]:
        """End a call that nothing can be attached to; returns its executions as they are then."""
        failure = CallFailure(
            code=FailureCode.INTERRUPTED, message="the asking process ended before the answer came"
        )
        facts = CallFacts(status=CallStatus.EXPIRED, replied=True, failure=failure)
        return await self._settle_failure(call, failure, facts, Cause.REPAIR)

    async def _settle_failure(
        self, call: Call, failure: CallFailure, facts: CallFacts, cause: Cause
    ) -> list[Execution]:
        budget = self._catalog.settings.attempt_budget
        judge = partial(outcomes_of_failure, failure, call_id=call.id, budget=budget)
        return await self._record(call, judge, facts, cause)

    async def _record(self, call: Call, judge: Judge, facts: CallFacts, cause: Cause) -> list[Execution]:
        return await in_thread(
            self._ledger.calls.settle_with, call.id, judge, facts, actor=self._actor, cause=cause
        )

    async def cancel(self, call: Call, *, why: str | None = None) -> None:
        """Stop a call, and record its end as the provider reports it, or for the reason ``why``.

        One whose provider cannot be reached stays as it is, with the request to cancel on record.
        """
        await in_thread(self._ledger.calls.request_cancel, call.id)
        provider = self._providers.named(call.provider)
        refusal: CallFailure | None = None
        if call.provider_call_id is None and provider.durable:
            try:
                await self.submit(call, again=True)  # it runs once; now it has an id to cancel by
            except RefusedAgain as refused:
                refusal = refused.failure
            except SubmitUnknown as unknown:
                log.warning("a call could not be cancelled yet", call=call.id, reason=str(unknown))
        call = await in_thread(self._ledger.calls.get, call.id)
        if call.provider_call_id is None:
            if refusal is not None:
                await self._give_up_refused(call, refusal)
            return
        try:
            await provider.cancel(call.provider_call_id)
            state = await poll_call(provider, call)
            for _ in range(CANCEL_POLLS):
                if state.status is not CallStatus.PENDING:
                    break
                await self._sleep(FIRST_POLL_SECONDS)
                state = await poll_call(provider, call)
            if state.status.is_final:
                await self.settle(call, state, why=why)
        except ReplyUnavailable as unavailable:
            log.warning("a call could not be cancelled yet", call=call.id, reason=str(unavailable))

    async def _give_up_refused(self, call: Call, refusal: CallFailure) -> None:
        """A person ends what the provider refuses to be sent again: there is no id to cancel it by."""
        message = f"given up on request; whether an earlier sending runs is not known: {refusal.message}"
        failure = CallFailure(code=FailureCode.CANCELLED, message=message)
        facts = CallFacts(status=CallStatus.UNREACHABLE, replied=False, failure=failure)
        await self._settle_failure(call, failure, facts, Cause.CANCEL)


def _facts_of(reply: Reply) -> CallFacts:
    return CallFacts(
        status=CallStatus.SUCCEEDED,
        replied=True,
        reported_region=reply.region,
        cloud=reply.cloud,
        task_id=reply.task_id,
        cold_start=reply.cold_start,
        started_at=reply.started_at,
        finished_at=reply.finished_at,
    )


def age_of(call: Call) -> float:
    """Seconds since a call was written down."""
    return (datetime.now(UTC) - call.created_at).total_seconds()


def is_overdue(call: Call, catalog: Catalog, *, otherwise_seconds: float = LONGEST_UNKNOWN_SECONDS) -> bool:
    """Whether a call lasts longer than its model's limits allow; ``otherwise_seconds``: of a model that the
    catalog no longer has."""
    try:
        model = catalog.model(call.model)
    except UnknownName:
        return age_of(call) > otherwise_seconds
    return age_of(call) > model.startup_timeout_seconds + (model.retries + 1) * model.timeout_seconds


async def in_thread(
    function: Callable[Arguments, Result], *arguments: Arguments.args, **options: Arguments.kwargs
) -> Result:
    """Call a function that blocks, such as one of the ledger, beside the event loop."""
    return await asyncio.to_thread(function, *arguments, **options)
