"""Dagster's daemon, without which no queued run starts: the one that runs, or one of our own."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Collection
from pathlib import Path
from types import TracebackType
from typing import Self

import dagster as dg
import structlog
from filelock import FileLock

from beacon_pipeline import environment
from beacon_pipeline.catalog import Catalog
from beacon_pipeline.instance.daemon_record import DaemonRecord, differing, read_record, record_file
from beacon_pipeline.instance.dagster_yaml import InstanceError
from beacon_pipeline.instance.folder import console_script
from beacon_pipeline.instance.processes import ProcessState

# A daemon reports itself every 30 s (DEFAULT_HEARTBEAT_INTERVAL_SECONDS in dagster._daemon.controller).
HEARTBEAT_IS_STALE_SECONDS = 65
STOP_SECONDS = 20
STARTS, STARTS_WITHIN_SECONDS = 3, 120.0  # a daemon that ends so often does so for a reason

log = structlog.get_logger()


def is_alive(instance: dg.DagsterInstance) -> bool:
    """Whether the instance has a daemon: a process on record that lives, or one that reports itself."""
    record = read_record()
    match record.process.state() if record else ProcessState.ELSEWHERE:
        case ProcessState.ALIVE:
            return True
        case ProcessState.GONE:
            return False
        case ProcessState.ELSEWHERE:
            return _reports_itself(instance)


def _reports_itself(instance: dg.DagsterInstance) -> bool:
    now = time.time()
    heartbeats = instance.get_daemon_heartbeats().values()
    # Neither of long ago nor of the future: a clock was wrong, and the daemon may be gone.
    return any(abs(now - heartbeat.timestamp) < HEARTBEAT_IS_STALE_SECONDS for heartbeat in heartbeats)


def _log_file() -> Path:
    return environment.home() / "daemon.log"


class Daemon:
    """A context in which the instance has a daemon for as long as ``ensure`` is called now and then.

    A daemon that works with this environment is used while it lives; when it stops, ours is started.
    The catalog names variables that matter too. Ours writes to ``daemon.log`` in the instance folder.
    """

    def __init__(self, instance: dg.DagsterInstance, catalog: Catalog) -> None:
        self._instance = instance
        self._secrets = {model.api_key_variable for model in catalog.models if model.api_key_variable}
        self._ours: subprocess.Popen[bytes] | None = None
        self._started: list[float] = []

    def __enter__(self) -> Self:
        try:
            self.ensure()
        except BaseException:  # a signal may come when ours has just begun
            self._stop()
            raise
        return self

    @property
    def is_ours(self) -> bool:
        """Whether it ends with this command."""
        return self._ours is not None

    def ensure(self) -> None:
        """Start a daemon of our own unless one is alive.

        Raises InstanceError when one is alive that works with another environment, and when ours
        ends again and again.
        """
        if self._ours is not None and self._ours.poll() is None:
            return
        # Two commands at once start one daemon, not two.
        with FileLock(environment.home() / "daemon.lock"):
            if not self._can_use_another():
                self._start()

    def _can_use_another(self) -> bool:
        record = read_record()
        if record is None:
            return _reports_itself(self._instance)
        match record.process.state():
            case ProcessState.ELSEWHERE:
                return _reports_itself(self._instance)
            case ProcessState.ALIVE if record.owner.state() is ProcessState.GONE:
                _end_orphan(record)
            case ProcessState.ALIVE:
                _refuse_another_environment(record, self._secrets)
                return True
            case ProcessState.GONE:
                pass
        # Left in place, its last report would pass for a living daemon.
        self._instance.wipe_daemon_heartbeats()
        record_file().unlink(missing_ok=True)
        return False

    def _start(self) -> None:
        recent = [at for at in self._started if time.monotonic() - at < STARTS_WITHIN_SECONDS]
        self._started = [*recent, time.monotonic()]
        if len(recent) == STARTS:
            raise InstanceError(f"Dagster's daemon ended {STARTS} times: {_log_file()} says why")
        with _log_file().open("ab") as output:
            command = [console_script("dagster-daemon"), "run", "-w", str(environment.workspace_file())]
            self._ours = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
            )
        DaemonRecord.of(self._ours.pid, self._secrets).write()

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._ours is None:
            return
        self._ours.terminate()
        try:
            self._ours.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._ours.kill()
            self._ours.wait()
        with FileLock(environment.home() / "daemon.lock"):
            record = read_record()
            if record is None or record.process.pid == self._ours.pid:
                record_file().unlink(missing_ok=True)
                # Left in place, its last report would pass for a living daemon.
                self._instance.wipe_daemon_heartbeats()


def _end_orphan(record: DaemonRecord) -> None:
    """End a daemon whose command was killed: nothing else would ever end it."""
    log.warning("ending a daemon whose command is gone", daemon=record.process.pid, command=record.owner.pid)
    record.process.send(signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while record.process.state() is ProcessState.ALIVE:
        if time.monotonic() > deadline:
            record.process.send(signal.SIGKILL)
        time.sleep(0.1)


def _refuse_another_environment(record: DaemonRecord, secrets: Collection[str]) -> None:
    if different := differing(record, secrets):
        raise InstanceError(
            f"the daemon of another command (process {record.owner.pid}) works on this instance, and "
            f"{', '.join(different)} {'is' if len(different) == 1 else 'are'} not the same there: "
            "stop that command, or give this one the same environment or another DAGSTER_HOME"
        )
