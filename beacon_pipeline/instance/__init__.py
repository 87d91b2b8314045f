"""The Dagster instance: its folder, its shipped configurations, its daemon and its web server."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

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


def start_web_server(port: int) -> subprocess.Popen[bytes]:
    """Start the UI on loopback.

    Dagster's open-source UI has no authentication: whoever wants it elsewhere puts a proxy before it.
    """
    command = [console_script("dagster-webserver"), "-h", "127.0.0.1", "-p", str(port)]
    return subprocess.Popen([*command, "-w", str(settings.workspace_file())])
