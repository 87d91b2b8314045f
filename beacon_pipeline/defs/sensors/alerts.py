"""The sensor that reports when something is wrong, and when it is right again."""

import dagster as dg

from beacon_pipeline import environment
from beacon_pipeline.catalog import Catalog
from beacon_pipeline.execution.resources import LedgerResource


def alert_sensor(catalog: Catalog) -> dg.SensorDefinition:
    """The sensor ``alerts``. Raises SettingsError for an interval that is no number."""

    @dg.sensor(
        minimum_interval_seconds=environment.alert_interval_seconds(),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reports what is wrong to the targets in BEACON_ALERT_URLS, once, and when it healed.",
    )
    def alerts(
        context: dg.SensorEvaluationContext, ledger: dg.ResourceParam[LedgerResource]
    ) -> dg.SkipReason:
        # Here, because it takes Apprise along, and every run's process loads this module.
        from beacon_pipeline.monitoring.alerts.tick import TickInProgress, watch

        origin = context.code_location_origin
        try:
            done = watch(context.instance, ledger.open, catalog, origin.location_name if origin else None)
        except TickInProgress as reason:
            return dg.SkipReason(str(reason))
        for message in done.sent:
            context.log.warning(environment.masked(f"{message.title}\n{message.body}"))
        return dg.SkipReason(done.summary())

    return alerts
