"""Dagster's daemon, without which no queued run starts: the one that runs, or one of our own."""

from __future__ import annotations

import subprocess
import time
from types import TracebackType
from typing import Self

import dagster as dg

from beacon_pipeline import settings
from beacon_pipeline.instance import console_script

# A daemon reports itself every 30 s (DEFAULT_HEARTBEAT_INTERVAL_SECONDS in dagster._daemon.controller).
HEARTBEAT_IS_STALE_SECONDS = 65
STOP_SECONDS = 20


def is_alive(instance: dg.DagsterInstance) -> bool:
    """Whether some daemon of the instance has reported itself of late."""
    heartbeats = instance.get_daemon_heartbeats()
    newest = max((heartbeat.timestamp for heartbeat in heartbeats.values()), default=0.0)
    return time.time() - newest < HEARTBEAT_IS_STALE_SECONDS


class Daemon:
    """A context in which the instance has a daemon for as long as ``ensure`` is called now and then.

    Another process's daemon is used while it reports itself; when it stops, ours is started.
    Ours writes to ``daemon.log`` in the instance folder.
    """

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._ours: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.ensure()
        return self

    def ensure(self) -> None:
        """Start a daemon of our own unless one is alive."""
        if self._ours is not None and self._ours.poll() is None:
            return
        if is_alive(self._instance):
            return
        with (settings.home() / "daemon.log").open("ab") as log:
            command = [console_script("dagster-daemon"), "run", "-w", str(settings.workspace_file())]
            self._ours = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
            )

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._ours is None:
            return
        self._ours.terminate()
        try:
            self._ours.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._ours.kill()
            self._ours.wait()
        # Left in place, its last report would pass for a living daemon.
        self._instance.wipe_daemon_heartbeats()
