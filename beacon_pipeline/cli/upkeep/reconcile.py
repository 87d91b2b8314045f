"""The command that heals the record at once, instead of waiting for the sensor."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from beacon_pipeline.cli.common import Seconds, open_instance, open_ledger

if TYPE_CHECKING:
    from beacon_pipeline.reconciliation.reconcile_all import Pass

FOLLOW_SECONDS = 0.5


@click.command()
@click.option(
    "--untouched-for",
    "seconds",
    type=Seconds(),
    default=0,
    show_default=True,
    help="Leave unsettled executions alone that something touched within so many seconds.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def reconcile(seconds: float, as_json: bool) -> None:
    """Compare provider, ledger and Dagster, and heal what disagrees, in Dagster runs.

    Nothing that the provider still has is asked or paid for again. Exits with 0 when everything
    agrees in the end, 1 when something could not be healed now.
    """
    from rich.console import Console
    from rich.text import Text

    from beacon_pipeline.catalog import load_catalog
    from beacon_pipeline.execution.resources import ProvidersResource
    from beacon_pipeline.instance.daemon import Daemon
    from beacon_pipeline.instance.run_queue import longest_run_seconds
    from beacon_pipeline.jobs.runs import all_ended
    from beacon_pipeline.jobs.waiting import Patience
    from beacon_pipeline.reconciliation.reconcile_all import heal

    console, catalog = Console(stderr=True), load_catalog()
    with open_ledger() as ledger, open_instance() as instance, Daemon(instance, catalog) as daemon:

        def wait(run_ids: Sequence[str]) -> None:
            patience = Patience(instance, run_ids, longest_run_seconds(catalog))
            with console.status(f"healing in {len(run_ids)} Dagster runs") as shown:
                while not all_ended(instance, run_ids):
                    daemon.ensure()
                    if waiting := patience.look():
                        shown.update(Text(waiting))
                    time.sleep(FOLLOW_SECONDS)

        passes = heal(
            ledger,
            instance,
            catalog,
            ProvidersResource(),
            untouched_for=timedelta(seconds=seconds),
            wait=wait,
        )
    if as_json:
        click.echo(json.dumps(_as_json(passes), indent=2))
    else:
        Console().print(_told(passes), highlight=False)
    sys.exit(1 if _is_unhealed(passes[-1]) else 0)


def _is_unhealed(last: Pass) -> bool:
    return bool(last.runs or last.checks or last.waiting or last.gave_up or last.unknown)


def _as_json(passes: Sequence[Pass]) -> dict[str, object]:
    looks = [
        {
            "healed": seen.by_healing,
            "settled": seen.settled,
            "runs": len(seen.runs),
            "repeated": len(seen.checks),
            "waiting": seen.waiting,
            "given_up": seen.gave_up,
            "unknown": seen.unknown,
        }
        for seen in passes
    ]
    return {"looks": looks, "all_agree": not _is_unhealed(passes[-1])}


def _told(passes: Sequence[Pass]) -> str:
    lines = []
    for number, seen in enumerate(passes, start=1):
        parts = [f"{count} to {word.replace('_', ' ')}" for word, count in seen.by_healing.items()]
        parts += [f"{seen.settled} settled that left the catalog"] if seen.settled else []
        parts += [f"{len(seen.checks)} runs that check or compare to launch anew"] if seen.checks else []
        found = ", ".join(parts)
        runs = f" in {len(seen.runs)} runs" if seen.runs else ""
        waiting = f"; {seen.waiting} wait for a provider that cannot be asked now" if seen.waiting else ""
        spent = f"; {seen.gave_up} given up, see `beacon status`" if seen.gave_up else ""
        lines.append(f"look {number}: {found or 'nothing to heal'}{runs}{waiting}{spent}")
    if unknown := passes[-1].unknown:
        lines.append(f"Dagster shows {unknown} partitions unknown to the ledger: was it replaced?")
    return "\n".join(lines)
