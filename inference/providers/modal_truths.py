"""What each exception of the Modal SDK says of a call: one table.

Rows are tried from the top, subclasses before their bases: both `FunctionTimeoutError` and
`OutputExpiredError` are Modal's own ``TimeoutError``, while *pending* is the builtin one. What is in
no row says nothing of the call, like a lost connection: unknown is not failed.

With payloads in CBOR whatever the function raised arrives as `RemoteError`, so that an exception of
ours in the container cannot pass for one of Modal's. A call cancelled at Modal is a `RemoteError`
too, and only its text differs from a crash: whoever cancelled knows.
"""

from __future__ import annotations

from dataclasses import dataclass

import cbor2
import grpclib.exceptions
import modal.exception as of

from inference.contract import CallFailure, CallState, FailureCode, ProviderTruth

PENDING = CallState(truth=ProviderTruth.PENDING)
SUCCEEDED = CallState(truth=ProviderTruth.SUCCEEDED)


@dataclass(frozen=True)
class Meaning:
    """What an exception says of the call that was asked for."""

    truth: ProviderTruth
    code: FailureCode | None = None
    words: str = ""  # where the exception itself says nothing


_UNREACHABLE = Meaning(ProviderTruth.UNREACHABLE)
_UNREADABLE = Meaning(ProviderTruth.SUCCEEDED)  # it finished, and its result cannot be decoded here

TRUTHS: tuple[tuple[type[Exception], Meaning], ...] = (
    (TimeoutError, Meaning(ProviderTruth.PENDING)),
    (
        of.OutputExpiredError,
        Meaning(ProviderTruth.EXPIRED, FailureCode.EXPIRED, "Modal no longer has the result"),
    ),
    (
        of.FunctionTimeoutError,
        Meaning(ProviderTruth.TIMED_OUT, FailureCode.TIMED_OUT, "the function ran out of its time"),
    ),
    (of.InternalFailure, Meaning(ProviderTruth.FAILED, FailureCode.WORKER_LOST, "the worker was lost")),
    (of.RemoteError, Meaning(ProviderTruth.FAILED, FailureCode.PROVIDER_ERROR, "the function failed")),
    # A container that crashes while it starts: Modal pickles its exception whatever the payloads are.
    (of.ExecutionError, Meaning(ProviderTruth.FAILED, FailureCode.PROVIDER_ERROR, "the container failed")),
    (of.DeserializationError, _UNREADABLE),
    (cbor2.CBORDecodeError, _UNREADABLE),
    (
        of.NotFoundError,
        Meaning(ProviderTruth.FAILED, FailureCode.UNKNOWN_CALL, "Modal does not know this call"),
    ),
    (of.AuthError, _UNREACHABLE),
    (of.PermissionDeniedError, _UNREACHABLE),
    (of.ServiceError, _UNREACHABLE),
    (of.InternalError, _UNREACHABLE),
    (of.ConnectionError, _UNREACHABLE),
    (of.ResourceExhaustedError, _UNREACHABLE),
    (of.ClientClosed, _UNREACHABLE),
    (grpclib.exceptions.StreamTerminatedError, _UNREACHABLE),
    (grpclib.exceptions.GRPCError, _UNREACHABLE),
    (OSError, _UNREACHABLE),
)


def state_of(error: Exception) -> CallState:
    """What became of a call, by the exception that asking for it raised."""
    meaning = next((meaning for kind, meaning in TRUTHS if isinstance(error, kind)), _UNREACHABLE)
    told = str(error).strip() or meaning.words or type(error).__name__
    if meaning.truth is ProviderTruth.UNREACHABLE:
        return CallState(truth=meaning.truth, detail=f"{type(error).__name__}: {told}")
    if meaning.code is None:
        return CallState(truth=meaning.truth)
    return CallState(truth=meaning.truth, failure=CallFailure(code=meaning.code, message=told))
