"""A time limit for databases that have none: what runs too long is interrupted from a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

LEAST_WAIT = 0.001  # seconds between two looks at the clock


class Watch:
    """Interrupts what takes longer than ``seconds``: one thread for all of it, until it is closed.

    A thread for each query costs more than a small query. Since all have the same limit, nothing
    that begins can be late before the thread looks next, and nothing has to wake it.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._running: dict[object, tuple[float, Callable[[], object]]] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def close(self) -> None:
        """Ends the thread."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()

    @contextmanager
    def over(self, interrupt: Callable[[], object]) -> Iterator[None]:
        """Calls ``interrupt`` once, from the thread, where the block lasts too long."""
        key = object()
        with self._lock:
            self._running[key] = (time.monotonic() + self.seconds, interrupt)
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="time limit", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            # Under the lock: what has ended well is not interrupted, nor what follows it.
            with self._lock:
                self._running.pop(key, None)

    def _look(self) -> None:
        wait = self.seconds
        while not self._closed.wait(max(wait, LEAST_WAIT)):
            wait = self._interrupt_the_late()

    def _interrupt_the_late(self) -> float:
        """Gives the seconds until the next can be late."""
        with self._lock:
            now = time.monotonic()
            for key in [key for key, (end, _) in self._running.items() if end <= now]:
                _, interrupt = self._running.pop(key)
                with suppress(Exception):  # its connection may be gone; the others are watched on
                    interrupt()
            return min((end for end, _ in self._running.values()), default=now + self.seconds) - now
