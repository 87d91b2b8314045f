"""Partitions that a dead run materialized and whose checks it had no time to report.

Dagster shows such a partition as green, without a check: an answer from another region would look as good
as any. A check run reports them from the record; it asks no model.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import dagster as dg

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.catalog.partitions import cell_of, key_of, key_ranges
from beacon_pipeline.jobs.dagster_api import CHECKS_JOB, Launch
from beacon_pipeline.jobs.runs import cells_of_run
from beacon_pipeline.names import INFERENCE, RANGE_END_TAG, RANGE_START_TAG
from beacon_pipeline.reconciliation.checks import CheckName
from beacon_pipeline.reconciliation.view import newest_materializations

_EVENTS = {dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_CHECK_EVALUATION}


def unchecked_partitions(
    instance: dg.DagsterInstance, catalog: Catalog, ended: Iterable[dg.DagsterRun]
) -> dict[str, int]:
    """The partitions that still show what one of these runs left without checks, by key: the storage id of
    the materialization.

    A run that came to its own end reported all that it had to: only the others are read. What a run of the
    checks has looked at since is not among them.
    """
    left = {run.run_id: _left_unchecked(instance, run.run_id) for run in ended if _was_cut_off(instance, run)}
    newest = newest_materializations(instance, sorted(set[str]().union(*left.values())))
    lacking = {key: shown.target for key, shown in newest.items() if key in left.get(shown.target.run_id, ())}
    if not lacking:
        return {}
    since = min(target.timestamp for target in lacking.values())
    checked = _checked_at(instance, catalog, datetime.fromtimestamp(since, UTC))
    return {
        key: target.storage_id for key, target in lacking.items() if checked.get(key, 0.0) <= target.timestamp
    }


def check_runs(catalog: Catalog, partitions: Iterable[str]) -> list[Launch]:
    """Runs that report the checks of these partitions, one for each range; they ask no model."""
    return [
        Launch(CHECKS_JOB, {RANGE_START_TAG: keys.start, RANGE_END_TAG: keys.end})
        for keys in key_ranges(catalog, [cell_of(key) for key in partitions])
    ]


def _checked_at(instance: dg.DagsterInstance, catalog: Catalog, since: datetime) -> dict[str, float]:
    """When the newest run of the checks that looked at a partition since then began, by partition key."""
    done = dg.RunsFilter(job_name=CHECKS_JOB, statuses=[dg.DagsterRunStatus.SUCCESS], updated_after=since)
    return {
        key_of(cell): record.start_time or 0.0
        for record in reversed(instance.get_run_records(done))
        for cell in cells_of_run(catalog, record.dagster_run.tags)
    }


def _was_cut_off(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    return not instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)


def _left_unchecked(instance: dg.DagsterInstance, run_id: str) -> set[str]:
    """The partitions after whose materialization the run did not report every check."""
    lacking: dict[str | None, set[str]] = {}
    for entry in instance.all_logs(run_id, of_type=_EVENTS):
        event = entry.dagster_event
        if event is None:
            continue
        if event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION:
            if event.asset_key == INFERENCE:
                lacking[event.partition] = {name.value for name in CheckName}
        else:
            evaluation = event.asset_check_evaluation_data
            lacking.get(evaluation.partition, set()).discard(evaluation.check_name)
    return {key for key, names in lacking.items() if names and key is not None}
