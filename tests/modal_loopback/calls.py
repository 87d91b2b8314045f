"""Function calls: accepted once, ended once, and kept until the server stops."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from google.protobuf.empty_pb2 import Empty
from grpclib import GRPCError, Status
from modal_proto import api_pb2

from tests.modal_loopback.blobs import Blobs
from tests.modal_loopback.faults import CANCEL, FROM_ID, POLL, SPAWN
from tests.modal_loopback.ids import new_id
from tests.modal_loopback.injections import Active, Injections, first_refusal
from tests.modal_loopback.journal import Journal
from tests.modal_loopback.objects import Function, Objects
from tests.modal_loopback.payloads import (
    Arguments,
    Outcome,
    Result,
    decode,
    success,
    terminated,
    timed_out,
)
from tests.modal_loopback.wire import AnswerLostOnTheWay, caller

Invocation: TypeAlias = api_pb2.FunctionCallInvocationType.ValueType


@dataclass
class FunctionCall:
    """One call of one input."""

    id: str
    function: Function
    input: api_pb2.FunctionInput
    invocation: Invocation
    arguments: Arguments
    faults: tuple[Active, ...] = ()
    workspace: str = ""
    input_id: str = field(default_factory=lambda: new_id("in"))
    accepted: float = field(default_factory=time.monotonic)
    retries: int = 0
    outcome: Outcome | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    ending: bool = False  # it has an outcome that waits for its delay
    stopped: bool = False  # somebody cancelled it: whatever its container still says comes too late
    released: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def method(self) -> str:
        return self.input.method_name

    @property
    def about(self) -> dict[str, str | None]:
        """What the journal says of it."""
        return {
            "call": self.id,
            "class_name": self.function.class_name,
            "request_id": self.arguments.request_id,
        }


class Runner(Protocol):
    """What runs calls: containers, or a callable in the server."""

    def submit(self, call: FunctionCall) -> None:
        """Run the call some time and report its outcome to `Calls.end`."""
        ...

    def cancel(self, call: FunctionCall, *, kill: bool) -> None:
        """Stop a call that was submitted and has not ended."""
        ...

    async def close(self) -> None: ...


@dataclass
class Spawn:
    """One spawn, however often its request is repeated."""

    faults: tuple[Active, ...]
    calls: list[FunctionCall] = field(default_factory=list)
    answers: int = 0


class Calls:
    """The RPCs that start, poll and cancel calls."""

    def __init__(self, objects: Objects, blobs: Blobs, injections: Injections, journal: Journal) -> None:
        self._objects = objects
        self._blobs = blobs
        self._injections = injections
        self._journal = journal
        self._spawns: dict[str, Spawn] = {}  # by idempotency key
        self._tasks: set[asyncio.Task[None]] = set()
        self.by_id: dict[str, FunctionCall] = {}
        self.by_input: dict[str, FunctionCall] = {}
        self.runner: Runner

    # Starting.

    async def FunctionMap(self, request: api_pb2.FunctionMapRequest) -> api_pb2.FunctionMapResponse:
        function = self._objects.function(request.function_id)
        (item,) = request.pipelined_inputs
        arguments = Arguments.read(self._arguments(item.input), item.input.data_format)
        key = caller.get().idempotency_key
        spawn = self._spawns.get(key)
        if spawn is None:
            shown = (arguments.args, arguments.kwargs)
            spawn = Spawn(self._injections.befalling(function.class_name, shown))
            self._spawns[key] = spawn
        self._refuse(spawn.faults, SPAWN, function.class_name)
        again = any(active.fault.spawns_again for active in spawn.faults)
        if not spawn.calls or again:
            call = self._accept(function, item.input, request.function_call_invocation_type, arguments, spawn)
        else:
            call = spawn.calls[0]
            self._journal.write("spawn_repeated", **call.about)
        spawn.answers += 1
        if any(active.fault.loses_answer(spawn.answers) for active in spawn.faults):
            self._journal.write("fault", fault="answer_lost", method=SPAWN, **call.about)
            raise AnswerLostOnTheWay
        pipelined = api_pb2.FunctionPutInputsResponseItem(input_id=call.input_id, idx=item.idx)
        return api_pb2.FunctionMapResponse(
            function_call_id=call.id,
            pipelined_inputs=[pipelined],
            retry_policy=function.definition.retry_policy,
        )

    def _accept(
        self,
        function: Function,
        given: api_pb2.FunctionInput,
        invocation: Invocation,
        arguments: Arguments,
        spawn: Spawn,
    ) -> FunctionCall:
        call = FunctionCall(new_id("fc"), function, given, invocation, arguments, spawn.faults)
        call.workspace = self._objects.workspace
        spawn.calls.append(call)
        self.by_id[call.id] = self.by_input[call.input_id] = call
        faults = [active.fault.kind for active in call.faults]
        self._journal.write("spawn", method=call.method, faults=faults, **call.about)
        outcomes = (active.fault.instead(given.data_format) for active in call.faults)
        outcome = next((found for found in outcomes if found is not None), None)
        if outcome is None:
            self.runner.submit(call)
        else:
            self.end(call, outcome)
        return call

    def handed_over(self, call: FunctionCall, task: str | None) -> None:
        """A call's input is now with whoever runs it."""
        self._journal.write("input", task=task, attempt=call.retries + 1, **call.about)

    # Ending.

    def end(self, call: FunctionCall, outcome: Outcome) -> None:
        """The call ended, unless it had already; a failure is tried again while the policy allows."""
        if call.outcome is not None or call.ending:
            return
        if call.stopped:
            outcome = terminated()
        failed = outcome.result.status == Result.GENERIC_STATUS_FAILURE
        was_run = all(active.fault.instead(call.input.data_format) is None for active in call.faults)
        if failed and was_run and call.retries < call.function.definition.retry_policy.retries:
            call.retries += 1
            self.runner.submit(call)
            return
        call.ending = True
        if outcome.name == "terminated":
            self._end_now(call, outcome)  # nothing holds back a call that was stopped
            return
        delays = [active.fault.delay() for active in call.faults]
        seconds = max((delay for delay in delays if delay is not None), default=0.0)
        left = call.accepted + seconds - time.monotonic()
        if left <= 0 and None not in delays:
            self._end_now(call, outcome)
        else:
            task = asyncio.create_task(self._end_later(call, outcome, left, held=None in delays))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _end_later(self, call: FunctionCall, outcome: Outcome, seconds: float, *, held: bool) -> None:
        await asyncio.sleep(max(0.0, seconds))
        if held:
            await call.released.wait()
        self._end_now(call, outcome)

    def _end_now(self, call: FunctionCall, outcome: Outcome) -> None:
        if call.outcome is not None:
            return
        call.outcome = self._rewritten(call, outcome)
        refusing = (active.fault.refuses_result for active in call.faults)
        losing = (active.fault.loses_blob for active in call.faults)
        self._blobs.put_away(
            call.outcome.result,
            next((found for found in refusing if found(1)), None),
            next((found for found in losing if found(1)), None),
        )
        call.ended.set()
        self._journal.write("finish", outcome=call.outcome.name, **call.about)

    def _rewritten(self, call: FunctionCall, outcome: Outcome) -> Outcome:
        """The outcome as the call's faults falsify it."""
        if outcome.name != "success" or not call.faults:
            return outcome
        original = value = decode(self._blobs.content(outcome.result), outcome.data_format)
        for active in call.faults:
            value = active.fault.rewrite(value)
        return outcome if value is original else success(value, outcome.data_format)

    def time_out(self, call: FunctionCall) -> None:
        """The call's own time is over."""
        self.end(call, timed_out(call.function.definition.timeout_secs))

    def release(self) -> None:
        """Let all calls end that are held back."""
        for call in self.by_id.values():
            call.released.set()

    async def close(self) -> None:
        """Stop what would still end calls."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # Asking.

    async def FunctionGetOutputs(
        self, request: api_pb2.FunctionGetOutputsRequest
    ) -> api_pb2.FunctionGetOutputsResponse:
        call = self._call(request.function_call_id)
        self._refuse(call.faults, POLL, call.function.class_name)
        if any(active.fault.forgets for active in call.faults):
            return api_pb2.FunctionGetOutputsResponse(num_unfinished_inputs=0)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(call.ended.wait(), request.timeout)
        if call.outcome is None:
            return api_pb2.FunctionGetOutputsResponse(num_unfinished_inputs=1)
        self._journal.write("fetch", outcome=call.outcome.name, **call.about)
        item = api_pb2.FunctionGetOutputsItem(
            result=call.outcome.result,
            input_id=call.input_id,
            data_format=self._format_of(call, call.outcome),
            retry_count=call.retries,
        )
        copies = max((active.fault.copies for active in call.faults), default=1)
        return api_pb2.FunctionGetOutputsResponse(outputs=[item] * copies)

    @staticmethod
    def _format_of(call: FunctionCall, outcome: Outcome) -> api_pb2.DataFormat.ValueType:
        data_format = outcome.data_format
        if outcome.name == "success":
            for active in call.faults:
                data_format = active.fault.reply_format(data_format)
        return data_format

    async def FunctionCallFromId(
        self, request: api_pb2.FunctionCallFromIdRequest
    ) -> api_pb2.FunctionCallFromIdResponse:
        call = self._call(request.function_call_id)
        self._refuse(call.faults, FROM_ID, call.function.class_name)
        return api_pb2.FunctionCallFromIdResponse(function_call_id=call.id, num_inputs=1)

    async def FunctionGetCallGraph(
        self, request: api_pb2.FunctionGetCallGraphRequest
    ) -> api_pb2.FunctionGetCallGraphResponse:
        call = self._call(request.function_call_id)
        status = call.outcome.result.status if call.outcome else 0
        graph = api_pb2.FunctionGetCallGraphResponse()
        graph.function_calls.add(function_call_id=call.id, function_name=call.function.name)
        graph.inputs.add(input_id=call.input_id, function_call_id=call.id, status=status)
        return graph

    async def FunctionCallCancel(self, request: api_pb2.FunctionCallCancelRequest) -> Empty:
        call = self._call(request.function_call_id)
        self._refuse(call.faults, CANCEL, call.function.class_name)
        self._journal.write("cancel", **call.about)
        if call.ending and call.outcome is None:
            self._end_now(call, terminated())
        elif call.outcome is None:
            call.stopped = True
            self.runner.cancel(call, kill=request.terminate_containers)
        return Empty()

    def class_name_of(self, request: object) -> str | None:
        """The class that a request is about, if it says."""
        call = self.by_id.get(getattr(request, "function_call_id", ""))
        function = self._objects.functions.get(getattr(request, "function_id", ""))
        tag: str = getattr(request, "object_tag", "")
        function = function or (call.function if call else None)
        return function.class_name if function else tag.removesuffix(".*") or None

    def _call(self, call_id: str) -> FunctionCall:
        if call_id not in self.by_id or self.by_id[call_id].workspace != self._objects.workspace:
            raise GRPCError(Status.NOT_FOUND, f"no function call {call_id}")
        return self.by_id[call_id]

    def _refuse(self, faults: tuple[Active, ...], method: str, class_name: str) -> None:
        status = first_refusal((active for active in faults if active.is_conditional), method)
        if status is not None:
            self._journal.write("fault", fault="refused", method=method, class_name=class_name)
            raise GRPCError(Status[status], f"injected: {method} is {status}")

    def _arguments(self, given: api_pb2.FunctionInput) -> bytes:
        return self._blobs.read(given.args_blob_id) if given.args_blob_id else given.args
