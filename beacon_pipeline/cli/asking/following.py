"""What the commands that ask share: launch a job's runs, follow them to their end, report."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

import click

from beacon_pipeline.cli.common import print_report, report_of

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from beacon_pipeline.catalog import Catalog
    from beacon_pipeline.instance.daemon import Daemon
    from beacon_pipeline.jobs.launch import LaunchedJob
    from beacon_pipeline.ledger import Ledger
    from beacon_pipeline.ledger.records import Counts, Job
    from beacon_pipeline.reconciliation.view import Known

LINES_BELOW = 3  # the matrix, on what came; the page has all
SAME_COMMAND = "the same command"


def launch_and_follow(
    launch: Callable[[], LaunchedJob],
    ledger: Ledger,
    instance: DagsterInstance,
    catalog: Catalog,
    *,
    goes_on: str = SAME_COMMAND,
) -> LaunchedJob:
    """Launch a job's runs, say which job it is, and follow it to its end; with a daemon meanwhile.

    ``goes_on``: the command that goes on with the job when a person interrupts this one.
    """
    from beacon_pipeline.instance.daemon import Daemon

    with Daemon(instance, catalog) as daemon:  # it gets ready while the runs are launched
        asked = None
        try:
            asked = launch()
            announce(asked, instance, catalog)
            _follow_with_progress(asked, ledger, instance, catalog, daemon)
        except KeyboardInterrupt:
            job = asked.job.job_name if asked else None
            click.echo(_stopped(job, goes_on, asked_on=not daemon.is_ours), err=True)
            sys.exit(1)
    return asked


def _stopped(job: str | None, goes_on: str, *, asked_on: bool) -> str:
    """What becomes of a job, None where it is not known yet, that a person stopped watching.

    ``asked_on``: the daemon of another command works on it.
    """
    if job is None:
        return f"stopped before all was launched; nothing is lost: {goes_on} goes on with what is on record"
    if asked_on:
        return (
            f"stopped watching job {job}, which the daemon of another command goes on with: `beacon status "
            f"--job {job}` shows how far it is, `beacon cancel {job}` gives it up"
        )
    return (
        f"stopped watching job {job}; nothing is lost: {goes_on} goes on with it, "
        f"`beacon cancel {job}` gives it up"
    )


def announce(asked: LaunchedJob, instance: DagsterInstance, catalog: Catalog) -> None:
    import dagster as dg

    from beacon_pipeline.catalog.plan import Plan
    from beacon_pipeline.jobs.dagster_api import CATALOG_JOB

    verb = "continuing" if asked.continued else "new"
    beside = 0
    if asked.run_ids:  # without an id Dagster takes no filter
        beside = instance.get_runs_count(dg.RunsFilter(run_ids=list(asked.run_ids), job_name=CATALOG_JOB))
    asking = len(asked.run_ids) - beside
    runs = "1 Dagster run" if asking == 1 else f"{asking} Dagster runs"
    runs += ", and one that records the catalog" if beside else ""
    plan = Plan.of(asked.job.plan)
    how = "" if plan.is_default else f" ({plan}; seed {plan.seed})"
    click.echo(f"{verb} job {asked.job.job_name}{how}: {runs}", err=True)
    if asked.continued and asked.job.catalog_digest != catalog.digest:
        click.echo(
            "the catalog has changed since: this job asks as it did, a new one asks as it is now", err=True
        )


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
        printed: set[str] = set()

        def show(counts: Counts, waiting: str | None) -> None:
            daemon.ensure()
            if waiting is not None and waiting not in printed:
                printed.add(waiting)
                console.print(waiting, highlight=False, markup=False)
            settled = sum(n for word, n in counts.by_status.items() if Status(word).is_terminal)
            progress.update(bar, completed=settled, total=counts.executions)

        follow(asked, ledger, instance, catalog, show)


def report_and_exit(
    job: Job, ledger: Ledger, instance: DagsterInstance, catalog: Catalog, as_json: bool
) -> NoReturn:
    from beacon_pipeline.defs.assets.status_metrics import report_metrics
    from beacon_pipeline.findings.page import write_page_of
    from beacon_pipeline.findings.subject import Subject
    from beacon_pipeline.monitoring.alerts.tick import reported

    known: Known = {}  # both look at what Dagster shows of the job
    report_metrics(ledger, instance, catalog, known)
    report = report_of(ledger, instance, catalog, job, known=known)
    print_report(report, as_json)
    page = write_page_of(ledger, Subject((job,)), alerts=reported(instance))
    for line in (*page.described[:LINES_BELOW], f"page: {page.path}"):
        click.echo(line, err=as_json)
    sys.exit(0 if report.all_completed else 1)
