"""What the ledger says is wrong at this moment, as levels."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from beacon_pipeline.catalog import Settings
from beacon_pipeline.catalog.partitions import key_of
from beacon_pipeline.escaping import one_line
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import ExecutionSummary
from beacon_pipeline.ledger.status import Status
from beacon_pipeline.links import asset_path
from beacon_pipeline.monitoring.alerts.causes import (
    DEAD_LETTERED,
    MISSING,
    REGION_IMBALANCE,
    RUN_FAILED,
    TIMED_OUT,
)
from beacon_pipeline.monitoring.alerts.grouping import WATCHED_FOR, Failing, JobHealed, Observation, Snapshot
from beacon_pipeline.monitoring.metrics import completion_rates
from beacon_pipeline.names import INFERENCE

ASSET = INFERENCE.to_user_string()
LOOKED_AT = 5000  # executions of one kind at most in one tick, the oldest

StatusesByRegion = Mapping[str, Mapping[Status, int]]


def read_record(
    ledger: Ledger, settings: Settings, failed_jobs: Iterable[str], now: datetime
) -> list[Observation]:
    """Executions without an answer past the deadline, over their time limit, or given up; regions
    that stay behind; and which of ``failed_jobs``, jobs with a failed run, have every answer now.

    Raises LedgerUnavailable, also when only writing is impossible.
    """
    ledger.check_writable()
    ended = ledger.executions.with_status(
        [Status.FAILED, Status.TIMED_OUT], since=now - WATCHED_FOR, until=now, limit=LOOKED_AT
    )
    failed_jobs = set(failed_jobs)
    counts = ledger.aggregates.statuses_by_region({e.job_name for e in ended} | failed_jobs)
    working = {job for job, regions in counts.items() if not is_finished(regions)}
    timed_out = [e for e in ended if e.status is Status.TIMED_OUT]
    dead = [e for e in ended if e.status is Status.FAILED and e.dead_lettered_at is not None]
    return [
        Snapshot(MISSING, tuple(missing_of(*_overdue(ledger, settings, now)))),
        Snapshot(TIMED_OUT, tuple(_failing(TIMED_OUT, e, working) for e in timed_out)),
        Snapshot(DEAD_LETTERED, tuple(_failing(DEAD_LETTERED, e, working) for e in dead)),
        imbalance_of(counts, settings.region_imbalance, now),
        *(JobHealed(RUN_FAILED, job) for job in sorted(failed_jobs) if is_complete(counts.get(job, {}))),
    ]


def _overdue(ledger: Ledger, settings: Settings, now: datetime) -> tuple[list[ExecutionSummary], set[str]]:
    deadline = now - timedelta(seconds=settings.deadline_seconds)
    overdue = ledger.executions.with_status(
        [Status.PENDING, Status.DISPATCHED], since=now - WATCHED_FOR, until=deadline, limit=LOOKED_AT
    )
    return overdue, ledger.jobs.moving(deadline) if overdue else set()


def missing_of(overdue: Sequence[ExecutionSummary], moving: set[str]) -> list[Failing]:
    """Which executions past their deadline are missing.

    One that waits for its turn in a job that is at work is not.
    """
    return [
        _failing(MISSING, standing)
        for standing in overdue
        if standing.status is Status.DISPATCHED or standing.job_name not in moving
    ]


def imbalance_of(jobs: Mapping[str, StatusesByRegion], threshold: float, now: datetime) -> Snapshot:
    """The regions of finished jobs whose completion rate is behind the best by more than ``threshold``.

    A job that is not finished is not judged; cancelled executions count for nothing.
    """
    found = []
    undecided = frozenset(job for job, regions in jobs.items() if not is_finished(regions))
    for job in sorted(jobs.keys() - undecided):
        rates = completion_rates(jobs[job])
        best = max(rates.values(), default=0.0)
        for region, rate in sorted(rates.items()):
            if best - rate > threshold:
                detail = f"{rate:.0%} completed, the best region {best:.0%}"
                found.append(Failing(REGION_IMBALANCE, job, region, now, detail, link=asset_path(ASSET)))
    return Snapshot(REGION_IMBALANCE, tuple(found), undecided)


def is_finished(regions: StatusesByRegion) -> bool:
    """Whether every execution of a job is settled."""
    return all(status.is_terminal for statuses in regions.values() for status in statuses)


def is_complete(regions: StatusesByRegion) -> bool:
    """Whether a job has executions, and an answer for every one."""
    return bool(regions) and all(set(statuses) == {Status.COMPLETED} for statuses in regions.values())


def _failing(cause: str, standing: ExecutionSummary, working: Collection[str] = ()) -> Failing:
    key = key_of(standing.cell)
    return Failing(
        cause,
        standing.job_name,
        key,
        standing.updated_at,
        detail=_detail(standing),
        link=asset_path(ASSET, key),
        more_may_come=standing.job_name in working,
    )


def _detail(standing: ExecutionSummary) -> str:
    if standing.failure_code is None:
        return f"{standing.status.value} since {standing.updated_at:%Y-%m-%d %H:%M} UTC"
    message = one_line(standing.failure_message or "")
    return f"{standing.failure_code}: {message}" if message else standing.failure_code
