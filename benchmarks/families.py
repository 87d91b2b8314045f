"""What a command takes with all that it starts, forked run workers too, which are no children of its own."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

EVERY_SECONDS = 0.1


@dataclass
class Family:
    """A command and all the processes under it, as they were at the last looks at them."""

    process: psutil.Popen
    memory: float = 0.0  # bytes, of all at once, at the most
    processes: int = 0  # at once, at the most
    _cpu: dict[int, float] = field(
        default_factory=dict
    )  # by process; of a moment at its end nothing is known

    @property
    def cpu(self) -> float:
        """Seconds."""
        return sum(self._cpu.values())

    def look(self) -> None:
        living = family(self.process)
        self.memory = max(self.memory, sum(map(_own_memory, living)))
        self.processes = max(self.processes, len(living))
        self._cpu |= {each.pid: seconds for each in living if (seconds := _cpu_seconds(each))}

    def watch(self) -> int:
        """Look at them until the command has ended; its exit code."""
        while self.process.poll() is None:
            self.look()
            time.sleep(EVERY_SECONDS)
        return int(self.process.returncode)


def started(
    command: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Family:
    """The command at work, in a session of its own; what it says is added to the log."""
    with log.open("ab") as output:
        process = psutil.Popen(
            list(command),
            cwd=cwd,
            env=env,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    return Family(process)


def family(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def kill(process: psutil.Process) -> None:
    """Kill a command with all that is under it."""
    for each in family(process):
        with suppress(psutil.Error):
            each.kill()
    process.wait()


def _cpu_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def _own_memory(process: psutil.Process) -> float:
    try:
        return float(process.memory_full_info().pss)
    except psutil.Error:
        return 0.0  # it ended meanwhile
