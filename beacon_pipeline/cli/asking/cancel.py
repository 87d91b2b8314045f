"""The command that stops a job."""

from __future__ import annotations

import sys

import click

from beacon_pipeline.cli.common import find_job, open_instance, open_ledger


@click.command()
@click.argument("job")
def cancel(job: str) -> None:
    """Stop a JOB: its queued and running Dagster runs, the provider's calls, and what only waits.

    Answers that are on record stay. Exits with 1 when something could not be stopped: its provider
    or its run cannot be reached, and the wish is on record.
    """
    from beacon_pipeline.catalog import load_catalog
    from beacon_pipeline.execution.resources import ProvidersResource
    from beacon_pipeline.jobs.cancel import cancel_job
    from beacon_pipeline.ledger.status import Status

    with open_ledger() as ledger, open_instance() as instance:
        found = find_job(ledger, job)
        click.echo(f"job {found.job_name}: stopping its runs and calls", err=True)
        done = cancel_job(ledger, instance, load_catalog(), ProvidersResource(), found)
    newly = done.after.get(Status.CANCELLED, 0) - done.before.get(Status.CANCELLED, 0)
    left = sum(count for word, count in done.after.items() if not Status(word).is_terminal)
    completed = done.after.get(Status.COMPLETED, 0)
    click.echo(
        f"job {found.job_name}: {done.stopped_runs} runs stopped; {newly} executions cancelled, "
        f"{completed} completed, {left} still open"
    )
    for run_id, reason in done.not_stopped.items():
        click.echo(f"run {run_id} goes on: {reason}", err=True)
    sys.exit(1 if left or done.not_stopped else 0)
