"""The witness: everything that happened, in order, in a file and in memory."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

Event = dict[str, Any]


class Journal:
    """An append-only list of events, also written to ``path`` as lines of JSON."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._events: list[Event] = []
        self._lock = threading.Lock()

    def write(self, event: str, **details: Any) -> None:
        """Keep one event."""
        entry = {"at": time.time(), "event": event, **details}
        with self._lock:
            self._events.append(entry)
            self._file.write(json.dumps(entry, default=str) + "\n")

    def read(self, event: str | None = None, **details: Any) -> list[Event]:
        """The events of a kind (all without one) that have these details."""
        with self._lock:
            kept = list(self._events)
        wanted = details if event is None else {"event": event, **details}
        return [entry for entry in kept if wanted.items() <= entry.items()]

    def close(self) -> None:
        with self._lock:
            self._file.close()
