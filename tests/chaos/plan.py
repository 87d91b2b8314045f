"""What shall go wrong, and when: a pure function of a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What can go wrong from outside."""

    WORKER_KILLED = "worker_killed"  # kill -9 of the process of a run
    DAEMON_KILLED = "daemon_killed"  # kill -9; a new one comes after the disturbance's length
    EVERYTHING_KILLED = "everything_killed"  # kill -9 of all processes at once: a reboot; then as above
    STARTED_AT_ONCE = "started_at_once"  # three commands at a time, where there is no instance yet
    DATABASE = "database"  # PostgreSQL stopped, or SQLite locked, for so long
    PROVIDER = "provider"  # unreachable for so long
    RIVAL = "rival"  # a second asker of the same executions, whose clock is wrong
    LATE_REPORT = "late_report"  # a failure reported of a call that has been answered long ago


LONGEST_SECONDS = {
    Kind.DAEMON_KILLED: 3.0,
    Kind.EVERYTHING_KILLED: 3.0,
    Kind.DATABASE: 6.0,
    Kind.PROVIDER: 12.0,
}
AT_MOST = {Kind.STARTED_AT_ONCE: 2}  # each is an instance of its own, from nothing to its end


@dataclass(frozen=True, order=True)
class Disturbance:
    """One thing that goes wrong; ``choice`` in [0, 1) chooses among what is there at the moment."""

    at: float  # seconds from the start
    kind: Kind
    seconds: float
    choice: float


def plan(seed: int, *, seconds: float, each: int) -> list[Disturbance]:
    """``each`` disturbances of every kind within ``seconds``, in the order of their happening.

    Of the kinds in `AT_MOST` there are fewer.
    """
    dice = random.Random(seed)
    return sorted(
        Disturbance(
            at=dice.uniform(0.05, 1) * seconds,
            kind=kind,
            seconds=dice.uniform(0.3, 1) * LONGEST_SECONDS.get(kind, 0.0),
            choice=dice.random(),
        )
        for kind in Kind
        for _ in range(min(each, AT_MOST.get(kind, each)))
    )
