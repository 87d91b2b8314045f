"""Ask providers what became of the calls of executions, side by side and under a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from beacon_pipeline.ledger.records import Call, Execution
from beacon_pipeline.providers import Providers
from inference.contract import CallState, NotConfigured, ProviderTruth

DEADLINE_SECONDS = 20.0
ASKED_AT_ONCE = 50


async def states_of(
    providers: Providers, calls: Sequence[Call], *, deadline_seconds: float = DEADLINE_SECONDS
) -> dict[str, CallState]:
    """Call id -> the provider's word, for accepted calls. What is not told in time is unreachable."""
    slots = asyncio.Semaphore(ASKED_AT_ONCE)

    async def ask(call: Call) -> CallState:
        assert call.provider_call_id is not None
        try:
            async with slots:
                return await providers.named(call.provider).poll(call.provider_call_id)
        except NotConfigured as error:
            return CallState(truth=ProviderTruth.UNREACHABLE, detail=str(error))

    accepted = [call for call in calls if call.provider_call_id is not None]
    tasks = {call.id: asyncio.ensure_future(ask(call)) for call in accepted}
    if not tasks:
        return {}
    _, late = await asyncio.wait(tasks.values(), timeout=deadline_seconds)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    unreachable = CallState(
        truth=ProviderTruth.UNREACHABLE, detail=f"no word within {deadline_seconds:g} seconds"
    )
    return {call_id: unreachable if task in late else task.result() for call_id, task in tasks.items()}


async def truths_of(providers: Providers, executions: Sequence[Execution]) -> dict[str, ProviderTruth]:
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
        told = states[call.id].truth
        expired = told is ProviderTruth.EXPIRED and call.replied and call.truth is not None
        truths[execution.id] = call.truth if expired and call.truth else told
    return truths
