"""What reconciliation cannot put right, read from where its sensor keeps it."""

from __future__ import annotations

import dagster as dg

from beacon_pipeline.links import asset_path, automation_path
from beacon_pipeline.monitoring.alerts.causes import HEALING_GAVE_UP, PROVIDER_UNREACHABLE
from beacon_pipeline.monitoring.alerts.grouping import Failing, Snapshot
from beacon_pipeline.monitoring.alerts.sources.automations import instigators
from beacon_pipeline.names import INFERENCE
from beacon_pipeline.reconciliation.tick import SENSOR, Cursor


def read_troubles(instance: dg.DagsterInstance, location: str | None) -> list[Snapshot]:
    """Providers that executions wait for, and partitions that healing runs did not put right.

    As of the newest tick of reconciliation; a sensor that is switched off reports nothing.
    ``location`` limits it to one code location.
    """
    unreachable, gave_up = [], []
    for of_location, state in instigators(instance, location):
        if state.name != SENSOR or not state.is_running:
            continue
        cursor = Cursor.read(getattr(state.instigator_data, "cursor", None))
        link = automation_path(of_location, "sensor", state.name)
        unreachable += [
            Failing(PROVIDER_UNREACHABLE, None, provider, trouble.since, trouble.what, link=link)
            for provider, trouble in cursor.unreachable.items()
        ]
        asset = INFERENCE.to_user_string()
        gave_up += [
            Failing(HEALING_GAVE_UP, None, key, trouble.since, trouble.what, link=asset_path(asset, key))
            for key, trouble in cursor.gave_up.items()
        ]
    return [Snapshot(PROVIDER_UNREACHABLE, tuple(unreachable)), Snapshot(HEALING_GAVE_UP, tuple(gave_up))]
