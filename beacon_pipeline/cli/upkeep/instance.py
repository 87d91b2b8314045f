"""The commands that look after a Dagster instance over years: made in a container, pruned of old runs."""

from __future__ import annotations

import click

from beacon_pipeline.cli.common import open_instance, open_ledger


@click.group()
def instance() -> None:
    """Make the Dagster instance without `beacon dev`, as in a container, and delete its old runs."""


@instance.command()
def init() -> None:
    """Make the instance folder and its configuration, and bring both databases up to date.

    What `beacon dev` does before it starts anything: for containers, whose code server, web server and
    daemon are started by something else. Repeating it changes nothing.
    """
    from beacon_pipeline import environment

    with open_ledger(), open_instance():
        click.echo(f"the instance in {environment.home()} is ready")


@instance.command()
@click.option(
    "--days", type=click.IntRange(1, 36500), default=90, show_default=True, help="Younger runs stay."
)
@click.option("--dry-run", is_flag=True, help="Only count.")
def prune(days: int, dry_run: bool) -> None:
    """Delete Dagster's runs and events that are older than so many days. The ledger keeps every answer.

    What stays however old: unfinished runs, the runs of a job that is not settled, and each run that made
    what an asset or a partition shows now.
    """
    from datetime import UTC, datetime, timedelta

    from beacon_pipeline.jobs.prune import delete_runs, prunable_runs

    with open_ledger() as ledger, open_instance() as opened:
        run_ids = list(prunable_runs(ledger, opened, datetime.now(UTC) - timedelta(days=days)))
        if not dry_run:
            delete_runs(opened, run_ids)
    click.echo(f"{len(run_ids)} runs older than {days} days {'would be' if dry_run else 'are'} deleted")
