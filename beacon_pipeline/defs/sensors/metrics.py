"""The sensor that keeps the figures of ``status_metrics`` fresh, without a run."""

import json
import time
from dataclasses import asdict

import dagster as dg

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.defs.assets.status_metrics import metrics_events
from beacon_pipeline.execution.resources import LedgerResource
from beacon_pipeline.monitoring.metrics import Refresh
from beacon_pipeline.names import INFERENCE

INTERVAL_SECONDS = 30
WHILE_BUSY_SECONDS = 300


def metrics_sensor(
    catalog: Catalog,
    interval_seconds: int = INTERVAL_SECONDS,
    while_busy_seconds: float = WHILE_BUSY_SECONDS,
) -> dg.SensorDefinition:
    """The sensor ``refresh_status_metrics``.

    It reports events itself: figures that wait in the queue of runs would say nothing of a queue
    that is stuck.
    """

    @dg.sensor(
        name="refresh_status_metrics",
        minimum_interval_seconds=interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Takes the figures when a job has ended or Dagster shows something else, "
        "every five minutes while a job goes on, and once a day while none does.",
    )
    def refresh_status_metrics(
        context: dg.SensorEvaluationContext, ledger: dg.ResourceParam[LedgerResource]
    ) -> dg.SensorResult | dg.SkipReason:
        last = Refresh(**json.loads(context.cursor)) if context.cursor else Refresh()
        with ledger.open() as opened:
            unsettled = opened.executions.count_unsettled()
            shown = context.instance.fetch_materializations(INFERENCE, limit=1).records
            now = Refresh(
                opened.executions.newest_transition(), shown[0].storage_id if shown else 0, time.time()
            )
            if not last.is_due(now, unsettled=unsettled, while_busy=while_busy_seconds):
                return dg.SkipReason(f"{unsettled} executions unsettled, nothing ended since")
            events = list(metrics_events(opened, context.instance, catalog))
        return dg.SensorResult(asset_events=events, cursor=json.dumps(asdict(now)))

    return refresh_status_metrics
