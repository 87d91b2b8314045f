"""Cancel what a person no longer wants: Dagster's runs, the provider's calls, and what only waited.

Runs first: one that goes on would find its executions cancelled under its hands.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

# A public method raises it, and it has no public name.
from dagster._core.errors import DagsterUserCodeUnreachableError  # noqa: TID251

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.execution.resources import ProvidersResource
from beacon_pipeline.execution.run import Materializer
from beacon_pipeline.instance.dead_runs import end_dead_runs
from beacon_pipeline.jobs.job_of_run import asking_of_run
from beacon_pipeline.jobs.runs import asks_models, backfill_of, cells_of_run, runs_after, unfinished_runs
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Cell, Execution, Job

STOP_SECONDS = 60  # a run that is asked to stop cancels its calls first
LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Cancelled:
    """What cancelling a job did. ``not_stopped``: run id -> why it goes on."""

    stopped_runs: int
    not_stopped: Mapping[str, str]
    before: Mapping[str, int]  # executions by status
    after: Mapping[str, int]


def cancel_job(
    ledger: Ledger, instance: dg.DagsterInstance, catalog: Catalog, providers: ProvidersResource, job: Job
) -> Cancelled:
    """Stop everything that works on a job, and record what that did. Answers stay as they are.

    An execution whose provider cannot be reached stays dispatched, with the wish on record. No code
    server is needed.
    """
    before = ledger.aggregates.counts(job.id).by_status
    stopped, not_stopped = _stop_runs(instance, job)
    cells = [
        execution.cell for execution in ledger.executions.of_job(job.id) if not execution.status.is_terminal
    ]
    cancel_cells(ledger, catalog, providers, job, cells, actor="beacon cancel")
    return Cancelled(stopped, not_stopped, before, ledger.aggregates.counts(job.id).by_status)


def cancel_cells(
    ledger: Ledger,
    catalog: Catalog,
    providers: ProvidersResource,
    job: Job,
    cells: Sequence[Cell],
    *,
    actor: str,
) -> None:
    """Cancel the pending executions of these cells, and the calls of those in flight."""

    async def cancel() -> None:
        async with providers.open(catalog) as opened:
            await Materializer(ledger, catalog, opened, actor=actor).cancel(job.id, cells)

    if cells:
        asyncio.run(cancel())


def cancel_executions_of(
    run: dg.DagsterRun,
    ledger: Ledger,
    instance: dg.DagsterInstance,
    catalog: Catalog,
    providers: ProvidersResource,
) -> int:
    """Cancel what a cancelled run leaves open; how many executions that were."""
    left = left_by_cancelled(run, ledger, instance, catalog)
    if left:
        job = ledger.jobs.named(asking_of_run(run).job_name)
        assert job is not None, "executions belong to a job"
        cells = [execution.cell for execution in left]
        cancel_cells(ledger, catalog, providers, job, cells, actor=f"run:{run.run_id}")
    return len(left)


def left_by_cancelled(
    run: dg.DagsterRun, ledger: Ledger, instance: dg.DagsterInstance, catalog: Catalog
) -> list[Execution]:
    """The unsettled executions of a cancelled run.

    A run that was still queued never heard of it, and one whose process was killed cannot. What
    another run of the same job works on, or was asked for after the cancel, is that one's.
    """
    job = ledger.jobs.named(asking_of_run(run).job_name)
    cells = cells_of_run(catalog, run.tags) if asks_models(run) else []
    record = instance.get_run_record_by_id(run.run_id)
    if job is None or not cells or record is None:
        return []
    others = [*unfinished_runs(instance, job), *runs_after(instance, job, record.update_timestamp)]
    left = set(cells).difference(*(cells_of_run(catalog, other.tags) for other in others))
    return (
        [e for e in ledger.executions.of_job(job.id, sorted(left)) if not e.status.is_terminal]
        if left
        else []
    )


def terminate_runs(instance: dg.DagsterInstance, run_ids: Sequence[str]) -> dict[str, str]:
    """Stop these runs as the UI does: a queued one ends at once, a started one is interrupted.

    One whose code server cannot be reached, and whose process is not here, is marked as cancelled.
    Returns why, by run id, for those that could not be interrupted: some had ended by then.
    """
    refused = {}
    for run_id in run_ids:
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            refused[run_id] = "it has ended"
            continue
        try:
            if not instance.run_coordinator.cancel_run(run_id):
                refused[run_id] = "nothing could interrupt it"
        except DagsterUserCodeUnreachableError:
            message = "Marked as cancelled: its code server cannot be reached, and may still work on it."
            instance.report_run_canceled(run, message)
    return refused


def _stop_runs(instance: dg.DagsterInstance, job: Job) -> tuple[int, dict[str, str]]:
    _stop_backfill(instance, job)  # first, or it goes on launching
    run_ids = [run.run_id for run in unfinished_runs(instance, job)]
    refused = terminate_runs(instance, run_ids)
    deadline = time.monotonic() + STOP_SECONDS
    waiting = set(run_ids)
    while waiting and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
        waiting &= {run.run_id for run in unfinished_runs(instance, job)}
        end_dead_runs(instance)
    still = {run.run_id for run in unfinished_runs(instance, job)} & set(run_ids)
    reasons = {run_id: refused.get(run_id, f"not ended after {STOP_SECONDS} seconds") for run_id in still}
    return len(run_ids) - len(still), reasons


def _stop_backfill(instance: dg.DagsterInstance, job: Job) -> None:
    backfill_id = backfill_of(job)
    backfill = instance.get_backfill(backfill_id) if backfill_id else None
    if backfill is not None and backfill.status.value == "REQUESTED":
        # What Dagster's own mutation does, which wants a code server. The word has no public name.
        canceling = type(backfill.status)("CANCELING")
        instance.update_backfill(backfill.with_status(canceling))  # type: ignore[no-untyped-call]
