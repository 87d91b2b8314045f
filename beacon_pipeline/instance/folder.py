"""The Dagster instance: its folder, its shipped configurations, its daemon and its web server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from filelock import FileLock

from beacon_pipeline import environment
from beacon_pipeline.catalog import load_catalog
from beacon_pipeline.instance.dagster_yaml import (
    InstanceError,
    check_name,
    kind_of_environment,
    write_configuration,
)
from beacon_pipeline.instance.private import make_private

LOCK = "instance.lock"  # of the one process that makes what is in the folder


def console_script(name: str) -> str:
    """The path of a console script installed beside this Python."""
    return str(Path(sys.executable).with_name(name))


def ensure_instance_folder() -> Path:
    """Create the instance folder and its configuration, with the quotas of the catalog.

    The environment says which of the shipped ones it is, `dagster_yaml.py` what becomes of a file
    that is there. Also sets ``DAGSTER_HOME`` for this process and its children. Raises
    InstanceError and CatalogError.
    """
    folder, kind = environment.home(), kind_of_environment()
    check_name(folder, kind)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        make_private(folder)
    except OSError as error:
        raise InstanceError(
            f"the instance folder {str(folder)[:100]} cannot be used: {error.strerror}: "
            "choose another DAGSTER_HOME"
        ) from None
    catalog = load_catalog()
    with FileLock(folder / LOCK):
        write_configuration(folder, kind, catalog)
    return environment.settle_home()


def start_web_server(port: int) -> subprocess.Popen[bytes]:
    """Start the UI on loopback.

    Dagster's open-source UI has no authentication: whoever wants it elsewhere puts a proxy before it.
    """
    command = [console_script("dagster-webserver"), "-h", "127.0.0.1", "-p", str(port)]
    return subprocess.Popen([*command, "-w", str(environment.workspace_file())])
