"""What kept a request from its endpoint: the cause in words, and whether waiting may help. Pure."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator


def in_one_line(error: BaseException) -> str:
    """An exception's own words, or its name where it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def cause_of(error: BaseException) -> str:
    """The first cause in words: httpx says ``All connection attempts failed`` of whatever happened."""
    first = list(_chain(error))[-1]
    if isinstance(first, OSError) and not isinstance(first, socket.gaierror | ssl.SSLError) and first.errno:
        return os.strerror(first.errno)
    if isinstance(first, OSError) and first.strerror:
        return " ".join(str(first.strerror).split())
    return in_one_line(first)


def may_pass(error: BaseException) -> bool:
    """Whether an endpoint that cannot be connected to may come by itself.

    One that loads its model refuses connections for minutes (vLLM opens its port last). A name that does
    not exist and a certificate that is not trusted are mistakes that a person corrects.
    """
    for cause in _chain(error):
        if isinstance(cause, socket.gaierror):
            return cause.errno == socket.EAI_AGAIN
        if isinstance(cause, ssl.SSLError):
            return False
    return True


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and what it came of."""
    seen: set[int] = set()
    step: BaseException | None = error
    while step is not None and id(step) not in seen:
        seen.add(id(step))
        yield step
        step = step.__cause__ or step.__context__  # httpcore hides the latter
