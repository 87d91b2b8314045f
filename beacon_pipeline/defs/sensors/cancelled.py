"""The sensor that settles what a cancelled run left open."""

import dagster as dg

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.execution.resources import LedgerResource, ProvidersResource
from beacon_pipeline.jobs.cancel import cancel_executions_of

INTERVAL_SECONDS = 30


def cancelled_runs_sensor(catalog: Catalog, interval_seconds: int = INTERVAL_SECONDS) -> dg.SensorDefinition:
    """The sensor ``cancelled_runs``.

    A run that is terminated while it works cancels its calls itself. One that was still queued, or
    was marked as cancelled by force, leaves its executions open: a person ended it, so they are
    cancelled, and they are asked again only on purpose.
    """

    @dg.run_status_sensor(
        name="cancelled_runs",
        run_status=dg.DagsterRunStatus.CANCELED,
        minimum_interval_seconds=interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Cancels the executions that a cancelled run left pending or in flight.",
    )
    def cancelled_runs(
        context: dg.RunStatusSensorContext,
        ledger: dg.ResourceParam[LedgerResource],
        providers: dg.ResourceParam[ProvidersResource],
    ) -> dg.SkipReason:
        run = context.dagster_run
        with ledger.open() as opened:
            settled = cancel_executions_of(run, opened, context.instance, catalog, providers)
        return dg.SkipReason(f"run {run.run_id} was cancelled and left {settled} executions open")

    return cancelled_runs
