"""Ids of calls that live in one process only, readable by every other process.

Such a call cannot be attached to: when its owner is gone, so is its answer. But while the owner may
be alive, no one may ask again. So an id says who owns the call and by when it has surely ended; and
what became of it can be read from the id alone::

    this object knows it                 its own memory answers
    the owner may be alive               unreachable: only the owner knows
    the owner is gone, or time is up     expired, interrupted: ask again, within the budget
    not an id of this kind               failed, unknown call
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakSet

import psutil

from inference.contract import CallFailure, CallState, CallStatus, FailureCode

GRACE_SECONDS = 30  # for the owner's clock, and for putting the end on record


class Owner:
    """Whoever runs calls in this process; it lives until it is closed or forgotten."""

    def __init__(self) -> None:
        self.name = uuid.uuid4().hex[:12]
        _owners.add(self)

    def close(self) -> None:
        """From now on the calls of this owner count as interrupted."""
        _owners.discard(self)

    def call_id(self, request_id: str, *, seconds: float) -> str:
        """The id of a call that ends within ``seconds``."""
        ends_at = int(time.time() + seconds) + GRACE_SECONDS
        return str(ProcessCall(request_id, self.name, socket.gethostname(), os.getpid(), ends_at))


_owners: WeakSet[Owner] = WeakSet()


@dataclass(frozen=True)
class ProcessCall:
    """A call id, taken apart. ``ends_at`` is in seconds since the epoch."""

    request_id: str
    owner: str
    host: str
    process: int
    ends_at: int

    def __str__(self) -> str:
        return f"{self.request_id}/{self.owner}/{self.host}/{self.process}/{self.ends_at}"

    @classmethod
    def read(cls, call_id: str) -> ProcessCall | None:
        """The parts of an id, or None for one of another kind."""
        match call_id.split("/"):
            case [request_id, owner, host, process, ends_at] if process.isdecimal() and ends_at.isdecimal():
                return cls(request_id, owner, host, int(process), int(ends_at))
        return None

    def owner_may_live(
        self, *, now: float, host: str, process: int, process_exists: Callable[[int], bool]
    ) -> bool:
        """Whether the owner may still be at work, as seen from ``process`` on ``host``.

        Another machine cannot be looked at, and a process id may be in use again by another
        process: both count as alive, until the call's time is up.
        """
        if now > self.ends_at:
            return False
        if host != self.host:
            return True
        if process != self.process:
            return process_exists(self.process)
        return any(owner.name == self.owner for owner in _owners)


def state_elsewhere(call_id: str) -> CallState:
    """What is known of a call that the asked object does not run itself."""
    call = ProcessCall.read(call_id)
    if call is None:
        failure = CallFailure(code=FailureCode.UNKNOWN_CALL, message=f"no call {call_id!r}")
        return CallState(status=CallStatus.FAILED, failure=failure)
    place = f"process {call.process} on {call.host}"
    if call.owner_may_live(
        now=time.time(), host=socket.gethostname(), process=os.getpid(), process_exists=psutil.pid_exists
    ):
        return CallState(status=CallStatus.UNREACHABLE, detail=f"only {place} knows")
    failure = CallFailure(
        code=FailureCode.INTERRUPTED, message=f"{place} ended before the answer was on record"
    )
    return CallState(status=CallStatus.EXPIRED, failure=failure)
