"""Why an endpoint cannot be connected to, and whether waiting may help."""

import errno
import socket
import ssl

import httpcore
import httpx
import pytest

from inference.http.transport import cause_of, may_pass

REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 1)")


def as_httpx_raises(cause: BaseException) -> httpx.ConnectError:
    """httpx's exception for what httpcore made of a cause."""
    outer = httpx.ConnectError("All connection attempts failed")
    middle = httpcore.ConnectError("All connection attempts failed")
    middle.__context__ = cause
    outer.__cause__ = middle
    return outer


# the first cause -> its words, whether the endpoint may come by itself
@pytest.mark.parametrize(
    ("cause", "words", "passes"),
    [
        (REFUSED, "Connection refused", True),
        (OSError(errno.EHOSTUNREACH, "Connect call failed"), "No route to host", True),
        (TimeoutError(), "TimeoutError", True),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), "Temporary failure", True),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service not known", False),
        (ssl.SSLCertVerificationError(1, "certificate verify failed"), "certificate verify failed", False),
        (ssl.SSLError(1, "wrong version\n number"), "wrong version number", False),
        (OSError("no reason at all"), "no reason at all", True),
    ],
)
def test_the_first_cause_is_said_and_decides(cause: Exception, words: str, passes: bool) -> None:
    raised = as_httpx_raises(cause)
    assert (cause_of(raised), may_pass(raised)) == (words, passes)


def test_an_exception_that_is_its_own_cause_ends() -> None:
    raised = httpx.ConnectError("round and round")
    raised.__context__ = raised
    assert cause_of(raised) == "round and round"
