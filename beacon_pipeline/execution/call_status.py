"""Ask providers what became of the calls of executions, side by side and under a deadline.

A provider that does not know a call may be asked with the wrong token: whose call it is stands on record,
and what another account's provider says of it is no word on the call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

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
    """The provider's word on an accepted call of its own. Raises NotConfigured."""
    assert call.provider_call_id is not None, "only accepted calls can be asked about"
    state = await provider.poll(call.provider_call_id)
    unknown = state.failure is not None and state.failure.code is FailureCode.UNKNOWN_CALL
    if not unknown or call.workspace is None:
        return state
    made_by = Account(workspace=call.workspace, environment=call.environment)
    asked_by = await account_of(provider)
    if asked_by is not None and asked_by.knows_calls_of(made_by):
        return state
    told = f"call {call.provider_call_id} was made in {made_by}, and "
    if asked_by is None:
        told += "whose token this is could not be found out: it is asked about again"
    else:
        told += f"this token is of another account, {asked_by}: use one of {made_by}"
    return CallState(status=CallStatus.UNREACHABLE, detail=told)


async def states_of(
    providers: Providers, calls: Sequence[Call], *, deadline_seconds: float = DEADLINE_SECONDS
) -> dict[str, CallState]:
    """Call id -> the provider's word, for accepted calls. What is not told in time is unreachable."""
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
        status=CallStatus.UNREACHABLE, detail=f"no word within {deadline_seconds:g} seconds"
    )
    return {call_id: unreachable if task in late else task.result() for call_id, task in tasks.items()}


async def truths_of(providers: Providers, executions: Sequence[Execution]) -> dict[str, CallStatus]:
    """Execution id -> the provider's word on its newest call, for those whose call was accepted.

    A call that never asks for anything any more, because its reply is on record, may have expired
    at the provider since: then the word on record stands.
    """
    calls = {e.newest_call.id: e.newest_call for e in executions if e.newest_call}
    states = await states_of(providers, list(calls.values()))
    truths = {}
    for execution in executions:
        call = execution.newest_call
        if call is None or call.id not in states:
            continue
        told = states[call.id].status
        expired = told is CallStatus.EXPIRED and call.replied and call.status is not None
        truths[execution.id] = call.status if expired and call.status else told
    return truths
