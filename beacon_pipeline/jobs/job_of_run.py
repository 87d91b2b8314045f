"""To which job the work of a Dagster run belongs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.catalog.entries import Schedule
from beacon_pipeline.catalog.plan import Plan
from beacon_pipeline.jobs.job_making import make_job
from beacon_pipeline.jobs.look_of_tick import make_look
from beacon_pipeline.jobs.specification import specified_cells
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Cell, Job
from beacon_pipeline.names import BACKFILL_TAG, JOB_TAG, ROOT_RUN_TAG, SCHEDULE_TAG

CONTINUED_WITHIN = timedelta(days=1)


@dataclass(frozen=True)
class JobRef:
    """Who asks. ``continues`` is false where a tag names the job: then it is exactly that one.

    ``schedule`` is the catalog's schedule that a tick asked for.
    """

    job_name: str
    source: str
    continues: bool
    schedule: str | None = None


def asking_of(tags: Mapping[str, str], run_id: str) -> JobRef:
    """Read from a run's tags which job it works for.

    A job named by tag comes first. All runs of one backfill are one job, and a re-execution or
    retry belongs to the job of the run it repeats.
    """
    if job := tags.get(JOB_TAG):
        if schedule := tags.get(SCHEDULE_TAG):
            return JobRef(job, "schedule", continues=False, schedule=schedule)
        return JobRef(job, "launch", continues=False)
    if backfill := tags.get(BACKFILL_TAG):
        return JobRef(f"backfill-{backfill}", "backfill", continues=True)
    return JobRef(f"run-{tags.get(ROOT_RUN_TAG) or run_id}", "run", continues=True)


def asking_of_run(run: dg.DagsterRun) -> JobRef:
    """Which job a run works for; Dagster keeps the run that it repeats beside its tags."""
    root = {ROOT_RUN_TAG: run.root_run_id} if run.root_run_id else {}
    return asking_of({**run.tags, **root}, run.run_id)


def job_for(
    ledger: Ledger, catalog: Catalog, asking: JobRef, cells: Sequence[Cell], *, actor: str
) -> tuple[Job, list[Cell]]:
    """The job that this asking works on, made when there is none, and which of the cells it asks.

    A run carries a range of partitions, which is read again through the catalog as it is when the run
    starts: an entry that came in between is in the range, and not in the job that the run is for.

    A fresh ask of cells that a recent job has not settled yet (its run was killed) goes on with
    that job, because its calls may be running or done: attaching costs nothing, asking again does.
    The first run of a schedule's tick puts the whole tick on record, not only its own cells.
    """
    existing = ledger.jobs.named(asking.job_name)
    if existing is None and asking.schedule in catalog.settings.schedules:
        existing = _job_of_tick(ledger, catalog, asking, catalog.settings.schedules[asking.schedule], actor)
    if existing is None and asking.continues:
        existing = _continued(ledger, cells)
    job = existing or ledger.jobs.ensure(
        asking.job_name,
        source=asking.source,
        catalog=catalog.name,
        catalog_digest=catalog.digest,
        catalog_content=catalog.content,
    )
    plan = Plan.of(job.plan)
    exactly = not plan.is_default or not asking.continues
    specified = specified_cells(job.specification) if exactly else None
    asked = list(cells) if specified is None else sorted(set(specified).intersection(cells))
    ledger.executions.ensure(job.id, asked, actor=actor, slots_of=plan.executions_of)
    return job, asked


def _job_of_tick(
    ledger: Ledger, catalog: Catalog, asking: JobRef, wanted: Schedule, actor: str
) -> Job | None:
    if wanted.study is not None:
        name = asking.job_name
        return make_look(ledger, catalog, wanted.study, name, source=asking.source, actor=actor)
    whole = catalog.cells_of(wanted)
    return make_job(ledger, catalog, asking.job_name, whole, source=asking.source, actor=actor)


def _continued(ledger: Ledger, cells: Sequence[Cell]) -> Job | None:
    """The job that a fresh ask of these cells goes on with: one with a plan only where it asks them all."""
    job = unfinished_job(ledger, cells)
    if job is None or Plan.of(job.plan).is_default:
        return job
    return job if set(cells) <= set(specified_cells(job.specification) or ()) else None


def unfinished_job(ledger: Ledger, cells: Sequence[Cell], now: datetime | None = None) -> Job | None:
    """The newest recent job in which some of these cells are not settled."""
    job = ledger.jobs.latest_with_open(cells)
    now = now or datetime.now(UTC)
    return job if job and now - job.created_at < CONTINUED_WITHIN else None
