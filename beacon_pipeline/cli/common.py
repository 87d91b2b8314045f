"""What the commands share: errors as one line, the ledger they work on, and reports."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec

import click

from beacon_pipeline.cli.boundary import BadInput as BadInput

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from beacon_pipeline.catalog import Catalog
    from beacon_pipeline.cli.report import JobReport
    from beacon_pipeline.ledger import Ledger
    from beacon_pipeline.ledger.records import Execution, Job
    from beacon_pipeline.reconciliation.view import Known

Arguments = ParamSpec("Arguments")
MAX_SECONDS = 10 * 365 * 24 * 3600.0


class Seconds(click.FloatRange):
    """A number of seconds from none to ten years."""

    name = "seconds"

    def __init__(self) -> None:
        super().__init__(min=0, max=MAX_SECONDS)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        converted = super().convert(value, param, ctx)
        if math.isnan(converted):  # no comparison holds for it, so that it is in every range
            self.fail(f"{value!r} is no number of seconds", param, ctx)
        return converted


@contextmanager
def open_ledger() -> Iterator[Ledger]:
    from beacon_pipeline.execution.resources import LedgerResource
    from beacon_pipeline.instance.folder import ensure_instance_folder

    ensure_instance_folder()
    with LedgerResource().open() as ledger:
        yield ledger


@contextmanager
def open_instance() -> Iterator[DagsterInstance]:
    """The Dagster instance of the environment, once its folder is there. Raises InstanceError."""
    from beacon_pipeline import environment
    from beacon_pipeline.instance.making import opened_instance

    with opened_instance(environment.home()) as instance:
        yield instance


def find_job(ledger: Ledger, job_name: str | None, instance: DagsterInstance | None = None) -> Job:
    """The job of this name, or the newest. Raises BadInput and UnknownName.

    With an instance, that there is no job at all is said beside what Dagster shows.
    """
    job = ledger.jobs.latest() if job_name is None else ledger.jobs.named(job_name)
    if job is None:
        if job_name is None:
            raise BadInput(no_job(ledger, instance))
        say_nearest("job", job_name, [job.job_name for job in ledger.jobs.newest()])
    return job


def no_job(ledger: Ledger, instance: DagsterInstance | None) -> str:
    """That nothing is on record; where Dagster shows answers all the same, the ledger is another one."""
    from beacon_pipeline.reconciliation.view import shown_without_record

    lacks = shown_without_record(ledger, instance) if instance else None
    return lacks or f"no job yet in {ledger.place}: `beacon run` asks"


def require_sound(target: str) -> None:
    """Refuse an export whose digests, schema or figures do not hold. Raises BadInput."""
    from beacon_pipeline.findings.export.verify import verified

    if wrong := verified(target):
        raise BadInput(f"{target} does not hold: {wrong[0]}; `beacon verify` names all")


def say_nearest(kind: str, name: str, known: list[str]) -> NoReturn:
    from beacon_pipeline.catalog import UnknownName

    raise UnknownName(kind, name, known)


def report_of(
    ledger: Ledger,
    instance: DagsterInstance,
    catalog: Catalog,
    job: Job,
    *,
    whole: bool = False,
    known: Known | None = None,
) -> JobReport:
    """The report on a job. ``whole``: what Dagster shows of any partition must be on record, as
    reconciliation looks at it; else of the job's own, also of one whose execution was deleted."""
    (report,) = reports_of(ledger, instance, catalog, [job], whole=whole, known=known)
    return report


def reports_of(
    ledger: Ledger,
    instance: DagsterInstance,
    catalog: Catalog,
    jobs: Sequence[Job],
    *,
    whole: bool = False,
    known: Known | None = None,
) -> list[JobReport]:
    """The reports on jobs; what Dagster shows is read once for all of them, for most ask the same."""
    from beacon_pipeline.catalog.partitions import key_of
    from beacon_pipeline.cli.report import report_on
    from beacon_pipeline.jobs.specification import specified_cells
    from beacon_pipeline.reconciliation.view import newest_materializations, shown_of_unknown

    executions = [ledger.executions.of_job(job.id) for job in jobs]
    everything = set(catalog.cells()) if whole else set()
    keys = [
        {
            key_of(cell)
            for cell in everything | {e.cell for e in own} | set(specified_cells(job.specification) or ())
        }
        for job, own in zip(jobs, executions, strict=True)
    ]
    newest = newest_materializations(instance, sorted(set().union(*keys)), known)
    not_on_record = shown_of_unknown(ledger, newest)
    return [
        report_on(
            job,
            own,
            {key: newest[key].shown for key in newest.keys() & of_job},
            catalog,
            unknown={key: not_on_record[key].shown for key in not_on_record.keys() & of_job},
        )
        for job, own, of_job in zip(jobs, executions, keys, strict=True)
    ]


def print_report(report: JobReport, as_json: bool, executions: Sequence[Execution] = ()) -> None:
    """Print a report; as JSON with what was asked and answered of these executions of it."""
    if as_json:
        click.echo(json.dumps(report.to_json(executions), indent=2))
        return
    from rich.console import Console

    from beacon_pipeline.cli.matrix import matrix

    Console().print(matrix(report))
