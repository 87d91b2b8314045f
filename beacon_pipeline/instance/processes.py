"""Which process is meant, and whether it still runs.

A process id alone says little: after a reboot, or in another container, another program has it.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict

# Event times come from another clock reading than process start times, and clocks are adjusted.
TOLERANCE_SECONDS = 5.0


class ProcessState(StrEnum):
    """What is known of a process from here."""

    ALIVE = "alive"
    GONE = "gone"
    ELSEWHERE = "elsewhere"  # on another host or in another container: nothing is known from here


@dataclass(frozen=True)
class Machine:
    """Where a process id means something: one boot of one host, one namespace of process ids."""

    host: str
    boot: str = ""  # Linux only: elsewhere a process's start time must do
    namespace: str = ""


class ProcessIdentity(BaseModel):
    """One process: its machine and id, and a moment (seconds since the epoch) when it certainly ran."""

    model_config = ConfigDict(frozen=True)

    machine: Machine
    pid: int
    seen_at: float

    def state(self) -> ProcessState:
        """Whether it runs now."""
        return judge(self, this_machine(), started_at(self.pid))

    def send(self, signal: int) -> bool:
        """Send a signal, if it certainly is this process that gets it; whether that is so."""
        if self.state() is not ProcessState.ALIVE:
            return False
        with suppress(psutil.NoSuchProcess):
            psutil.Process(self.pid).send_signal(signal)
            return True
        return False


def judge(process: ProcessIdentity, here: Machine, started: float | None) -> ProcessState:
    """The state of a process, given what has its id here: when that began, or None for nothing. Pure."""
    if process.machine != here:
        same_host = process.machine.host == here.host
        rebooted = same_host and process.machine.boot != here.boot
        return ProcessState.GONE if rebooted else ProcessState.ELSEWHERE
    # What began after the process was seen is another one with its id.
    same = started is not None and started <= process.seen_at + TOLERANCE_SECONDS
    return ProcessState.ALIVE if same else ProcessState.GONE


def started_at(pid: int) -> float | None:
    """When the process that has this id here began; None when none has, or one that has ended."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        began: float = process.create_time()
    except psutil.NoSuchProcess:
        return None
    return began


def this_process() -> ProcessIdentity:
    """The process that calls."""
    return ProcessIdentity(machine=this_machine(), pid=os.getpid(), seen_at=time.time())


@cache
def this_machine() -> Machine:
    """The machine of this process."""
    boot = namespace = ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = str(Path("/proc/self/ns/pid").readlink())
    return Machine(socket.gethostname(), boot, namespace)
