"""The ``beacon`` command. Thin: each command reads, calls one function, and shows.

Exit codes: 0 all is well, 1 some execution did not complete, 2 bad input or no service.
Heavy imports wait inside the commands, so that ``--help`` is quick.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from typing import TYPE_CHECKING, NoReturn, ParamSpec

import click

if TYPE_CHECKING:
    from dagster import DagsterInstance
    from rich.console import Console

    from beacon_pipeline.ask import Asked
    from beacon_pipeline.catalog import Catalog
    from beacon_pipeline.instance.daemon import Daemon
    from beacon_pipeline.ledger import Ledger
    from beacon_pipeline.ledger.records import Counts, Job
    from beacon_pipeline.report import JobReport

Arguments = ParamSpec("Arguments")


class BadInput(click.ClickException):
    """One clear line, or one for each problem, and exit code 2."""

    exit_code = 2


def _plain_errors(command: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """Everything that can go wrong by bad input or a missing service, as a line instead of a trace."""

    @wraps(command)
    def wrapped(*arguments: Arguments.args, **options: Arguments.kwargs) -> None:
        from beacon_pipeline.catalog import CatalogError, UnknownName
        from beacon_pipeline.launch import LaunchError
        from beacon_pipeline.ledger import LedgerUnavailable
        from beacon_pipeline.partitions import NotAPartitionKey
        from inference.contract import NotConfigured

        expected = (
            CatalogError,
            UnknownName,
            LaunchError,
            LedgerUnavailable,
            NotAPartitionKey,
            NotConfigured,
            FileNotFoundError,
        )
        try:
            command(*arguments, **options)
        except expected as error:
            raise BadInput(str(error)) from error

    return wrapped


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="beacon-pipeline")
def main() -> None:
    """Ask the same questions of the same models in several regions, and compare the answers."""


@main.command()
@click.option("--region", "regions", multiple=True, help="A region, by any of its names. Repeatable.")
@click.option("--model", "models", multiple=True, help="A model of the catalog. Repeatable.")
@click.option("--question", "questions", multiple=True, help="A question of the catalog. Repeatable.")
@click.option("--new-job", is_flag=True, help="Ask afresh, even if a recent job is unfinished.")
@click.option("--json", "as_json", is_flag=True, help="Print the job's report as JSON.")
@_plain_errors
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
    with _ledger() as ledger:
        import dagster as dg
        from rich.console import Console

        from beacon_pipeline.ask import ask
        from beacon_pipeline.instance.daemon import Daemon

        console = Console(stderr=True)
        with dg.DagsterInstance.get() as instance:
            asked = ask(ledger, catalog, cells, new_job=new_job)
            verb = "continuing" if asked.continued else "new"
            console.print(f"{verb} job [bold]{asked.job.jobspec_id}[/]: {len(asked.run_ids)} Dagster runs")
            with Daemon(instance) as daemon:
                _follow_with_progress(asked, ledger, instance, daemon, console)
        report = _report(ledger, catalog, asked.job)
    _show(report, as_json)
    sys.exit(0 if report.all_completed else 1)


@main.command()
@click.option("--job", "jobspec_id", help="A job; default: the newest.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_plain_errors
def status(jobspec_id: str | None, as_json: bool) -> None:
    """Show a job's executions as a matrix, and where the record disagrees with anything."""
    from beacon_pipeline.catalog import load_catalog

    with _ledger() as ledger:
        report = _report(ledger, load_catalog(), _job(ledger, jobspec_id))
    _show(report, as_json)


@main.command()
@click.option("--limit", default=20, show_default=True, help="How many, newest first.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_plain_errors
def jobs(limit: int, as_json: bool) -> None:
    """List the jobs on record."""
    from beacon_pipeline.catalog import load_catalog

    with _ledger() as ledger:
        catalog = load_catalog()
        listed = [(job, _report(ledger, catalog, job)) for job in ledger.jobs(limit)]
    if as_json:
        click.echo(json.dumps([report.in_brief() for _, report in listed], indent=2))
        return
    from rich.console import Console

    from beacon_pipeline.terminal import job_table

    Console().print(job_table(listed) if listed else "no job yet: `beacon run` asks")


@main.command()
@click.argument("partition")
@click.option("--job", "jobspec_id", help="A job; default: the newest.")
@_plain_errors
def show(partition: str, jobspec_id: str | None) -> None:
    """Show everything on record of one PARTITION, such as eu:tiny-mistral|identity_basic."""
    from beacon_pipeline.catalog import load_catalog
    from beacon_pipeline.ledger.records import Cell
    from beacon_pipeline.partitions import cell_of, key_of

    catalog = load_catalog()
    named = cell_of(partition)
    cell = Cell(catalog.read_region(named.region) or named.region, named.model, named.question)
    with _ledger() as ledger:
        job = _job(ledger, jobspec_id)
        found = ledger.executions(job.id, [cell])
        if not found:
            _say_nearest("partition", partition, [key_of(e.cell) for e in ledger.executions(job.id)])
        transitions = ledger.transitions(found[0].id)
    from rich.console import Console

    from beacon_pipeline.terminal import execution_panel

    Console().print(execution_panel(job, found[0], transitions))


@main.command()
@click.option("--port", default=3000, show_default=True, help="On this machine only.")
@_plain_errors
def dev(port: int) -> None:
    """Open the Dagster UI and run its daemon, until interrupted."""
    import dagster as dg

    from beacon_pipeline.ask import record_catalog
    from beacon_pipeline.instance import start_web_server
    from beacon_pipeline.instance.daemon import Daemon

    with _ledger(), dg.DagsterInstance.get() as instance, Daemon(instance) as daemon:
        record_catalog(instance)
        click.echo(f"Dagster UI: http://127.0.0.1:{port}  (Ctrl-C stops it)")
        server = start_web_server(port)
        with suppress(KeyboardInterrupt):
            while server.poll() is None:
                daemon.ensure()
                time.sleep(1)
            sys.exit(server.returncode)
        server.wait()


@contextmanager
def _ledger() -> Iterator[Ledger]:
    from beacon_pipeline.instance import ensure_instance_folder
    from beacon_pipeline.resources import LedgerResource

    ensure_instance_folder()
    with LedgerResource().open() as ledger:
        yield ledger


def _job(ledger: Ledger, jobspec_id: str | None) -> Job:
    job = ledger.latest_job() if jobspec_id is None else ledger.job(jobspec_id)
    if job is None:
        if jobspec_id is None:
            raise BadInput("no job yet: `beacon run` asks")
        _say_nearest("job", jobspec_id, [job.jobspec_id for job in ledger.jobs()])
    return job


def _say_nearest(kind: str, name: str, known: list[str]) -> NoReturn:
    from beacon_pipeline.catalog import UnknownName

    raise UnknownName(kind, name, known)


def _report(ledger: Ledger, catalog: Catalog, job: Job) -> JobReport:
    import dagster as dg

    from beacon_pipeline.assets.events import newest_materializations
    from beacon_pipeline.partitions import key_of
    from beacon_pipeline.report import report_on

    executions = ledger.executions(job.id)
    with dg.DagsterInstance.get() as instance:
        newest = newest_materializations(instance, [key_of(e.cell) for e in executions])
    return report_on(job, executions, {key: found.shown for key, found in newest.items()}, catalog)


def _show(report: JobReport, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=2))
        return
    from rich.console import Console

    from beacon_pipeline.terminal import matrix

    Console().print(matrix(report))


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
