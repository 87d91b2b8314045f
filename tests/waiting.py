"""Waiting for what comes by itself, in another process: how soon is no property of the code."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Seen = TypeVar("Seen")

# What comes within seconds on an idle machine takes minutes on a busy one; what is there ends the wait.
PATIENCE_SECONDS = 240.0


def wait_for(
    what: str,
    seen: Callable[[], Seen],
    state: Callable[[], str] = lambda: "",
    seconds: float = PATIENCE_SECONDS,
    every: float = 0.1,
) -> Seen:
    """The first result of ``seen`` that is true; after ``seconds`` a failure that shows the ``state``."""
    deadline = time.monotonic() + seconds
    while not (result := seen()):
        if time.monotonic() > deadline:
            raise AssertionError(f"no {what} within {seconds:.0f} seconds:\n{state()}")
        time.sleep(every)
    return result


def end_of(log: Path, characters: int = 6000) -> str:
    """What stands last in a log, which need not be there."""
    return log.read_text(errors="replace")[-characters:] if log.exists() else f"no {log.name}"
