"""Inference in this process: the embedded default, with the same promises as Modal.

One machine serves every region, so the region it reports is the one it was asked to play. What is
real is everything else: durable calls, generation by transformers, and attaching after a crash.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from inference.contract import (
    CallFailure,
    CallState,
    CallStatus,
    Deployment,
    FailureCode,
    ModelSource,
    Reply,
    ReplyUnavailable,
    Request,
    SubmitRejected,
    SubmitUnknown,
    read_reply,
)
from inference.local.call_store import CallFolder, CorruptCall, Started
from inference.local.own_process import OwnProcess, WorkerLost
from inference.model_files import ModelUnavailable
from inference.runtime.chat_runtime import Runtime, answer_each
from inference.runtime.engines import load_runtime
from inference.runtime.loading import summary

LOADED_MODELS = 2  # kept in memory at once
PENDING = CallState(status=CallStatus.PENDING)

log = structlog.get_logger()


class LocalProvider:
    """Runs calls one after another on a thread of its own; keeps them in ``folder``.

    A call whose process was killed is taken over by whoever waits for it, that is, polls it a
    second time; one look starts nothing. Items with a result on the disk are not generated again.
    A request with ``fresh_start`` is generated in a process of its own (`own_process`); when that dies
    alone, the call has failed with ``worker_lost``. ``region`` says where a deployment claims to have run;
    ``batch_size`` stands in for the model's own.
    """

    name = "local"
    durable = True

    def __init__(
        self,
        folder: Path,
        *,
        load: Callable[[ModelSource], Runtime] | None = None,
        region: Callable[[Deployment], str] = lambda deployment: deployment.region,
        batch_size: int | None = None,
    ) -> None:
        self._folder = folder
        self._load = load or _load
        self._region = region
        self._batch_size = batch_size
        self._models: OrderedDict[ModelSource, Runtime] = OrderedDict()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="local-inference")
        self._running: dict[str, Future[None]] = {}
        self._looked_at: set[str] = set()
        self._closing = threading.Event()

    def check_configured(self, *deployments: Deployment) -> None:
        """Nothing is needed."""

    async def submit(self, request: Request) -> str:
        """Accept a request; its own id is the call id, so sending it twice runs it once."""
        return await asyncio.to_thread(self._submit, request)

    async def poll(self, call_id: str) -> CallState:
        """What became of a call. One that lost its process goes on in this one, if it asks again."""
        return await asyncio.to_thread(self._poll, call_id)

    async def fetch(self, call_id: str, request: Request) -> Reply:
        """The reply of a succeeded call."""
        reply = await asyncio.to_thread(self._kept_reply, call_id)
        return read_reply(reply, request)

    async def cancel(self, call_id: str) -> None:
        """Stop a call before its next micro-batch."""
        await asyncio.to_thread(self._cancel, call_id)

    async def close(self) -> None:
        """Stop after the running micro-batch; what is not done can be taken over by another process."""
        self._closing.set()
        await asyncio.to_thread(self._worker.shutdown, cancel_futures=True)
        self._models.clear()

    def _submit(self, request: Request) -> str:
        try:
            call = CallFolder(self._folder, request.id)
        except ValueError as error:
            failure = CallFailure(code=FailureCode.REJECTED, message=str(error))
            raise SubmitRejected(failure) from error
        try:
            call.accept(request)
        except OSError as error:
            raise SubmitUnknown(f"call {request.id} could not be kept: {summary(error)}") from error
        self._run_here(call)
        return request.id

    def _accepted(self, call_id: str) -> CallFolder | None:
        """The call of this id; None when none was accepted, or could be."""
        try:
            call = CallFolder(self._folder, call_id)
        except ValueError:
            return None
        return call if call.is_accepted else None

    def _kept_reply(self, call_id: str) -> dict[str, Any]:
        call = self._accepted(call_id)
        try:
            ended = call.ended() if call else None
        except (CorruptCall, OSError) as error:
            raise ReplyUnavailable(str(error)) from error
        if ended is None or ended[1] is None:
            raise ReplyUnavailable(f"call {call_id} has no reply")
        return ended[1]

    def _cancel(self, call_id: str) -> None:
        call = self._accepted(call_id)
        try:
            if call:
                call.request_cancel()
        except OSError as error:
            raise ReplyUnavailable(f"call {call_id} cannot be stopped: {summary(error)}") from error

    def _poll(self, call_id: str) -> CallState:
        call = self._accepted(call_id)
        if call is None:
            failure = CallFailure(code=FailureCode.UNKNOWN_CALL, message=f"no call {call_id}")
            return CallState(status=CallStatus.FAILED, failure=failure)
        try:
            ended = call.ended()
        except (CorruptCall, OSError) as error:
            return CallState(status=CallStatus.UNREACHABLE, detail=str(error))
        if ended is not None:
            return ended[0]
        if fault := self._fault(call_id):
            return CallState(status=CallStatus.UNREACHABLE, detail=fault)
        if call_id in self._looked_at:
            self._run_here(call)
        self._looked_at.add(call_id)
        return PENDING

    def _run_here(self, call: CallFolder) -> None:
        """Queue the call on this process's worker, unless it is queued already or this one closes.

        A call whose files failed this process is left to the next one, with the results it has.
        """
        known = self._running.get(call.call_id)
        if self._closing.is_set() or (known is not None and not known.done()) or self._fault(call.call_id):
            return
        self._running[call.call_id] = self._worker.submit(self._run, call)

    def _fault(self, call_id: str) -> str | None:
        """Why this process could not work on a call: its files cannot be read or written."""
        known = self._running.get(call_id)
        if known is None or not known.done() or known.cancelled():
            return None
        fault = known.exception()
        return None if fault is None else f"call {call_id} cannot be run here: {summary(fault)}"

    def _run(self, call: CallFolder) -> None:
        owner = call.own()
        if owner is None:
            return
        with owner:
            if call.ended() is not None:
                return
            request = call.request()
            try:
                self._work(call, request)
            except (CorruptCall, OSError):
                raise  # of the store: what became of the call is unknown, see `_fault`
            except Exception as error:
                # Kept as the call's end, or whoever waits for it would wait for ever.
                log.exception("a call broke off", call=call.call_id)
                _end_with_failure(call, CallStatus.FAILED, FailureCode.PROVIDER_ERROR, summary(error))

    def _work(self, call: CallFolder, request: Request) -> None:
        if call.is_cancel_requested():  # before the weights are loaded for nothing
            _end_as_cancelled(call)
            return
        try:
            if request.fresh_start:
                with OwnProcess(self._load, request.model) as runtime:
                    self._generate(call, request, runtime, cold=True, process=runtime.pid)
            else:
                cold = request.model not in self._models
                self._generate(call, request, self._runtime(request.model), cold=cold, process=os.getpid())
        except ModelUnavailable as unavailable:
            _end_with_failure(call, CallStatus.FAILED, FailureCode.MODEL_UNAVAILABLE, str(unavailable))
        except WorkerLost as lost:
            _end_with_failure(call, CallStatus.FAILED, FailureCode.WORKER_LOST, str(lost))

    def _generate(
        self, call: CallFolder, request: Request, runtime: Runtime, *, cold: bool, process: int
    ) -> None:
        task_id = f"{socket.gethostname()}:{process}"
        started = call.start(Started(at=datetime.now(UTC), task_id=task_id, cold=cold))
        left = [item for item in request.items if item.id not in call.results()]
        size = self._batch_size or request.model.batch_size
        for start in range(0, len(left), size):
            if call.is_cancel_requested():
                _end_as_cancelled(call)
                return
            if self._closing.is_set():
                return
            batch = left[start : start + size]
            for result in answer_each(runtime, batch, request.parameters, batch_size=size):
                call.keep(result)
        call.end(CallState(status=CallStatus.SUCCEEDED), self._reply(call, request, runtime, started))

    def _reply(
        self, call: CallFolder, request: Request, runtime: Runtime, started: Started
    ) -> dict[str, object]:
        results = call.results()
        provenance = runtime.provenance(self._batch_size or request.model.batch_size)
        if request.fresh_start:
            provenance = provenance.model_copy(update={"fresh_start": True})
        reply = Reply(
            version=1,
            request_id=request.id,
            region=self._region(request.deployment),
            cloud=None,
            task_id=started.task_id,
            cold_start=started.cold,
            started_at=started.at,
            finished_at=datetime.now(UTC),
            provenance=provenance,
            items=tuple(results[item.id] for item in request.items),
        )
        return reply.model_dump(mode="json")

    def _runtime(self, source: ModelSource) -> Runtime:
        if source in self._models:
            self._models.move_to_end(source)
        else:
            self._models[source] = self._load(source)
            if len(self._models) > LOADED_MODELS:
                self._models.popitem(last=False)
        return self._models[source]


def _load(source: ModelSource) -> Runtime:
    import torch

    # Several runs share the machine, and each has one of these.
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // 4))
    return load_runtime(source)


def _end_with_failure(call: CallFolder, call_status: CallStatus, code: FailureCode, message: str) -> None:
    call.end(CallState(status=call_status, failure=CallFailure(code=code, message=message)))


def _end_as_cancelled(call: CallFolder) -> None:
    _end_with_failure(call, CallStatus.CANCELLED, FailureCode.CANCELLED, "stopped on request")
