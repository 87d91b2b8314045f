"""Each exception of the Modal SDK -> what it says of a call. Row by row."""

import grpclib
import modal.exception as of
import pytest
from cbor2 import CBORDecodeError
from grpclib.exceptions import StreamTerminatedError

from inference.contract import FailureCode, ProviderTruth
from inference.providers.modal_truths import TRUTHS, state_of

EXPECTED: dict[type[Exception], tuple[str, str | None]] = {
    TimeoutError: ("pending", None),
    of.OutputExpiredError: ("expired", "expired"),
    of.FunctionTimeoutError: ("timed_out", "timed_out"),
    of.InternalFailure: ("failed", "worker_lost"),
    of.RemoteError: ("failed", "provider_error"),
    of.ExecutionError: ("failed", "provider_error"),
    of.DeserializationError: ("succeeded", None),
    CBORDecodeError: ("succeeded", None),
    of.NotFoundError: ("failed", "unknown_call"),
    of.AuthError: ("unreachable", None),
    of.PermissionDeniedError: ("unreachable", None),
    of.ServiceError: ("unreachable", None),
    of.InternalError: ("unreachable", None),
    of.ConnectionError: ("unreachable", None),
    of.ResourceExhaustedError: ("unreachable", None),
    of.ClientClosed: ("unreachable", None),
    StreamTerminatedError: ("unreachable", None),
    grpclib.GRPCError: ("unreachable", None),
    OSError: ("unreachable", None),
}
# In no row: they say nothing of a call.
OTHERS: tuple[type[Exception], ...] = (
    of.TimeoutError,
    of.InvalidError,
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
    assert [kind for kind, _ in TRUTHS] == list(EXPECTED)


@pytest.mark.parametrize("message", ["", "as it happened"])
@pytest.mark.parametrize(("kind", "expected"), EXPECTED.items(), ids=[kind.__name__ for kind in EXPECTED])
def test_a_row(kind: type[Exception], expected: tuple[str, str | None], message: str) -> None:
    state = state_of(_raised(kind, message))
    assert (state.truth.value, state.failure.code.value if state.failure else None) == expected
    if state.failure:
        assert state.failure.message
        assert message in state.failure.message
    if state.truth is ProviderTruth.UNREACHABLE:
        assert kind.__name__ in str(state.detail)


@pytest.mark.parametrize("kind", OTHERS)
def test_whatever_else_is_raised_is_unknown_and_not_failed(kind: type[Exception]) -> None:
    assert state_of(kind("what?")).truth is ProviderTruth.UNREACHABLE


def test_no_row_hides_a_later_one() -> None:
    kinds = [kind for kind, _ in TRUTHS]
    for position, kind in enumerate(kinds):
        hidden = [later for later in kinds[position + 1 :] if issubclass(later, kind)]
        assert hidden == []


def test_only_what_the_provider_calls_an_end_is_one() -> None:
    """A lost connection never becomes a failure, and no success becomes one."""
    codes = {meaning.code for _, meaning in TRUTHS if meaning.truth is ProviderTruth.FAILED}
    assert codes == {FailureCode.WORKER_LOST, FailureCode.PROVIDER_ERROR, FailureCode.UNKNOWN_CALL}
