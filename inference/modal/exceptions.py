"""What each exception of the Modal SDK says of a call: one table.

Rows are tried from the top, subclasses before their bases: both `FunctionTimeoutError` and
`OutputExpiredError` are Modal's own ``TimeoutError``, while *pending* is the builtin one. What is in
no row says nothing of the call, like a lost connection: unknown is not failed.

An `ExecutionError` is many things, and only its text tells which: the SDK raises it for a container's
exception that it cannot unpickle, and also when it cannot download the result of a call that succeeded
(a result over 8 KiB travels as a blob). So it has a row for each text that says how the call ended.

With payloads in CBOR whatever the function raised arrives as `RemoteError`, so that an exception of
ours in the container cannot pass for one of Modal's. A call cancelled at Modal, one killed for its memory
and one whose container could not start are a `RemoteError` too, often without a text: `ENDINGS` reads
the status that came with the result.

A `NotFoundError` is in no row: it is raised for a call that Modal does not know and for a result whose
blob is gone, and the provider asks once more which of them it is.

A container that crashes while it starts is the exception to that: its exception, of any type, travels as
a pickle and is raised here as it is, so that a ``TimeoutError`` of its own looks like *pending*. Only its
traceback tells, so it is looked at before the table.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass

import cbor2
import grpclib.exceptions
import modal.exception as of
from modal_proto.api_pb2 import GenericResult

from inference.contract import CallFailure, CallState, CallStatus, FailureCode

# What the SDK itself raises of a result: each has rows in the table.
_OF_A_RESULT = (of.FunctionTimeoutError, of.InternalFailure, of.RemoteError, of.ExecutionError)

PENDING = CallState(status=CallStatus.PENDING)
SUCCEEDED = CallState(status=CallStatus.SUCCEEDED)


@dataclass(frozen=True)
class Meaning:
    """What an exception says of the call that was asked for."""

    status: CallStatus
    code: FailureCode | None = None
    words: str = ""  # where the exception itself says nothing


@dataclass(frozen=True)
class Row:
    """Exceptions of one kind, all of them or those whose text begins so, and what they mean."""

    kind: type[Exception]
    meaning: Meaning
    begins: str = ""

    def fits(self, error: BaseException) -> bool:
        return isinstance(error, self.kind) and str(error).startswith(self.begins)


_UNREACHABLE = Meaning(CallStatus.UNREACHABLE)
_UNREADABLE = Meaning(CallStatus.SUCCEEDED)  # it finished, and its result cannot be decoded here

_RAISED = Meaning(CallStatus.FAILED, FailureCode.PROVIDER_ERROR, "it failed, and Modal gives no reason")
# With payloads in CBOR only a container that starts still sends a pickle.
_BROKE_AT_START = Meaning(CallStatus.FAILED, FailureCode.START_FAILED, "the container could not start")

TRUTHS: tuple[Row, ...] = (
    Row(TimeoutError, Meaning(CallStatus.PENDING)),
    Row(
        of.OutputExpiredError,
        Meaning(CallStatus.EXPIRED, FailureCode.EXPIRED, "Modal no longer has the result"),
    ),
    Row(
        of.FunctionTimeoutError,
        Meaning(CallStatus.TIMED_OUT, FailureCode.TIMED_OUT, "the function ran out of its time"),
    ),
    Row(of.InternalFailure, Meaning(CallStatus.FAILED, FailureCode.WORKER_LOST, "the worker was lost")),
    Row(of.RemoteError, _RAISED),
    Row(of.ExecutionError, _BROKE_AT_START, begins="Could not deserialize remote exception"),
    Row(of.ExecutionError, _BROKE_AT_START, begins="Got remote exception of incorrect type"),
    Row(of.ExecutionError, _UNREADABLE, begins="Could not deserialize result"),
    Row(of.ExecutionError, _UNREACHABLE),
    Row(of.DeserializationError, _UNREADABLE),
    Row(cbor2.CBORDecodeError, _UNREADABLE),
    Row(of.InvalidError, _UNREADABLE, begins="Unknown data format"),
    Row(of.AuthError, _UNREACHABLE),
    Row(of.PermissionDeniedError, _UNREACHABLE),
    Row(of.ServiceError, _UNREACHABLE),
    Row(of.InternalError, _UNREACHABLE),
    Row(of.ConnectionError, _UNREACHABLE),
    Row(of.ResourceExhaustedError, _UNREACHABLE),
    Row(of.ClientClosed, _UNREACHABLE),
    Row(grpclib.exceptions.StreamTerminatedError, _UNREACHABLE),
    Row(grpclib.exceptions.GRPCError, _UNREACHABLE),
    Row(OSError, _UNREACHABLE),
)

_OUT_OF_MEMORY = Meaning(CallStatus.FAILED, FailureCode.OUT_OF_MEMORY, "it ran out of memory")

# What `RemoteError` leaves out: the status of the result that it was made of. A plain failure is not here.
ENDINGS: dict[int, Meaning] = {
    GenericResult.GENERIC_STATUS_TERMINATED: Meaning(
        CallStatus.CANCELLED,
        FailureCode.CANCELLED,
        "cancelled at Modal: in its dashboard or by its command",
    ),
    GenericResult.GENERIC_STATUS_INIT_FAILURE: _BROKE_AT_START,
    GenericResult.GENERIC_STATUS_MEMORY_MANAGER_EVICTION: _OUT_OF_MEMORY,
    GenericResult.GENERIC_STATUS_MEMORY_THRASHING_EVICTION: _OUT_OF_MEMORY,
    GenericResult.GENERIC_STATUS_KERNEL_OOM_KILL: _OUT_OF_MEMORY,
}

READS_RESULT, RESULT = "_process_result", "result"  # the SDK's function, and its name for the message


def _ending_of(error: BaseException) -> Meaning | None:
    """What the status of a result says of the call, where its exception does not.

    The SDK drops the status on the way, and no public call gives it: `get_call_graph` is best effort and
    knows no memory. It is still in the frame that raised. Under another name it is not found, and
    the exception's class decides alone; a test tells when that happens.
    """
    for frame, _ in traceback.walk_tb(error.__traceback__):
        result = frame.f_locals.get(RESULT)
        if frame.f_code.co_name == READS_RESULT and isinstance(result, GenericResult):
            return ENDINGS.get(result.status)
    return None


def raised_in_container(error: BaseException) -> bool:
    """Whether an exception is a container's own, unpickled and raised again here.

    The SDK puts the container's id before the files of its traceback, ``<ta-…>:/root/…``, to tell just
    that; no file of this machine is named so. Where no traceback travelled, the last frame is the SDK's
    own that reads a result and raises what is in it. It is private, and nothing public tells: under
    another name it would not be recognized, and such a call would be unreachable, never failed.
    """
    codes = [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)]
    if any(code.co_filename.startswith("<ta-") for code in codes):
        return True
    return bool(codes) and codes[-1].co_name == READS_RESULT and not isinstance(error, _OF_A_RESULT)


def state_of(error: BaseException) -> CallState:
    """What became of a call, by the exception that asking for it raised."""
    # Python replaces a StopIteration that leaves a coroutine by a RuntimeError.
    own = error.__cause__ if isinstance(error.__cause__, StopIteration | StopAsyncIteration) else error
    if raised_in_container(own):
        message = f"a container raised {type(own).__name__}: {str(own).strip() or 'without a word'}"
        failure = CallFailure(code=FailureCode.START_FAILED, message=message)
        return CallState(status=CallStatus.FAILED, failure=failure)
    row = next((row.meaning for row in TRUTHS if row.fits(error)), _UNREACHABLE)
    meaning = (_ending_of(error) if isinstance(error, of.RemoteError) else None) or row
    message = str(error).strip() or meaning.words or type(error).__name__
    if meaning.status is not row.status or meaning.code is not row.code:
        message = meaning.words if message == meaning.words else f"{meaning.words} ({message})"
    if meaning.status is CallStatus.UNREACHABLE:
        return CallState(status=meaning.status, detail=f"{type(error).__name__}: {message}")
    if meaning.code is None:
        return CallState(status=meaning.status)
    return CallState(status=meaning.status, failure=CallFailure(code=meaning.code, message=message))
