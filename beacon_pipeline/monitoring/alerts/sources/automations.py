"""Sensors and schedules that fail, read from their ticks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg

from beacon_pipeline.links import automation_path
from beacon_pipeline.monitoring.alerts.causes import TICK_FAILED
from beacon_pipeline.monitoring.alerts.grouping import Failing, Observation, Passing
from beacon_pipeline.monitoring.alerts.sources.dagster_errors import innermost

if TYPE_CHECKING:
    # What the instance gives has no public name.
    from dagster._core.scheduler.instigation import InstigatorState, InstigatorTick  # noqa: TID251

LOOKED_BACK = 10  # ticks of one sensor or schedule; whether it fails now, the newest one says

# By their values: Dagster has no public name for these words.
FAILURE, FINISHED = "FAILURE", ("FAILURE", "SUCCESS", "SKIPPED")


def read_ticks(
    instance: dg.DagsterInstance, location: str | None, seen: Mapping[str, int]
) -> tuple[list[Observation], dict[str, int]]:
    """What the ticks of every sensor and schedule say since the last look, and the newest ones seen.

    Of one that was never looked at, its newest tick says how it is. ``location`` limits it to one
    code location; ``seen`` has the newest tick of each by its selector.
    """
    found: list[Observation] = []
    newest = dict(seen)
    for of_location, state in instigators(instance, location):
        kind, last = state.instigator_type.value.lower(), seen.get(state.selector_id)
        ticks = instance.get_ticks(
            state.instigator_origin_id, state.selector_id, limit=1 if last is None else LOOKED_BACK
        )
        fresh = [t for t in ticks if t.status.value in FINISHED and (last is None or t.tick_id > last)]
        fresh.sort(key=lambda tick: tick.tick_id)
        if fresh:
            newest[state.selector_id] = fresh[-1].tick_id
        link = automation_path(of_location, kind, state.name)
        found += _observations(fresh, f"{kind} {state.name}", link)
    return found, newest


def instigators(instance: dg.DagsterInstance, location: str | None) -> Iterator[tuple[str, InstigatorState]]:
    """Every sensor and schedule that Dagster knows, after the name of its code location."""
    for state in instance.all_instigator_state():
        of_location = state.origin.repository_origin.code_location_origin.location_name
        if location in (None, of_location):
            yield of_location, state


def _observations(ticks: Sequence[InstigatorTick], subject: str, link: str) -> Iterator[Observation]:
    for tick in ticks:
        at = datetime.fromtimestamp(tick.end_timestamp or tick.timestamp, UTC)
        if tick.status.value == FAILURE:
            reason = innermost(tick.error) if tick.error else "no error was recorded"
            yield Failing(TICK_FAILED, None, subject, at, detail=reason, link=link)
        else:
            yield Passing(TICK_FAILED, subject, at)
