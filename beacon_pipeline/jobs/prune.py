"""Which of Dagster's runs can be deleted. The ledger keeps every answer, whatever becomes of its run.

Deleting a run deletes its events, and with them the materializations that make partitions green. So a run
stays while it is unfinished, while its job is, and while it holds the newest materialization of anything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from pathlib import Path

import dagster as dg

from beacon_pipeline.jobs.runs import UNFINISHED
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.names import JOB_TAG

AT_ONCE = 500
ENDED = [status for status in dg.DagsterRunStatus if status not in UNFINISHED]


def prunable_runs(ledger: Ledger, instance: dg.DagsterInstance, before: datetime) -> Iterator[str]:
    """The ids of the runs made before a moment that may be deleted, newest first."""
    needed = set(_runs_of_newest_materializations(instance))
    open_jobs = ledger.jobs.open_names()
    cursor = None
    while True:
        wanted = dg.RunsFilter(statuses=ENDED, created_before=before)
        runs = instance.get_runs(wanted, cursor=cursor, limit=AT_ONCE)
        for run in runs:
            if run.run_id not in needed and run.tags.get(JOB_TAG) not in open_jobs:
                yield run.run_id
        if len(runs) < AT_ONCE:
            return
        cursor = runs[-1].run_id


def delete_runs(instance: dg.DagsterInstance, run_ids: Collection[str]) -> None:
    """Delete these runs and all their events; on SQLite their files too, which Dagster leaves empty."""
    shards = getattr(instance.event_log_storage, "path_for_shard", None)
    for run_id in run_ids:
        instance.delete_run(run_id)
        if shards is not None:
            for suffix in ("", "-wal", "-shm"):
                Path(f"{shards(run_id)}{suffix}").unlink(missing_ok=True)


def _runs_of_newest_materializations(instance: dg.DagsterInstance) -> Iterator[str]:
    for key in instance.all_asset_keys():
        latest = instance.get_latest_materialization_event(key)
        if latest is not None:
            yield latest.run_id
        newest = instance.get_latest_storage_id_by_partition(key, dg.DagsterEventType.ASSET_MATERIALIZATION)
        ids = sorted(newest.values())
        for start in range(0, len(ids), AT_ONCE):
            wanted = dg.AssetRecordsFilter(asset_key=key, storage_ids=ids[start : start + AT_ONCE])
            yield from (r.run_id for r in instance.fetch_materializations(wanted, limit=AT_ONCE).records)
