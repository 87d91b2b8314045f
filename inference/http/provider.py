"""Inference by any OpenAI-compatible endpoint: vLLM, TGI, a gateway.

Such an endpoint has no calls to come back to: a request that loses its connection has lost its
answer. So a call is this process's own work, one request for each item, and ``durable`` is false:
when the process dies, its calls are reported as *interrupted*, and the asker asks again within its
budget. Nothing can prevent that the endpoint generated, and billed, an answer that never arrived.

What an endpoint does not report is None: no weights, no token ids; and a region only where a
response header of its own names one.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
import structlog

from inference.contract import (
    UNREPORTED_REGION,
    CallFailure,
    CallState,
    CallStatus,
    Deployment,
    FailureCode,
    Item,
    ItemAnswer,
    ItemFailure,
    NotConfigured,
    Provenance,
    Reply,
    ReplyUnavailable,
    Request,
    SubmitRejected,
    read_reply,
)
from inference.http.call_ids import Owner, state_elsewhere
from inference.http.chat import Sleep, complete
from inference.http.endpoint import Endpoint
from inference.http.model_list import look_up
from inference.inspection import DeploymentState

REQUESTS_AT_ONCE = 8  # for one deployment, whatever number of calls they belong to
CONNECT_SECONDS = 10.0

log = structlog.get_logger()

PENDING = CallState(status=CallStatus.PENDING)
SUCCEEDED = CallState(status=CallStatus.SUCCEEDED)
CANCELLED = CallState(
    status=CallStatus.CANCELLED,
    failure=CallFailure(code=FailureCode.CANCELLED, message="stopped on request"),
)


@dataclass(frozen=True)
class _Call:
    """One batch being asked, by tasks of this event loop."""

    id: str
    request: Request
    work: asyncio.Task[tuple[Reply, CallState]]


class HttpProvider:
    """Asks the endpoint of each deployment, item by item. It belongs to one event loop.

    ``sleep`` is how it waits between tries; ``requests_at_once`` bounds each deployment.
    """

    name = "http"
    durable = False

    def __init__(
        self,
        endpoints: Mapping[Deployment, Endpoint],
        *,
        requests_at_once: int = REQUESTS_AT_ONCE,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._endpoints = dict(endpoints)
        self._sleep = sleep
        self._owner = Owner()
        self._calls: dict[str, _Call] = {}
        self._slots: dict[Deployment, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(requests_at_once)
        )
        # A call has a deadline for everything; the slots above bound the connections. Redirects
        # are not followed: they would take the key to another host.
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=None),
            follow_redirects=False,
        )

    def check_configured(self, *deployments: Deployment) -> None:
        """Raises NotConfigured where the key of a deployment's endpoint is missing or unfit to send.

        Each endpoint has a key of its own: one that is missing holds up no other.
        """
        for deployment in deployments:
            endpoint = self._endpoints.get(deployment)
            if endpoint is not None and (problem := endpoint.key_problem):
                raise NotConfigured(f"the endpoint of {deployment} needs its API key: {problem}")

    async def inspect(self, deployment: Deployment) -> DeploymentState:
        """Whether the endpoint of a deployment answers, takes the key, and lists the model."""
        self.check_configured(deployment)
        endpoint = self._endpoints.get(deployment)
        if endpoint is None:
            return DeploymentState(found=False, detail=f"no endpoint serves {deployment}")
        return await look_up(self._client, endpoint, deployment)

    async def submit(self, request: Request) -> str:
        """Begin to ask. A request that this object works on already is not begun again."""
        self.check_configured(request.deployment)
        for call in self._calls.values():
            if call.request.id == request.id:
                return call.id
        endpoint = self._endpoints.get(request.deployment)
        if endpoint is None:
            message = f"no endpoint serves {request.deployment}"
            raise SubmitRejected(CallFailure(code=FailureCode.REJECTED, message=message))
        call_id = self._owner.call_id(request.id, seconds=endpoint.timeout_seconds)
        work = asyncio.create_task(self._work(request, endpoint), name=call_id)
        self._calls[call_id] = _Call(call_id, request, work)
        return call_id

    async def poll(self, call_id: str) -> CallState:
        """What became of a call; of another process's call only that it is, or may be, interrupted."""
        call = self._calls.get(call_id)
        if call is None:
            return state_elsewhere(call_id)
        if not call.work.done():
            return PENDING
        return CANCELLED if call.work.cancelled() else call.work.result()[1]

    async def fetch(self, call_id: str, request: Request) -> Reply:
        """The reply of a succeeded call of this object."""
        if (await self.poll(call_id)).status is not CallStatus.SUCCEEDED:
            raise ReplyUnavailable(f"call {call_id} has no reply here")
        reply, _ = self._calls[call_id].work.result()
        return read_reply(reply, request)

    async def cancel(self, call_id: str) -> None:
        """Drop the connections of a call of this object. Another's, while it may live, is out of reach."""
        call = self._calls.get(call_id)
        if call is not None:
            call.work.cancel()
            await asyncio.wait([call.work])
        elif (state := state_elsewhere(call_id)).status is CallStatus.UNREACHABLE:
            raise ReplyUnavailable(f"call {call_id} cannot be stopped here: {state.detail}")

    async def close(self) -> None:
        """Drop every connection. Calls that have not ended are interrupted."""
        self._owner.close()
        works = [call.work for call in self._calls.values()]
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)
        self._calls.clear()
        await self._client.aclose()

    async def _work(self, request: Request, endpoint: Endpoint) -> tuple[Reply, CallState]:
        started = datetime.now(UTC)
        deadline = asyncio.get_running_loop().time() + endpoint.timeout_seconds
        waits: list[str] = []
        async with asyncio.TaskGroup() as group:
            asked = [
                group.create_task(self._ask(request, endpoint, item, deadline, waits))
                for item in request.items
            ]
        results = [task.result() for task in asked]
        reply = Reply(
            version=1,
            request_id=request.id,
            region=_region_of(results),
            cloud=None,
            task_id=None,
            cold_start=None,
            started_at=started,
            finished_at=datetime.now(UTC),
            provenance=NOT_FRESH if request.fresh_start else NOTHING_REPORTED,
            items=tuple(results),
        )
        return reply, _state_of(results)

    async def _ask(
        self, request: Request, endpoint: Endpoint, item: Item, deadline: float, waits: list[str]
    ) -> ItemAnswer | ItemFailure:
        why: list[str] = []

        def note(reason: str) -> None:
            why.append(reason)
            if not waits:  # logged once for a call, whose end may be known long after
                waits.append(reason)
                patience = f"{endpoint.timeout_seconds:g} seconds in all"
                log.warning(
                    "an endpoint is waited for", who=str(request.deployment), why=reason, at_most=patience
                )

        try:
            async with asyncio.timeout_at(deadline), self._slots[request.deployment]:
                return await complete(
                    self._client,
                    endpoint,
                    item,
                    request.parameters,
                    patience_seconds=deadline - asyncio.get_running_loop().time(),
                    sleep=self._sleep,
                    on_pause=note,
                )
        except TimeoutError:
            message = f"no answer within {endpoint.timeout_seconds:g} seconds from the call's start"
            message += f"; the last one before: {why[-1]}" if why else ""
            return ItemFailure(id=item.id, code=FailureCode.TIMED_OUT, message=message)


NOTHING_REPORTED = Provenance(
    model_revision=None,
    weights_sha256=None,
    tokenizer_sha256=None,
    dtype=None,
    device=None,
    engine="http",
    libraries={},
    batch_size=None,
)
NOT_FRESH = NOTHING_REPORTED.model_copy(update={"fresh_start": False})  # an endpoint starts as it likes


def _region_of(results: Sequence[ItemAnswer | ItemFailure]) -> str:
    """The regions that the answers name, for the record of the call: each answer has its own."""
    named = {result.region for result in results if isinstance(result, ItemAnswer)} - {None}
    return ", ".join(sorted(str(region) for region in named)) or UNREPORTED_REGION


def _state_of(results: Sequence[ItemAnswer | ItemFailure]) -> CallState:
    """The truth of a call whose items have all ended: timed out where that is all there is to tell."""
    failures = [result for result in results if isinstance(result, ItemFailure)]
    if len(failures) == len(results) and {f.code for f in failures} == {FailureCode.TIMED_OUT}:
        failure = CallFailure(code=FailureCode.TIMED_OUT, message=failures[0].message)
        return CallState(status=CallStatus.TIMED_OUT, failure=failure)
    return SUCCEEDED
