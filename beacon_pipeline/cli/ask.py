"""Commands that ask: they launch Dagster runs and follow them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from beacon_pipeline.cli.support import BadInput, open_ledger, plain_errors, print_report, report_of

if TYPE_CHECKING:
    from dagster import DagsterInstance
    from rich.console import Console

    from beacon_pipeline.ask import Asked
    from beacon_pipeline.instance.daemon import Daemon
    from beacon_pipeline.ledger import Ledger
    from beacon_pipeline.ledger.records import Counts


@click.command()
@click.option("--region", "regions", multiple=True, help="A region, by any of its names. Repeatable.")
@click.option("--model", "models", multiple=True, help="A model of the catalog. Repeatable.")
@click.option("--question", "questions", multiple=True, help="A question of the catalog. Repeatable.")
@click.option("--new-job", is_flag=True, help="Ask afresh, even if a recent job is unfinished.")
@click.option("--json", "as_json", is_flag=True, help="Print the job's report as JSON.")
@plain_errors
def run(
    regions: tuple[str, ...],
    models: tuple[str, ...],
    questions: tuple[str, ...],
    new_job: bool,
    as_json: bool,
) -> None:
    """Ask, in Dagster runs, and follow them to their end.

    Goes on with the newest recent job in which some of the chosen executions are not settled:
    what its calls have answered is read, never asked again.
    """
    from beacon_pipeline.catalog import load_catalog

    catalog = load_catalog()
    cells = catalog.cells(regions, models, questions)
    if not cells:
        raise BadInput("no model is served in the chosen regions")
    with open_ledger() as ledger:
        import dagster as dg
        from rich.console import Console

        from beacon_pipeline.ask import ask, check_can_ask
        from beacon_pipeline.instance.daemon import Daemon
        from beacon_pipeline.resources import ProvidersResource

        console = Console(stderr=True)
        check_can_ask(ledger, catalog, ProvidersResource().open(catalog), cells, new_job=new_job)
        with dg.DagsterInstance.get() as instance:
            asked = ask(ledger, catalog, cells, new_job=new_job)
            verb = "continuing" if asked.continued else "new"
            console.print(f"{verb} job [bold]{asked.job.jobspec_id}[/]: {len(asked.run_ids)} Dagster runs")
            with Daemon(instance) as daemon:
                _follow_with_progress(asked, ledger, instance, daemon, console)
        report = report_of(ledger, catalog, asked.job)
    print_report(report, as_json)
    sys.exit(0 if report.all_completed else 1)


def _follow_with_progress(
    asked: Asked, ledger: Ledger, instance: DagsterInstance, daemon: Daemon, console: Console
) -> None:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from beacon_pipeline.ask import follow
    from beacon_pipeline.vocabulary import Status

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("asking")

        def tell(counts: Counts) -> None:
            daemon.ensure()
            settled = sum(n for word, n in counts.by_status.items() if Status(word).is_settled)
            progress.update(bar, completed=settled, total=counts.executions)

        try:
            follow(asked, ledger, instance, tell)
        except KeyboardInterrupt:
            console.print(
                f"stopped watching; nothing is lost: `beacon run` goes on with {asked.job.jobspec_id}"
            )
            sys.exit(1)
