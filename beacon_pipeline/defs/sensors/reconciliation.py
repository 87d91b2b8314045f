"""The sensor that heals: each tick looks at a bounded part of the record and requests runs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.catalog.partitions import cell_of, key_ranges
from beacon_pipeline.execution.resources import LedgerResource, ProvidersResource
from beacon_pipeline.instance.dead_runs import end_dead_runs
from beacon_pipeline.jobs.dagster_api import CHECKS_JOB
from beacon_pipeline.names import RANGE_END_TAG, RANGE_START_TAG
from beacon_pipeline.reconciliation.tick import SENSOR, Cursor, Reconciliation

INTERVAL_SECONDS = 30


def reconciliation_sensor(
    catalog: Catalog,
    jobs: Sequence[Any],  # what `dg.define_asset_job` returns has no public type
    interval_seconds: int = INTERVAL_SECONDS,
) -> dg.SensorDefinition:
    """The sensor ``reconciliation``, on from the start.

    ``jobs`` are those it requests runs of: that of inference, and that of its checks.
    """

    @dg.sensor(
        name=SENSOR,
        jobs=jobs,
        minimum_interval_seconds=interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Compare provider, ledger and Dagster, and request runs for what disagrees.",
    )
    def reconciliation(
        context: dg.SensorEvaluationContext,
        ledger: dg.ResourceParam[LedgerResource],
        providers: dg.ResourceParam[ProvidersResource],
    ) -> dg.SensorResult:
        for run_id, why in end_dead_runs(context.instance).items():
            context.log.warning(f"run {run_id} is dead: {why}")
        with ledger.open() as opened:
            looking = Reconciliation(opened, context.instance, catalog, providers)
            tick = looking.tick(Cursor.read(context.cursor))
        context.log.info(tick.summary)
        healing = [
            dg.RunRequest(job_name=launch.job_name, run_key=run.run_key, tags=dict(launch.tags))
            for run in tick.runs
            for launch in [run.launch(catalog)]
        ]
        checks = [
            *_check_runs(catalog, "unknown", tick.unknown),
            *_check_runs(catalog, "unchecked", tick.unchecked),
        ]
        requests = [*healing, *checks]
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else dg.SkipReason(tick.summary),
            cursor=tick.cursor.model_dump_json(),
        )

    return reconciliation


def _check_runs(catalog: Catalog, why: str, partitions: Mapping[str, int]) -> Iterator[dg.RunRequest]:
    """Runs that report the checks of these partitions, one for each range; they ask no model. What the
    ledger knows nothing of shows as a failing one. ``partitions``: key -> storage id of what it shows."""
    for keys in key_ranges(catalog, [cell_of(key) for key in partitions]):
        newest = hashlib.sha256(repr(sorted(partitions.items())).encode()).hexdigest()[:16]
        tags = {RANGE_START_TAG: keys.start, RANGE_END_TAG: keys.end}
        yield dg.RunRequest(job_name=CHECKS_JOB, run_key=f"{why}:{keys.start}:{newest}", tags=tags)
