"""The command that serves the Dagster UI."""

from __future__ import annotations

import shlex
import socket
import sys
import time
from contextlib import ExitStack, suppress

import click

from beacon_pipeline.cli.common import BadInput, open_instance, open_ledger


@click.command()
@click.option(
    "--port", type=click.IntRange(1, 65535), default=3000, show_default=True, help="On this machine only."
)
@click.option(
    "--postgresql",
    is_flag=True,
    help="The production configuration, on a PostgreSQL server of its own in the instance folder.",
)
def dev(port: int, postgresql: bool) -> None:
    """Open the Dagster UI and run its daemon, until interrupted."""
    _check_free(port)
    with ExitStack() as stack:
        if postgresql:
            from beacon_pipeline import environment
            from beacon_pipeline.instance.postgres import embedded_postgresql

            variables = stack.enter_context(embedded_postgresql(environment.home() / "postgresql"))
            click.echo("Other shells work on the same instance after:")
            for name, value in ({"DAGSTER_HOME": str(environment.home())} | variables).items():
                click.echo(f"  export {name}={shlex.quote(value)}")
        _serve(port)


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        # As the web server does, so that a connection that just ended is no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise BadInput(
                f"port {port} cannot be used: {error.strerror}: choose another with --port"
            ) from None


def _serve(port: int) -> None:
    from beacon_pipeline import environment
    from beacon_pipeline.catalog import load_catalog
    from beacon_pipeline.instance.daemon import Daemon
    from beacon_pipeline.instance.folder import start_web_server
    from beacon_pipeline.jobs.launch import record_catalog

    catalog = load_catalog()
    with ExitStack() as stack:
        stack.enter_context(suppress(KeyboardInterrupt))  # its proper end, at whatever moment
        stack.enter_context(open_ledger())
        instance = stack.enter_context(open_instance())
        daemon = stack.enter_context(Daemon(instance, catalog))
        record_catalog(instance, catalog)
        url = f"http://127.0.0.1:{port}"
        click.echo(f"Dagster UI: {url}  (Ctrl-C stops it)")
        if environment.ui_url() != url:
            click.echo(
                f"Pages and alerts link to {environment.ui_url()}; BEACON_UI_URL names another address"
            )
        server = start_web_server(port)
        try:
            while server.poll() is None:
                daemon.ensure()
                time.sleep(1)
            sys.exit(server.returncode)
        finally:
            server.terminate()
            server.wait()
