"""Runs that follow from the record, requested again when they failed: comparisons, findings, checks.

A sensor or a schedule requests each of them once. They ask no model, so nothing is paid for by repeating
them. Dagster's own `run_retries` is not used: its daemon gives a retry up for good where the code server
cannot be reached at that moment, which is so when the code server died with its runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import takewhile

import dagster as dg

from beacon_pipeline.jobs.dagster_api import REPEATABLE_JOBS, Launch
from beacon_pipeline.jobs.runs import work_of
from beacon_pipeline.names import (
    COMPARED_TAG,
    PARTITION_TAG,
    RANGE_END_TAG,
    RANGE_START_TAG,
    SCHEDULE_NAME_TAG,
    SENSOR_NAME_TAG,
)

TRIES = 3  # after the first; whatever fails so often needs a person, whom the open alert tells of it
LOOKED_BACK = timedelta(days=1)  # by when a run ended: one that died while all was off ends when it is found
KEPT_TAGS = (PARTITION_TAG, RANGE_START_TAG, RANGE_END_TAG, COMPARED_TAG)


def failed_runs_to_repeat(instance: dg.DagsterInstance, now: datetime | None = None) -> dict[str, Launch]:
    """What to launch again, by the id of the run that failed. Changes nothing.

    A person's runs are theirs to repeat, and what a person ended is no failure.
    """
    since = (now or datetime.now(UTC)) - LOOKED_BACK
    failure = [dg.DagsterRunStatus.FAILURE]
    found: dict[str, Launch] = {}
    for name in REPEATABLE_JOBS:
        if not instance.get_runs_count(dg.RunsFilter(job_name=name, statuses=failure, updated_after=since)):
            continue
        runs = instance.get_runs(dg.RunsFilter(job_name=name, updated_after=since))
        for run in last_failed(runs):
            tags = {key: run.tags[key] for key in KEPT_TAGS if key in run.tags}
            found[run.run_id] = Launch(name, tags)
    return found


def last_failed(runs: Sequence[dg.DagsterRun]) -> Iterator[dg.DagsterRun]:
    """The newest run of each work that failed last, and not too often in a row. Pure; newest first."""
    by_work: dict[str, list[dg.DagsterRun]] = {}
    for run in runs:
        by_work.setdefault(work_of(run), []).append(run)
    for of_work in by_work.values():
        failed = list(takewhile(lambda run: run.status is dg.DagsterRunStatus.FAILURE, of_work))
        if 0 < len(failed) <= TRIES and any(map(_was_requested, failed)):
            yield failed[0]


def _was_requested(run: dg.DagsterRun) -> bool:
    return SENSOR_NAME_TAG in run.tags or SCHEDULE_NAME_TAG in run.tags
