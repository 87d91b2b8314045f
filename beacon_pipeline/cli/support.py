"""What the commands share: errors as one line, the ledger they work on, and reports."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, NoReturn, ParamSpec

import click

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from beacon_pipeline.catalog import Catalog
    from beacon_pipeline.ledger import Ledger
    from beacon_pipeline.ledger.records import Job
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
        from beacon_pipeline.waiting import NothingMoves
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
            NothingMoves,
            FileNotFoundError,
        )
        try:
            command(*arguments, **options)
        except expected as error:
            raise BadInput(str(error)) from error

    return wrapped


def end_on_signals() -> None:
    """Let `kill` and a closed terminal end this command as an error does: its daemon ends with it."""

    def end(number: int, _frame: object) -> NoReturn:
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # `nohup` has the terminal ignored
            signal.signal(number, end)


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
    from beacon_pipeline import settings
    from beacon_pipeline.instance.making import opened_instance

    with opened_instance(settings.home()) as instance:
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


def report_of(ledger: Ledger, catalog: Catalog, job: Job) -> JobReport:
    from beacon_pipeline.assets.events import newest_materializations
    from beacon_pipeline.partitions import key_of
    from beacon_pipeline.report import report_on

    executions = ledger.executions(job.id)
    with open_instance() as instance:
        newest = newest_materializations(instance, [key_of(e.cell) for e in executions])
    return report_on(job, executions, {key: found.shown for key, found in newest.items()}, catalog)


def print_report(report: JobReport, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=2))
        return
    from rich.console import Console

    from beacon_pipeline.terminal import matrix

    Console().print(matrix(report))
