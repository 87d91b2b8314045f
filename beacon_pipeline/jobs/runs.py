"""The Dagster runs of a job, and the cells of a run, read from their tags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import dagster as dg

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.catalog.partitions import NotAPartitionKey, cells_between
from beacon_pipeline.jobs.dagster_api import INFERENCE_JOB
from beacon_pipeline.ledger.records import Cell, Job
from beacon_pipeline.names import (
    BACKFILL_TAG,
    INFERENCE,
    JOB_TAG,
    PARTITION_TAG,
    RANGE_END_TAG,
    RANGE_START_TAG,
)

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
BACKFILL_PREFIX = "backfill-"
IMPLICIT_JOB = "__ASSET_JOB"  # Dagster's own name for what *Materialize* launches


def backfill_of(job: Job) -> str | None:
    """The id of the Dagster backfill that asked a job, or None."""
    return job.job_name.removeprefix(BACKFILL_PREFIX) if job.source == "backfill" else None


def unfinished_runs(instance: dg.DagsterInstance, job: Job) -> list[dg.DagsterRun]:
    """The runs that work for a job, or will.

    Every run has the job's tag once it has started; those of a backfill that still wait have only
    the backfill's.
    """
    tags = [{JOB_TAG: job.job_name}]
    if backfill := backfill_of(job):
        tags.append({BACKFILL_TAG: backfill})
    found = [instance.get_runs(dg.RunsFilter(tags=wanted, statuses=UNFINISHED)) for wanted in tags]
    return list({run.run_id: run for runs in found for run in runs}.values())


def runs_after(instance: dg.DagsterInstance, job: Job, moment: datetime) -> list[dg.DagsterRun]:
    """The runs that work for a job and were made after a moment, ended ones too."""
    wanted = dg.RunsFilter(tags={JOB_TAG: job.job_name}, created_after=moment)
    return list(instance.get_runs(wanted))


def all_ended(instance: dg.DagsterInstance, run_ids: Iterable[str]) -> bool:
    """Whether none of these runs is queued or at work any more."""
    return all(run.is_finished for run in instance.get_runs(dg.RunsFilter(run_ids=list(run_ids))))


def asks_models(run: dg.DagsterRun) -> bool:
    """Whether a run materializes ``inference``, whoever launched it: backfills have a job of their own."""
    return run.job_name == INFERENCE_JOB or INFERENCE in (run.asset_selection or ())


def cells_of_run(catalog: Catalog, tags: Mapping[str, str]) -> list[Cell]:
    """The cells that a run's tags name; none for a run without partitions.

    A run whose partitions the catalog no longer has names none either.
    """
    first = tags.get(RANGE_START_TAG) or tags.get(PARTITION_TAG)
    last = tags.get(RANGE_END_TAG) or first
    if first is None or last is None:
        return []
    try:
        return cells_between(catalog, first, last)
    except NotAPartitionKey:
        return []


def cells_under_way(instance: dg.DagsterInstance, catalog: Catalog) -> frozenset[Cell]:
    """The cells that a queued or running run works on, whichever job it is for."""
    runs = instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))
    return frozenset(cell for run in runs for cell in cells_of_run(catalog, run.tags))


def work_of(run: dg.DagsterRun) -> str:
    """What a run does, in words that another run of the same work shares."""
    first, last = run.tags.get(RANGE_START_TAG), run.tags.get(RANGE_END_TAG)
    partition = run.tags.get(PARTITION_TAG)
    keys = partition or (f"{first} … {last}" if first != last else first)
    name = "materialization" if run.job_name.startswith(IMPLICIT_JOB) else run.job_name
    return f"{name} {keys}" if keys else name
