"""What each exception of the Modal SDK says of a call: one table.

Rows are tried from the top, subclasses before their bases: both `FunctionTimeoutError` and
`OutputExpiredError` are Modal's own ``TimeoutError``, while *pending* is the builtin one. What is in
no row says nothing of the call, like a lost connection: unknown is not failed.

An `ExecutionError` is many things, and only its text tells which: the SDK raises it for a container's
exception that it cannot unpickle, and also when it cannot download the result of a call that succeeded
(a result over 8 KiB travels as a blob). So it has a row for each text that says how the call ended.

With payloads in CBOR whatever the function raised arrives as `RemoteError`, so that an exception of
ours in the container cannot pass for one of Modal's. A call cancelled at Modal is a `RemoteError`
too, and only its text differs from a crash: whoever cancelled knows.

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

from inference.contract import CallFailure, CallState, FailureCode, ProviderTruth

# What the SDK itself raises of a result: each has rows in the table.
_OF_A_RESULT = (of.FunctionTimeoutError, of.InternalFailure, of.RemoteError, of.ExecutionError)

PENDING = CallState(truth=ProviderTruth.PENDING)
SUCCEEDED = CallState(truth=ProviderTruth.SUCCEEDED)


@dataclass(frozen=True)
class Meaning:
    """What an exception says of the call that was asked for."""

    truth: ProviderTruth
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


_UNREACHABLE = Meaning(ProviderTruth.UNREACHABLE)
_UNREADABLE = Meaning(ProviderTruth.SUCCEEDED)  # it finished, and its result cannot be decoded here

_RAISED = Meaning(ProviderTruth.FAILED, FailureCode.PROVIDER_ERROR, "the function failed")

TRUTHS: tuple[Row, ...] = (
    Row(TimeoutError, Meaning(ProviderTruth.PENDING)),
    Row(
        of.OutputExpiredError,
        Meaning(ProviderTruth.EXPIRED, FailureCode.EXPIRED, "Modal no longer has the result"),
    ),
    Row(
        of.FunctionTimeoutError,
        Meaning(ProviderTruth.TIMED_OUT, FailureCode.TIMED_OUT, "the function ran out of its time"),
    ),
    Row(of.InternalFailure, Meaning(ProviderTruth.FAILED, FailureCode.WORKER_LOST, "the worker was lost")),
    Row(of.RemoteError, _RAISED),
    Row(of.ExecutionError, _RAISED, begins="Could not deserialize remote exception"),
    Row(of.ExecutionError, _RAISED, begins="Got remote exception of incorrect type"),
    Row(of.ExecutionError, _UNREADABLE, begins="Could not deserialize result"),
    Row(of.ExecutionError, _UNREACHABLE),
    Row(of.DeserializationError, _UNREADABLE),
    Row(cbor2.CBORDecodeError, _UNREADABLE),
    Row(
        of.NotFoundError,
        Meaning(ProviderTruth.FAILED, FailureCode.UNKNOWN_CALL, "Modal does not know this call"),
    ),
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
    return bool(codes) and codes[-1].co_name == "_process_result" and not isinstance(error, _OF_A_RESULT)


def state_of(error: BaseException) -> CallState:
    """What became of a call, by the exception that asking for it raised."""
    if raised_in_container(error):
        told = f"a container raised {type(error).__name__}: {str(error).strip() or 'without a word'}"
        failure = CallFailure(code=FailureCode.PROVIDER_ERROR, message=told)
        return CallState(truth=ProviderTruth.FAILED, failure=failure)
    meaning = next((row.meaning for row in TRUTHS if row.fits(error)), _UNREACHABLE)
    told = str(error).strip() or meaning.words or type(error).__name__
    if meaning.truth is ProviderTruth.UNREACHABLE:
        return CallState(truth=meaning.truth, detail=f"{type(error).__name__}: {told}")
    if meaning.code is None:
        return CallState(truth=meaning.truth)
    return CallState(truth=meaning.truth, failure=CallFailure(code=meaning.code, message=told))
