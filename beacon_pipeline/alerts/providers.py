"""Providers that gave reconciliation no word, read from where its sensor keeps them."""

from __future__ import annotations

import dagster as dg

from beacon_pipeline.alerts.causes import PROVIDER_UNREACHABLE
from beacon_pipeline.alerts.incidents import Failing, Level
from beacon_pipeline.alerts.links import automation_path
from beacon_pipeline.healing.tick import SENSOR, Cursor


def read_providers(instance: dg.DagsterInstance, location: str | None) -> Level:
    """Every provider that executions wait for, as of the newest tick of reconciliation.

    Of a sensor that is switched off nothing is said. ``location`` limits it to one code location.
    """
    found = []
    for state in instance.all_instigator_state():
        of_location = state.origin.repository_origin.code_location_origin.location_name
        if state.name != SENSOR or location not in (None, of_location) or not state.is_running:
            continue
        cursor = Cursor.read(getattr(state.instigator_data, "cursor", None))
        link = automation_path(of_location, "sensor", state.name)
        found += [
            Failing(PROVIDER_UNREACHABLE, None, provider, trouble.since, trouble.what, link=link)
            for provider, trouble in cursor.unreachable.items()
        ]
    return Level(PROVIDER_UNREACHABLE, tuple(found))
