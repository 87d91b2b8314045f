"""`beacon status`: a job's executions as a matrix, and what disagrees."""

from __future__ import annotations

import click

from beacon_pipeline.cli.common import BadInput, find_job, open_instance, open_ledger, print_report, report_of


@click.command()
@click.option("--job", "job_name", help="A job; default: the newest.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--answers", is_flag=True, help="With --json: question, system prompt and answer of each.")
def status(job_name: str | None, as_json: bool, answers: bool) -> None:
    """Show a job's executions as a matrix, and where the record disagrees with anything."""
    from beacon_pipeline.catalog import load_catalog

    with open_ledger() as ledger, open_instance() as instance:
        job = find_job(ledger, job_name, instance)
        report = report_of(ledger, instance, load_catalog(), job, whole=job_name is None)
        executions = ledger.executions.of_job(job.id) if answers else []
    if answers and not as_json:
        raise BadInput("--answers goes with --json; `beacon show --question QUESTION` shows texts to read")
    print_report(report, as_json, executions)
