"""`beacon submit`: ask what a job file says."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from beacon_pipeline.cli.asking.following import SAME_COMMAND, announce, launch_and_follow, report_and_exit
from beacon_pipeline.cli.common import open_instance, open_ledger, print_report, report_of


@click.command()
@click.argument("jobspec", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--follow/--no-follow", default=True, help="Wait for the end, or only queue the runs.")
@click.option("--json", "as_json", is_flag=True, help="Print the job's report as JSON.")
def submit(jobspec: Path, follow: bool, as_json: bool) -> None:
    """Ask exactly what the file JOBSPEC says, in Dagster runs.

    It names questions, models, and the regions of each model. With a name in it, submitting it
    again goes on with the same job.
    """
    from beacon_pipeline.catalog import load_catalog
    from beacon_pipeline.catalog.jobspec import read_jobspec
    from beacon_pipeline.execution.resources import ProvidersResource
    from beacon_pipeline.instance.daemon import is_alive
    from beacon_pipeline.jobs.launch import check_can_ask
    from beacon_pipeline.jobs.launch import submit as submit_job

    catalog = load_catalog()
    wanted = read_jobspec(jobspec, catalog)
    with open_ledger() as ledger, open_instance() as instance:
        check_can_ask(ledger, catalog, ProvidersResource().open(catalog), wanted.cells, new_job=True)
        launch = partial(submit_job, ledger, instance, catalog, wanted.name, wanted.cells)
        if follow:
            # A file without a name is a new job each time.
            goes_on = SAME_COMMAND if wanted.name else "`beacon dev`"
            asked = launch_and_follow(launch, ledger, instance, catalog, goes_on=goes_on)
            report_and_exit(asked.job, ledger, instance, catalog, as_json)
        asked = launch()
        announce(asked, instance, catalog)
        if not is_alive(instance):
            click.echo("no daemon is running: `beacon dev` starts the queued runs", err=True)
        print_report(report_of(ledger, instance, catalog, asked.job), as_json)
