"""The command that serves the Dagster UI."""

from __future__ import annotations

import signal
import sys
import time

import click

from beacon_pipeline.cli.support import open_ledger, plain_errors


@click.command()
@click.option("--port", default=3000, show_default=True, help="On this machine only.")
@plain_errors
def dev(port: int) -> None:
    """Open the Dagster UI and run its daemon, until interrupted."""
    import dagster as dg

    from beacon_pipeline.ask import record_catalog
    from beacon_pipeline.instance import start_web_server
    from beacon_pipeline.instance.daemon import Daemon

    # Whoever ends it by `kill` or closes the terminal wants the daemon stopped too.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(0))
    with open_ledger(), dg.DagsterInstance.get() as instance, Daemon(instance) as daemon:
        record_catalog(instance)
        click.echo(f"Dagster UI: http://127.0.0.1:{port}  (Ctrl-C stops it)")
        server = start_web_server(port)
        try:
            while server.poll() is None:
                daemon.ensure()
                time.sleep(1)
            sys.exit(server.returncode)
        except KeyboardInterrupt:
            pass
        finally:
            server.terminate()
            server.wait()
