"""Commands that ask: they launch Dagster runs and follow them."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from beacon_pipeline.cli.common import (
    BadInput,
    end_on_signals,
    open_instance,
    open_ledger,
    print_report,
    report_of,
)

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from beacon_pipeline.catalog import Catalog
    from beacon_pipeline.catalog.plan import Plan
    from beacon_pipeline.instance.daemon import Daemon
    from beacon_pipeline.jobs.launch import LaunchedJob
    from beacon_pipeline.ledger import Ledger
    from beacon_pipeline.ledger.records import Cell, Counts, Job

SEED_BYTES = 16


@click.command()
@click.option("--region", "regions", multiple=True, help="A region, by any of its names. Repeatable.")
@click.option("--model", "models", multiple=True, help="A model of the catalog. Repeatable.")
@click.option("--question", "questions", multiple=True, help="A question of the catalog. Repeatable.")
@click.option(
    "--arm", "arms", multiple=True, help="A system prompt by name, `regional` each region's. Repeatable."
)
@click.option(
    "--samples", type=click.IntRange(1, 10_000), help="Answers for each arm and block, sampled apart."
)
@click.option(
    "--blocks", type=click.IntRange(1, 10_000), help="Rounds, each with one call for every deployment."
)
@click.option("--temperature", type=float, help="0: always the likeliest token. Default: the model's.")
@click.option(
    "--top-p", type=float, help="Share of the likeliest tokens to sample from. Default: the model's."
)
@click.option("--max-new-tokens", type=int, help="Longest answer. Default: the model's.")
@click.option("--seed", help="Hexadecimal, of an earlier job: its samples once more, in a new job.")
@click.option("--new-job", is_flag=True, help="Ask afresh, even if a recent job is unfinished.")
@click.option("--json", "as_json", is_flag=True, help="Print the job's report as JSON.")
def run(
    regions: tuple[str, ...],
    models: tuple[str, ...],
    questions: tuple[str, ...],
    new_job: bool,
    as_json: bool,
    **asked_how: Any,
) -> None:
    """Ask, in Dagster runs, and follow them to their end.

    Goes on with the newest recent job in which some of the chosen executions are not settled, where it asks
    the same way: what its calls have answered is read, never asked again.
    """
    from beacon_pipeline.catalog import load_catalog
    from beacon_pipeline.execution.resources import ProvidersResource
    from beacon_pipeline.jobs.launch import ask, check_can_ask

    catalog = load_catalog()
    cells = catalog.cells(regions, models, questions)
    if not cells:
        raise BadInput("no model is served in the chosen regions")
    plan = _plan(catalog, cells, **asked_how)
    new_job |= asked_how["seed"] is not None
    end_on_signals()
    with open_ledger() as ledger, open_instance() as instance:
        check_can_ask(ledger, catalog, ProvidersResource().open(catalog), cells, new_job=new_job, plan=plan)
        launch = partial(ask, ledger, instance, catalog, cells, new_job=new_job, plan=plan)
        asked = launch_and_follow(launch, ledger, instance, catalog)
        _report_and_exit(asked.job, ledger, catalog, instance, as_json)


def _plan(
    catalog: Catalog, cells: Sequence[Cell], *, arms: tuple[str, ...], blocks: int | None, **given: Any
) -> Plan:
    """The plan that the options name; without any, that of the catalog. Raises PlanError, UnknownName."""
    from beacon_pipeline.catalog.plan import DEFAULT_PLAN, planned

    fields = {name: value for name, value in given.items() if value is not None}
    if not arms and blocks is None and not fields:
        return DEFAULT_PLAN
    fields |= {"arms": arms} if arms else {}
    fields |= {"blocks": tuple(range(1, blocks + 1))} if blocks else {}
    models = {cell.model for cell in cells}
    return planned(
        catalog,
        [model for model in catalog.models if model.id in models],
        **{"seed": secrets.token_hex(SEED_BYTES)} | fields,
    )


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
    end_on_signals()
    with open_ledger() as ledger, open_instance() as instance:
        check_can_ask(ledger, catalog, ProvidersResource().open(catalog), wanted.cells, new_job=True)
        launch = partial(submit_job, ledger, instance, catalog, wanted.name, wanted.cells)
        if follow:
            asked = launch_and_follow(launch, ledger, instance, catalog)
            _report_and_exit(asked.job, ledger, catalog, instance, as_json)
        asked = launch()
        _tell_asked(asked)
        if not is_alive(instance):
            click.echo("no daemon is running: `beacon dev` starts the queued runs", err=True)
        print_report(report_of(ledger, catalog, asked.job), as_json)


def launch_and_follow(
    launch: Callable[[], LaunchedJob], ledger: Ledger, instance: DagsterInstance, catalog: Catalog
) -> LaunchedJob:
    """Launch a job's runs, say which job it is, and follow it to its end; with a daemon meanwhile."""
    from beacon_pipeline.instance.daemon import Daemon

    with Daemon(instance, catalog) as daemon:  # it gets ready while the runs are launched
        asked = launch()
        _tell_asked(asked)
        _follow_with_progress(asked, ledger, instance, catalog, daemon)
    return asked


def _tell_asked(asked: LaunchedJob) -> None:
    from beacon_pipeline.catalog.plan import Plan

    verb = "continuing" if asked.continued else "new"
    runs = "1 Dagster run" if len(asked.run_ids) == 1 else f"{len(asked.run_ids)} Dagster runs"
    plan = Plan.of(asked.job.plan)
    how = "" if plan.is_default else f" ({plan}; seed {plan.seed})"
    click.echo(f"{verb} job {asked.job.jobspec_id}{how}: {runs}", err=True)


def _follow_with_progress(
    asked: LaunchedJob, ledger: Ledger, instance: DagsterInstance, catalog: Catalog, daemon: Daemon
) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from beacon_pipeline.jobs.launch import follow
    from beacon_pipeline.ledger.status import Status

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("asking")
        told: set[str] = set()

        def tell(counts: Counts, waiting: str | None) -> None:
            daemon.ensure()
            if waiting is not None and waiting not in told:
                told.add(waiting)
                console.print(waiting, highlight=False, markup=False)
            settled = sum(n for word, n in counts.by_status.items() if Status(word).is_terminal)
            progress.update(bar, completed=settled, total=counts.executions)

        try:
            follow(asked, ledger, instance, catalog, tell)
        except KeyboardInterrupt:
            console.print(
                f"stopped watching; nothing is lost: the same command goes on with {asked.job.jobspec_id}"
            )
            sys.exit(1)


def _report_and_exit(
    job: Job, ledger: Ledger, catalog: Catalog, instance: DagsterInstance, as_json: bool
) -> NoReturn:
    from beacon_pipeline.defs.assets.status_metrics import report_metrics
    from beacon_pipeline.findings.page import write_page_of
    from beacon_pipeline.findings.subject import Subject

    report_metrics(instance, ledger, catalog)
    report = report_of(ledger, catalog, job)
    print_report(report, as_json)
    click.echo(f"page: {write_page_of(ledger, Subject((job,)))}", err=as_json)
    sys.exit(0 if report.all_completed else 1)
