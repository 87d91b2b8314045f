"""Ask providers what became of the calls of executions, side by side and under a deadline.

A provider that does not know a call may be asked with the wrong token: whose call it is stands on record,
and what another account's provider says of it says nothing of the call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from beacon_pipeline.execution.decide import StatusOf, calls_to_poll
from beacon_pipeline.execution.providers import Providers
from beacon_pipeline.ledger.records import Call, Execution
from inference.contract import CallState, CallStatus, FailureCode, NotConfigured, Provider
from inference.inspection import Account, HasAccount

DEADLINE_SECONDS = 20.0
MAX_CONCURRENT_POLLS = 50


async def account_of(provider: Provider) -> Account | None:
    """Whose calls a provider makes, or None where there is no such thing or it cannot be asked now.

    Raises NotConfigured.
    """
    return await provider.account() if isinstance(provider, HasAccount) else None


async def poll_call(provider: Provider, call: Call) -> CallState:
    """What a provider says of an accepted call of its own. Raises NotConfigured."""
    assert call.provider_call_id is not None, "only accepted calls can be asked about"
    state = await provider.poll(call.provider_call_id)
    unknown = state.failure is not None and state.failure.code is FailureCode.UNKNOWN_CALL
    if not unknown or call.workspace is None:
        return state
    made_by = Account(workspace=call.workspace, environment=call.environment)
    asked_by = await account_of(provider)
    if asked_by is not None and asked_by.knows_calls_of(made_by):
        return state
    problem = f"call {call.provider_call_id} was made in {made_by}, and "
    if asked_by is None:
        problem += "whose token this is could not be found out: it is asked about again"
    else:
        problem += f"this token is of another account, {asked_by}: use one of {made_by}"
    return CallState(status=CallStatus.UNREACHABLE, detail=problem)


async def states_of(
    providers: Providers, calls: Sequence[Call], *, deadline_seconds: float = DEADLINE_SECONDS
) -> dict[str, CallState]:
    """Call id -> what the provider says of it, for accepted calls. Without an answer in time: unreachable."""
    slots = asyncio.Semaphore(MAX_CONCURRENT_POLLS)

    async def ask(call: Call) -> CallState:
        try:
            async with slots:
                return await poll_call(providers.named(call.provider), call)
        except NotConfigured as error:
            return CallState(status=CallStatus.UNREACHABLE, detail=str(error))

    accepted = [call for call in calls if call.provider_call_id is not None]
    tasks = {call.id: asyncio.ensure_future(ask(call)) for call in accepted}
    if not tasks:
        return {}
    _, late = await asyncio.wait(tasks.values(), timeout=deadline_seconds)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    unreachable = CallState(
        status=CallStatus.UNREACHABLE, detail=f"no answer within {deadline_seconds:g} seconds"
    )
    return {call_id: unreachable if task in late else task.result() for call_id, task in tasks.items()}


async def unconfirmed_states(
    providers: Providers, executions: Sequence[Execution], *, deadline_seconds: float
) -> dict[str, CallState]:
    """What providers say of the calls that may bring these executions an answer, by call id.

    A call that had ended when it was asked about again is not asked about for ever.
    """
    calls = {c.id: c for e in executions for c in calls_to_poll(e) if c.confirmed_at is None}
    return await states_of(providers, list(calls.values()), deadline_seconds=deadline_seconds)


def status_in(states: Mapping[str, CallState]) -> StatusOf:
    """What is known of a call after such a look: what its provider reports, or did when it was confirmed."""

    def status_of(call: Call) -> CallStatus | None:
        if call.id in states:
            return states[call.id].status
        if call.confirmed_at is None:
            return None
        # A success that could still be had would have been read, and not confirmed.
        return CallStatus.EXPIRED if call.status in (None, CallStatus.SUCCEEDED) else call.status

    return status_of


async def statuses_now(providers: Providers, executions: Sequence[Execution]) -> StatusOf:
    """What the provider says now of the calls of these executions that it may know more of than the record.

    The newest call is asked about in any case. A call whose reply is on record may have expired at the
    provider since: then the status on record stands.
    """
    calls = {call.id: call for execution in executions for call in calls_to_poll(execution)}
    calls |= {e.newest_call.id: e.newest_call for e in executions if e.newest_call}
    states = await states_of(providers, list(calls.values()))

    def status_of(call: Call) -> CallStatus | None:
        if call.id not in states:
            return None
        now = states[call.id].status
        expired = now is CallStatus.EXPIRED and call.replied
        return call.status or now if expired else now

    return status_of
