"""The sensor that keeps the figures of ``status_metrics`` fresh, without a run."""

import json
import time

import dagster as dg

from beacon_pipeline.assets.metrics import metrics_events
from beacon_pipeline.catalog import Catalog
from beacon_pipeline.metrics import Refresh
from beacon_pipeline.resources import LedgerResource

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
        description="Takes the figures when a job has ended, and every five minutes while one goes on.",
    )
    def refresh_status_metrics(
        context: dg.SensorEvaluationContext, ledger: dg.ResourceParam[LedgerResource]
    ) -> dg.SensorResult | dg.SkipReason:
        last = Refresh(**json.loads(context.cursor)) if context.cursor else Refresh(0, 0.0)
        now = time.time()
        with ledger.open() as opened:
            newest, unsettled = opened.newest_transition(), opened.unsettled()
            due = last.is_due(
                newest_transition=newest, unsettled=unsettled, now=now, while_busy=while_busy_seconds
            )
            if not due:
                return dg.SkipReason(f"{unsettled} executions unsettled, nothing ended since")
            events = list(metrics_events(context.instance, opened, catalog))
        cursor = json.dumps({"transition": newest, "at": now})
        return dg.SensorResult(asset_events=events, cursor=cursor)

    return refresh_status_metrics
