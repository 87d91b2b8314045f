"""The sensor that heals: each tick looks at a bounded part of the record and requests runs."""

from __future__ import annotations

import dagster as dg

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.healing.tick import Cursor, Reconciliation
from beacon_pipeline.launch import INFERENCE_JOB
from beacon_pipeline.resources import LedgerResource, ProvidersResource

SECONDS_BETWEEN_TICKS = 30


def reconciliation_sensor(catalog: Catalog) -> dg.SensorDefinition:
    """The sensor ``reconciliation``, on from the start."""

    @dg.sensor(
        name="reconciliation",
        job_name=INFERENCE_JOB,
        minimum_interval_seconds=SECONDS_BETWEEN_TICKS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Compare provider, ledger and Dagster, and request runs for what disagrees.",
    )
    def reconciliation(
        context: dg.SensorEvaluationContext,
        ledger: dg.ResourceParam[LedgerResource],
        providers: dg.ResourceParam[ProvidersResource],
    ) -> dg.SensorResult:
        with ledger.open() as opened:
            looking = Reconciliation(opened, context.instance, catalog, providers)
            tick = looking.tick(Cursor.read(context.cursor))
        context.log.info(tick.summary)
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(run_key=run.run_key, tags=dict(run.launch(catalog).tags)) for run in tick.runs
            ],
            skip_reason=None if tick.runs else dg.SkipReason(tick.summary),
            asset_events=tick.evaluations,
            cursor=tick.cursor.model_dump_json(),
        )

    return reconciliation
