"""The sensor that heals: each tick looks at a bounded part of the record and requests runs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.execution.resources import LedgerResource, ProvidersResource
from beacon_pipeline.instance.dead_runs import end_dead_runs
from beacon_pipeline.jobs.dagster_api import Launch
from beacon_pipeline.names import RANGE_START_TAG
from beacon_pipeline.reconciliation.request_again import failed_runs_to_repeat
from beacon_pipeline.reconciliation.tick import SENSOR, Cursor, Reconciliation
from beacon_pipeline.reconciliation.unchecked import check_runs

INTERVAL_SECONDS = 30


def reconciliation_sensor(
    catalog: Catalog,
    jobs: Sequence[Any],  # what `dg.define_asset_job` returns has no public type
    interval_seconds: int = INTERVAL_SECONDS,
) -> dg.SensorDefinition:
    """The sensor ``reconciliation``, on from the start.

    ``jobs`` are those it requests runs of: that of inference, and the repeatable ones.
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
        repeated = failed_runs_to_repeat(context.instance)
        for run_id in repeated:
            context.log.info(f"run {run_id} failed: what it was to do is requested again")
        requests = [
            *(_request(run.launch(catalog), run.run_key) for run in tick.runs),
            *_check_requests(catalog, "unknown", tick.unknown),
            *_check_requests(catalog, "unchecked", tick.unchecked),
            *(_request(launch, f"again:{run_id}") for run_id, launch in repeated.items()),
        ]
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else dg.SkipReason(tick.summary),
            cursor=tick.cursor.model_dump_json(),
        )

    return reconciliation


def _request(launch: Launch, run_key: str) -> dg.RunRequest:
    return dg.RunRequest(job_name=launch.job_name, run_key=run_key, tags=dict(launch.tags))


def _check_requests(catalog: Catalog, why: str, partitions: Mapping[str, int]) -> Iterator[dg.RunRequest]:
    """Runs that report the checks of these partitions. What the ledger knows nothing of shows as a failing
    one. ``partitions``: key -> storage id of what it shows."""
    newest = hashlib.sha256(repr(sorted(partitions.items())).encode()).hexdigest()[:16]
    for launch in check_runs(catalog, partitions):
        yield _request(launch, f"{why}:{launch.tags[RANGE_START_TAG]}:{newest}")
