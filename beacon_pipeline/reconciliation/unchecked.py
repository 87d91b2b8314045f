"""Partitions that a dead run materialized and whose checks it had no time to report.

Dagster shows such a partition as green, without a check: an answer from another region would look as good
as any. A check run reports them from the record; it asks no model.
"""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg

from beacon_pipeline.names import INFERENCE
from beacon_pipeline.reconciliation.checks import CheckName
from beacon_pipeline.reconciliation.view import newest_materializations

_EVENTS = {dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_CHECK_EVALUATION}


def unchecked_partitions(instance: dg.DagsterInstance, ended: Iterable[dg.DagsterRun]) -> dict[str, int]:
    """The partitions that still show what one of these runs left without checks, by key: the storage id of
    the materialization.

    A run that came to its own end reported all that it had to: only the others are read.
    """
    left = {run.run_id: _left_unchecked(instance, run.run_id) for run in ended if _was_cut_off(instance, run)}
    newest = newest_materializations(instance, sorted(set[str]().union(*left.values())))
    return {
        key: shown.target.storage_id
        for key, shown in newest.items()
        if key in left.get(shown.target.run_id, ())
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
