"""What the commands share: errors as one line, the ledger they work on, and reports."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, NoReturn, ParamSpec

import click

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from beacon_pipeline.catalog import Catalog
    from beacon_pipeline.ledger import Ledger
    from beacon_pipeline.ledger.records import Execution, Job
    from beacon_pipeline.report import JobReport

Arguments = ParamSpec("Arguments")


class BadInput(click.ClickException):
    """One clear line, or one for each problem, and exit code 2."""

    exit_code = 2


def plain_errors(command: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """Everything that can go wrong by bad input or a missing service, as a line instead of a trace."""

    @wraps(command)
    def wrapped(*arguments: Arguments.args, **options: Arguments.kwargs) -> None:
        from beacon_pipeline.ask import JobNameTaken
        from beacon_pipeline.catalog import CatalogError, UnknownName
        from beacon_pipeline.instance.configuration import InstanceError
        from beacon_pipeline.jobspec import JobspecError
        from beacon_pipeline.launch import LaunchError
        from beacon_pipeline.ledger import LedgerUnavailable
        from beacon_pipeline.partitions import NotAPartitionKey
        from inference.contract import NotConfigured

        expected = (
            CatalogError,
            UnknownName,
            InstanceError,
            JobNameTaken,
            JobspecError,
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


@contextmanager
def open_ledger() -> Iterator[Ledger]:
    from beacon_pipeline.instance import ensure_instance_folder
    from beacon_pipeline.resources import LedgerResource

    ensure_instance_folder()
    with LedgerResource().open() as ledger:
        yield ledger


@contextmanager
def open_instance() -> Iterator[DagsterInstance]:
    """The Dagster instance of the environment, once its folder is there. Raises InstanceError."""
    import dagster as dg
    import sqlalchemy as sa
    from dagster_postgres.utils import DagsterPostgresException

    from beacon_pipeline.instance.configuration import DATABASE_VARIABLE, InstanceError

    try:
        instance = dg.DagsterInstance.get()
        # Opening one makes its tables: here, before a daemon and a launch want to make them at once.
        _ = instance.run_storage, instance.event_log_storage, instance.schedule_storage
    except (sa.exc.OperationalError, DagsterPostgresException) as error:
        reason = str(getattr(error, "orig", error)).strip().splitlines()[0]
        raise InstanceError(f"Dagster's database ({DATABASE_VARIABLE}) cannot be used: {reason}") from None
    with instance:
        yield instance


def find_job(ledger: Ledger, jobspec_id: str | None) -> Job:
    job = ledger.latest_job() if jobspec_id is None else ledger.job(jobspec_id)
    if job is None:
        if jobspec_id is None:
            raise BadInput("no job yet: `beacon run` asks")
        say_nearest("job", jobspec_id, [job.jobspec_id for job in ledger.jobs()])
    return job


def say_nearest(kind: str, name: str, known: list[str]) -> NoReturn:
    from beacon_pipeline.catalog import UnknownName

    raise UnknownName(kind, name, known)


def report_of(ledger: Ledger, catalog: Catalog, job: Job, *, whole: bool = False) -> JobReport:
    """The report on a job. ``whole``: what Dagster shows of any partition must be on record, as
    reconciliation looks at it; else of the job's own."""
    from beacon_pipeline.assets.events import newest_materializations, shown_of_unknown
    from beacon_pipeline.partitions import key_of
    from beacon_pipeline.report import report_on

    executions = ledger.executions(job.id)
    with open_instance() as instance:
        cells = {e.cell for e in executions} | (set(catalog.cells()) if whole else set())
        newest = newest_materializations(instance, [key_of(cell) for cell in cells])
    unknown = {key: found.shown for key, found in shown_of_unknown(ledger, newest).items()}
    shown = {key: found.shown for key, found in newest.items()}
    return report_on(job, executions, shown, catalog, unknown=unknown)


def print_report(report: JobReport, as_json: bool, executions: Sequence[Execution] = ()) -> None:
    """Print a report; as JSON with what was asked and answered of these executions of it."""
    if as_json:
        click.echo(json.dumps(report.to_json(executions), indent=2))
        return
    from rich.console import Console

    from beacon_pipeline.terminal import matrix

    Console().print(matrix(report))
