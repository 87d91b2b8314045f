"""The command that shows what was reported, and tries whether messages arrive."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from beacon_pipeline.cli.common import BadInput, open_instance

if TYPE_CHECKING:
    from beacon_pipeline.monitoring.alerts.targets import Targets


@click.command()
@click.option("--test", is_flag=True, help="Send a test message to every target; exits with 1 if one fails.")
def alerts(test: bool) -> None:
    """Show what is wrong now, and where alerts go: the Apprise URLs in BEACON_ALERT_URLS."""
    from beacon_pipeline.monitoring.alerts.targets import targets_from_environment

    targets = targets_from_environment()
    if test:
        _try(targets)
        return
    from rich.console import Console

    from beacon_pipeline.cli.matrix import alerts_view
    from beacon_pipeline.instance.folder import ensure_instance_folder
    from beacon_pipeline.monitoring.alerts import state as memories

    ensure_instance_folder()
    with open_instance() as instance:
        try:
            memory = memories.load(instance)
        except memories.MemoryUnreadable as error:
            raise BadInput(f"{error}: the next tick of the sensor begins anew") from error
    Console().print(alerts_view(memory, [target.name for target in targets.usable], targets.problems))


def _try(targets: Targets) -> None:
    from beacon_pipeline.monitoring.alerts.tick import send_test

    if targets.problems:
        raise BadInput("\n".join(targets.problems))
    if not targets.usable:
        raise BadInput("no target: set BEACON_ALERT_URLS to one or more Apprise URLs")
    fates = send_test(targets.usable)
    for name, taken in fates.items():
        click.echo(
            f"{name}: {'arrived' if taken else 'not taken: the target refused it or cannot be reached'}"
        )
    sys.exit(0 if all(fates.values()) else 1)
