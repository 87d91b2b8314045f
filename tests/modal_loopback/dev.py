"""``make dev-modal``: the demo catalog served by a loopback Modal, with the Dagster UI, until Ctrl-C.

    DAGSTER_HOME=.beacon/modal python -m tests.modal_loopback.dev [--port 3000]

Everything is in the instance folder: the catalog, the server's files (what containers printed is in
``server/logs``), and ``environment.sh``, with which another shell takes part, and can tell the server
to misbehave: ``curl $LOOPBACK_CONTROL/faults -d '[{"fault": {"kind": "empty_text"}}]'``.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import click

from beacon_pipeline import environment
from tests.beacon_pipeline.modal_catalog import write_modal_catalog
from tests.modal_loopback import INFERENCE_LIBRARIES, LoopbackProcess

BEACON = str(Path(sys.executable).with_name("beacon"))


@click.command()
@click.option("--port", default=3000, show_default=True, help="Of the Dagster UI, on this machine only.")
def main(port: int) -> None:
    """Serve the demo catalog by a loopback Modal, and open the Dagster UI on it."""
    home = environment.home()
    server = home / "server"
    for old in (home / "catalog", server):
        shutil.rmtree(old, ignore_errors=True)
    home.mkdir(parents=True, exist_ok=True)
    catalog = write_modal_catalog(home / "catalog")
    preload = [f"--preload={module}" for module in INFERENCE_LIBRARIES]
    with LoopbackProcess(server, *preload) as modal:
        ours = modal.client_environment() | {
            "BEACON_CATALOG": str(catalog),
            "DAGSTER_HOME": str(home),
            "LOOPBACK_CONTROL": modal.control,
        }
        variables = os.environ | ours
        exports = home / "environment.sh"
        exports.write_text("".join(f"export {name}={shlex.quote(ours[name])}\n" for name in sorted(ours)))
        deployed = subprocess.run([BEACON, "deploy"], env=variables, check=False)
        if deployed.returncode != 0:
            sys.exit(deployed.returncode)
        click.echo(f"Modal, of this machine only: {modal.url}  (what happened: {modal.control}/events)")
        click.echo(f"in another shell: . {shlex.quote(str(exports))}; beacon run")
        sys.exit(_until_interrupted([BEACON, "dev", "--port", str(port)], variables))


def _until_interrupted(command: list[str], environment: dict[str, str]) -> int:
    """Run a command until it ends by itself or by Ctrl-C, which it gets as well. Returns its exit code."""
    with subprocess.Popen(command, env=environment) as running:
        # Whoever asks only this process to end means the command too.
        signal.signal(signal.SIGTERM, lambda *_: running.send_signal(signal.SIGINT))
        with suppress(KeyboardInterrupt):
            return running.wait()
        return running.wait()


if __name__ == "__main__":
    main()
