"""The Dagster instance: its shipped configurations, and one daemon for as long as it is needed."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from beacon_pipeline import settings

_SHIPPED = Path(__file__).parent


def console_script(name: str) -> str:
    """The path of a console script installed beside this Python."""
    return str(Path(sys.executable).with_name(name))


def ensure_instance_folder() -> Path:
    """Create the instance folder with the shipped configuration, unless it has one already.

    Also sets ``DAGSTER_HOME`` for this process and its children.
    """
    folder = settings.home()
    folder.mkdir(parents=True, exist_ok=True)
    configuration = folder / "dagster.yaml"
    with contextlib.suppress(FileExistsError), configuration.open("x", encoding="utf-8") as file:
        file.write((_SHIPPED / "local.yaml").read_text(encoding="utf-8"))
    os.environ["DAGSTER_HOME"] = str(folder)
    return folder


def daemon_is_running(instance: dg.DagsterInstance) -> bool:
    """Whether a daemon that starts queued runs has reported itself lately."""
    statuses = instance.get_daemon_statuses(["QUEUED_RUN_COORDINATOR"])
    return all(status.healthy for status in statuses.values())


@contextlib.contextmanager
def daemon_running(instance: dg.DagsterInstance) -> Iterator[None]:
    """A context in which queued runs start: uses the daemon that runs, or one of its own.

    The daemon's output goes to ``daemon.log`` in the instance folder.
    """
    if daemon_is_running(instance):
        yield
        return
    with (settings.home() / "daemon.log").open("ab") as log:
        command = [console_script("dagster-daemon"), "run", "-w", str(settings.workspace_file())]
        daemon = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        try:
            yield
        finally:
            daemon.terminate()
            try:
                daemon.wait(timeout=20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
