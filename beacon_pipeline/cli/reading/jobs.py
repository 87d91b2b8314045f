"""`beacon jobs`: the jobs on record."""

from __future__ import annotations

import json

import click

from beacon_pipeline.cli.common import no_job, open_instance, open_ledger, reports_of


@click.command()
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=20, show_default=True, help="How many, newest first."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def jobs(limit: int, as_json: bool) -> None:
    """List the jobs on record."""
    from beacon_pipeline.catalog import load_catalog

    with open_ledger() as ledger, open_instance() as instance:
        asked = ledger.jobs.newest(limit)
        listed = list(zip(asked, reports_of(ledger, instance, load_catalog(), asked), strict=True))
        nothing = "" if listed else no_job(ledger, instance)
    if as_json:
        click.echo(json.dumps([report.in_brief() for _, report in listed], indent=2))
        return
    from rich.console import Console

    from beacon_pipeline.cli.matrix import job_table

    Console().print(job_table(listed) if listed else nothing)
