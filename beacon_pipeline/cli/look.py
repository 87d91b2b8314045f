"""Commands that show the record, and change nothing."""

from __future__ import annotations

import json

import click

from beacon_pipeline.cli.support import (
    find_job,
    open_ledger,
    plain_errors,
    print_report,
    report_of,
    say_nearest,
)


@click.command()
@click.option("--job", "jobspec_id", help="A job; default: the newest.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@plain_errors
def status(jobspec_id: str | None, as_json: bool) -> None:
    """Show a job's executions as a matrix, and where the record disagrees with anything."""
    from beacon_pipeline.catalog import load_catalog

    with open_ledger() as ledger:
        report = report_of(ledger, load_catalog(), find_job(ledger, jobspec_id))
    print_report(report, as_json)


@click.command()
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=20, show_default=True, help="How many, newest first."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@plain_errors
def jobs(limit: int, as_json: bool) -> None:
    """List the jobs on record."""
    from beacon_pipeline.catalog import load_catalog

    with open_ledger() as ledger:
        catalog = load_catalog()
        listed = [(job, report_of(ledger, catalog, job)) for job in ledger.jobs(limit)]
    if as_json:
        click.echo(json.dumps([report.in_brief() for _, report in listed], indent=2))
        return
    from rich.console import Console

    from beacon_pipeline.terminal import job_table

    Console().print(job_table(listed) if listed else "no job yet: `beacon run` asks")


@click.command()
@click.argument("partition")
@click.option("--job", "jobspec_id", help="A job; default: the newest.")
@plain_errors
def show(partition: str, jobspec_id: str | None) -> None:
    """Show everything on record of one PARTITION, such as eu:tiny-mistral|identity_basic."""
    from beacon_pipeline.catalog import load_catalog
    from beacon_pipeline.ledger.records import Cell
    from beacon_pipeline.partitions import cell_of, key_of

    catalog = load_catalog()
    named = cell_of(partition)
    cell = Cell(catalog.read_region(named.region) or named.region, named.model, named.question)
    with open_ledger() as ledger:
        job = find_job(ledger, jobspec_id)
        found = ledger.executions(job.id, [cell])
        if not found:
            say_nearest("partition", partition, [key_of(e.cell) for e in ledger.executions(job.id)])
        transitions = ledger.transitions(found[0].id)
    from rich.console import Console

    from beacon_pipeline.terminal import execution_panel

    Console().print(execution_panel(job, found[0], transitions))
