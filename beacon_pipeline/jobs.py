"""To which job the work of a Dagster run belongs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Cell, Job

JOB_TAG = "beacon/job"
BACKFILL_TAG = "dagster/backfill"
ROOT_RUN_TAG = "dagster/root_run_id"

CONTINUED_WITHIN = timedelta(days=1)


@dataclass(frozen=True)
class Asking:
    """Who asks. ``continues`` is false where a tag names the job: then it is exactly that one."""

    jobspec_id: str
    source: str
    continues: bool


def asking_of(tags: Mapping[str, str], run_id: str) -> Asking:
    """Read from a run's tags which job it works for.

    A job named by tag comes first. All runs of one backfill are one job, and a re-execution or
    retry belongs to the job of the run it repeats.
    """
    if job := tags.get(JOB_TAG):
        return Asking(job, "launch", continues=False)
    if backfill := tags.get(BACKFILL_TAG):
        return Asking(f"backfill-{backfill}", "backfill", continues=True)
    return Asking(f"run-{tags.get(ROOT_RUN_TAG) or run_id}", "run", continues=True)


def job_for(ledger: Ledger, catalog: Catalog, asking: Asking, cells: Sequence[Cell]) -> Job:
    """The job that this asking works on, made when there is none.

    A fresh ask of cells that a recent job has not settled yet (its run was killed) goes on with
    that job, because its calls may be running or done: attaching costs nothing, asking again does.
    """
    if existing := ledger.job(asking.jobspec_id):
        return existing
    if asking.continues and (unfinished := unfinished_job(ledger, cells)):
        return unfinished
    return ledger.ensure_job(
        asking.jobspec_id, source=asking.source, catalog=catalog.name, catalog_digest=catalog.digest
    )


def unfinished_job(ledger: Ledger, cells: Sequence[Cell], now: datetime | None = None) -> Job | None:
    """The newest recent job in which some of these cells are not settled."""
    job = ledger.latest_job_with_open(cells)
    now = now or datetime.now(UTC)
    return job if job and now - job.created_at < CONTINUED_WITHIN else None
