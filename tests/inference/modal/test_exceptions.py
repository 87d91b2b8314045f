"""Each exception of the Modal SDK -> what it says of a call. Row by row."""

import grpclib
import modal.exception as of
import pytest
from cbor2 import CBORDecodeError
from grpclib.exceptions import StreamTerminatedError

from inference.contract import CallStatus, FailureCode
from inference.modal.exceptions import TRUTHS, state_of

# the exception, how its text begins -> the truth, the failure code
EXPECTED: list[tuple[type[Exception], str, str, str | None]] = [
    (TimeoutError, "", "pending", None),
    (of.OutputExpiredError, "", "expired", "expired"),
    (of.FunctionTimeoutError, "", "timed_out", "timed_out"),
    (of.InternalFailure, "", "failed", "worker_lost"),
    (of.RemoteError, "", "failed", "provider_error"),
    (of.ExecutionError, "Could not deserialize remote exception", "failed", "start_failed"),
    (of.ExecutionError, "Got remote exception of incorrect type", "failed", "start_failed"),
    (of.ExecutionError, "Could not deserialize result", "succeeded", None),
    (of.ExecutionError, "", "unreachable", None),
    (of.DeserializationError, "", "succeeded", None),
    (CBORDecodeError, "", "succeeded", None),
    (of.InvalidError, "Unknown data format", "succeeded", None),
    (of.AuthError, "", "unreachable", None),
    (of.PermissionDeniedError, "", "unreachable", None),
    (of.ServiceError, "", "unreachable", None),
    (of.InternalError, "", "unreachable", None),
    (of.ConnectionError, "", "unreachable", None),
    (of.ResourceExhaustedError, "", "unreachable", None),
    (of.ClientClosed, "", "unreachable", None),
    (StreamTerminatedError, "", "unreachable", None),
    (grpclib.GRPCError, "", "unreachable", None),
    (OSError, "", "unreachable", None),
]
# In no row: they say nothing of a call.
OTHERS: tuple[type[Exception], ...] = (
    of.TimeoutError,
    of.InvalidError,
    of.NotFoundError,  # of what is the provider's to find out
    of.ConflictError,
    of.DataLossError,
    of.UnimplementedError,
    of.VersionError,
    ConnectionResetError,
    RuntimeError,
)


def _raised(kind: type[Exception], message: str) -> Exception:
    if kind is grpclib.GRPCError:
        return grpclib.GRPCError(grpclib.Status.UNKNOWN, message)
    return kind(message) if message else kind()


def test_every_row_is_expected_here() -> None:
    assert [(row.kind, row.begins) for row in TRUTHS] == [(kind, begins) for kind, begins, *_ in EXPECTED]


@pytest.mark.parametrize("message", ["", "as it happened"])
@pytest.mark.parametrize(("kind", "begins", "call_status", "code"), EXPECTED)
def test_a_row(kind: type[Exception], begins: str, call_status: str, code: str | None, message: str) -> None:
    state = state_of(_raised(kind, begins + message))
    assert (state.status.value, state.failure.code.value if state.failure else None) == (call_status, code)
    if state.failure:
        assert state.failure.message
        assert message in state.failure.message
    if state.status is CallStatus.UNREACHABLE:
        assert kind.__name__ in str(state.detail)


@pytest.mark.parametrize(
    "message",
    [
        "Get from url failed with status 503: SlowDown",
        "Internal error: Did not receive auth token from server. Please contact Modal support.",
    ],
)
def test_a_result_that_cannot_be_had_now_is_not_a_failure(message: str) -> None:
    assert state_of(of.ExecutionError(message)).status is CallStatus.UNREACHABLE


@pytest.mark.parametrize("kind", OTHERS)
def test_whatever_else_is_raised_is_unknown_and_not_failed(kind: type[Exception]) -> None:
    assert state_of(kind("what?")).status is CallStatus.UNREACHABLE


def test_no_row_hides_a_later_one() -> None:
    for position, row in enumerate(TRUTHS):
        later = TRUTHS[position + 1 :]
        assert not [it for it in later if issubclass(it.kind, row.kind) and it.begins.startswith(row.begins)]


def test_only_what_the_provider_calls_an_end_is_one() -> None:
    """A lost connection never becomes a failure, and no success becomes one."""
    codes = {row.meaning.code for row in TRUTHS if row.meaning.status is CallStatus.FAILED}
    assert codes == {FailureCode.WORKER_LOST, FailureCode.PROVIDER_ERROR, FailureCode.START_FAILED}
