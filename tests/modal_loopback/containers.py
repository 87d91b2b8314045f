"""Containers: the SDK's own entrypoint in a process each, fed and heard over the same protocol."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from collections import deque
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf.empty_pb2 import Empty
from grpclib import GRPCError, Status
from modal_proto import api_pb2

from tests.modal_loopback.calls import Calls, FunctionCall
from tests.modal_loopback.ids import new_id
from tests.modal_loopback.journal import Journal
from tests.modal_loopback.launching import Launcher, Process, prepare
from tests.modal_loopback.materials import Materials
from tests.modal_loopback.objects import Function, Objects
from tests.modal_loopback.payloads import Outcome, terminated, worker_lost
from tests.modal_loopback.wire import caller

IDLE_SECONDS = 60.0
HEARTBEAT_HOLD_SECONDS = 10.0  # below the SDK's heartbeat interval of 15 s
STOP_SECONDS = 3.0


@dataclass(eq=False)
class Task:
    """One container."""

    id: str
    function: Function
    definition: api_pb2.Function  # what it was started with: a later deployment makes it outdated
    process: Process | None = None
    call: FunctionCall | None = None
    idle_since: float | None = None
    stopping: bool = False
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)


class Containers:
    """A runner: at most ``limit`` containers at once, and each function's own ``max_containers``.

    When another class waits and the limit is reached, the container that is idle makes room.
    """

    def __init__(
        self,
        calls: Calls,
        objects: Objects,
        materials: Materials,
        journal: Journal,
        folder: Path,
        *,
        limit: int,
        preload: Sequence[str],
    ) -> None:
        self._calls = calls
        self._objects = objects
        self._materials = materials
        self._journal = journal
        self._folder = folder
        self._limit = limit
        self._launcher = Launcher(preload)
        self.server_url = ""  # known once the server listens
        self._tasks: dict[str, Task] = {}
        self._queues: dict[str, deque[FunctionCall]] = {}
        self._changed = asyncio.Condition()
        self._background: set[asyncio.Task[None]] = set()
        self._closing = False

    # As a runner.

    def submit(self, call: FunctionCall) -> None:
        self._queues.setdefault(call.function.id, deque()).append(call)
        self._keep(self._scale())

    def cancel(self, call: FunctionCall, *, kill: bool) -> None:
        queue = self._queues.get(call.function.id, deque())
        task = next((task for task in self._tasks.values() if task.call is call), None)
        if call in queue:
            queue.remove(call)
        if task is None or kill:
            self._calls.end(call, terminated())
        if task is not None:
            self._kill(task) if kill else task.cancelled.set()

    async def close(self) -> None:
        """Stop all containers: those at work at once, idle ones by asking first."""
        self._closing = True
        for task in self._tasks.values():
            if task.call is not None or task.idle_since is None:
                self._kill(task)
        await self._announce()
        if self._background:
            await asyncio.wait(self._background, timeout=STOP_SECONDS)
        for task in self._tasks.values():
            self._kill(task)
        while self._background:
            await asyncio.wait(self._background)
        await self._launcher.close()

    # Starting and stopping.

    async def _scale(self) -> None:
        """Start containers for what waits, as far as the limits allow, and wake the idle ones."""
        for queue in list(self._queues.values()):
            if not queue or self._closing:
                continue
            function = queue[0].function
            mine = [task for task in self._staying() if task.function is function]
            free = sum(task.call is None for task in mine)
            most = function.definition.autoscaler_settings.max_containers or self._limit
            if free < len(queue) and len(mine) < most and len(self._staying()) < self._limit:
                await self._start(function)
        await self._announce()

    def _staying(self) -> list[Task]:
        return [task for task in self._tasks.values() if not task.stopping]

    async def _start(self, function: Function) -> None:
        task = Task(new_id("ta"), function, function.definition)
        self._tasks[task.id] = task
        root = self._folder / "roots" / task.id
        try:
            task.process = await self._launch(task, root)
        except OSError as error:
            del self._tasks[task.id]
            self._fail_queued(function, worker_lost(f"no container could be started: {error}"))
            return
        self._journal.write(
            "container", task=task.id, class_name=function.class_name, state="started", pid=task.process.pid
        )
        self._keep(self._watch(task, root))
        if self._closing:
            self._kill(task)

    async def _launch(self, task: Task, root: Path) -> Process:
        (root / "root").mkdir(parents=True)
        self._materials.unpack(task.definition, root)
        app = self._objects.app_of(task.function)
        arguments = api_pb2.ContainerArguments(
            task_id=task.id,
            function_id=task.function.id,
            app_id=app.id,
            function_def=task.definition,
            app_layout=self._objects.layout(app),
            environment_name="main",
        )
        variables = self._materials.environment(task.definition)
        log = self._folder / "logs" / f"{task.id}.log"
        return await self._launcher.launch(prepare(root, arguments, variables, self.server_url, log))

    async def _watch(self, task: Task, root: Path) -> None:
        """Wait for a container's end, and end what it left undone."""
        assert task.process is not None
        code = await task.process.wait()
        was_stopping, task.stopping = task.stopping, True  # its last poll may still be open here
        del self._tasks[task.id]
        shutil.rmtree(root, ignore_errors=True)
        self._journal.write(
            "container", task=task.id, class_name=task.function.class_name, state="ended", code=code
        )
        if self._closing:
            return
        if task.call is not None:
            self._calls.end(task.call, worker_lost(f"the container ended with code {code}"))
        elif task.idle_since is None and not was_stopping:
            self._fail_queued(task.function, worker_lost(f"the container did not start: code {code}"))
        await self._scale()

    def _fail_queued(self, function: Function, outcome: Outcome) -> None:
        queue = self._queues.get(function.id, deque())
        while queue:
            self._calls.end(queue.popleft(), outcome)

    def _kill(self, task: Task) -> None:
        task.stopping = True
        if task.process is not None and task.process.returncode is None:
            os.killpg(task.process.pid, signal.SIGKILL)

    async def _announce(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    # What containers ask and tell.

    async def ContainerHello(self, request: Empty) -> Empty:
        return Empty()

    async def ContainerHeartbeat(
        self, request: api_pb2.ContainerHeartbeatRequest
    ) -> api_pb2.ContainerHeartbeatResponse:
        task = self._asking()
        try:
            await asyncio.wait_for(task.cancelled.wait(), HEARTBEAT_HOLD_SECONDS)
        except TimeoutError:
            return api_pb2.ContainerHeartbeatResponse()
        task.cancelled.clear()
        inputs = [] if task.call is None else [task.call.input_id]
        return api_pb2.ContainerHeartbeatResponse(
            cancel_input_event=api_pb2.CancelInputEvent(input_ids=inputs)
        )

    async def FunctionGetInputs(
        self, request: api_pb2.FunctionGetInputsRequest
    ) -> api_pb2.FunctionGetInputsResponse:
        task = self._asking()
        task.call, task.idle_since = None, time.monotonic()
        call = await self._next_call(task)
        if call is None:
            task.stopping = True
            self._keep(self._scale())  # there is room for another
            last = api_pb2.FunctionGetInputsItem(kill_switch=True)
            return api_pb2.FunctionGetInputsResponse(inputs=[last])
        task.call, task.idle_since = call, None
        task.cancelled.clear()
        self._calls.handed_over(call, task.id)
        seconds = task.definition.timeout_secs
        if seconds:
            asyncio.get_running_loop().call_later(seconds, self._time_out, task, call, call.retries)
        item = api_pb2.FunctionGetInputsItem(
            input_id=call.input_id,
            input=call.input,
            function_call_id=call.id,
            function_call_invocation_type=call.invocation,
            retry_count=call.retries,
        )
        return api_pb2.FunctionGetInputsResponse(inputs=[item])

    async def _next_call(self, task: Task) -> FunctionCall | None:
        """The next call for a container, or None when it shall end."""
        queue = self._queues.setdefault(task.function.id, deque())
        idle = task.definition.autoscaler_settings.scaledown_window or IDLE_SECONDS
        end = time.monotonic() + idle
        while not self._closing and not task.stopping and task.definition is task.function.definition:
            if queue:
                return queue.popleft()
            if self._others_starve(task):
                return None
            try:
                async with self._changed:
                    await asyncio.wait_for(self._changed.wait(), end - time.monotonic())
            except TimeoutError:
                return None
        return None

    def _others_starve(self, task: Task) -> bool:
        waiting = any(queue for id_, queue in self._queues.items() if id_ != task.function.id)
        return waiting and len(self._staying()) >= self._limit

    def _time_out(self, task: Task, call: FunctionCall, attempt: int) -> None:
        if task.call is call and call.retries == attempt and call.outcome is None:
            self._calls.time_out(call)
            self._kill(task)

    async def FunctionPutOutputs(self, request: api_pb2.FunctionPutOutputsRequest) -> Empty:
        for output in request.outputs:
            call = self._calls.by_input[output.input_id]
            result = output.result
            if result.status == api_pb2.GenericResult.GENERIC_STATUS_TERMINATED:
                self._calls.end(call, terminated())
            else:
                self._calls.end(call, Outcome(result, output.data_format))
        task = self._asking()
        task.call, task.idle_since = None, time.monotonic()  # it may end now without asking again
        return Empty()

    async def TaskResult(self, request: api_pb2.TaskResultRequest) -> Empty:
        """A container that could not start says why: its calls fail with that."""
        task = self._asking()
        task.stopping = True
        self._fail_queued(task.function, Outcome(request.result))
        return Empty()

    async def ContainerStop(self, request: api_pb2.ContainerStopRequest) -> Empty:
        return Empty()

    async def FunctionGetDynamicConcurrency(
        self, request: api_pb2.FunctionGetDynamicConcurrencyRequest
    ) -> api_pb2.FunctionGetDynamicConcurrencyResponse:
        return api_pb2.FunctionGetDynamicConcurrencyResponse(concurrency=request.target_concurrency)

    def _asking(self) -> Task:
        task = self._tasks.get(caller.get().task)
        if task is None:
            raise GRPCError(Status.PERMISSION_DENIED, "no container of this server")
        return task
