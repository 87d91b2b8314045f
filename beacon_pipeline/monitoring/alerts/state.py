"""What alerts must remember: how far was read, what is open, and what is still to be delivered.

It is one value in Dagster's own key-value storage, written after every single delivery, and not
the sensor's cursor: that one is stored only when a tick has ended (a daemon killed in between
would report everything again), is copied into the row of every tick, and is not stored at all when
a person tests the sensor in the UI. Beacon's ledger is no place for it either: when the ledger
is down, alerts must still go out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import dagster as dg
from pydantic import TypeAdapter, ValidationError

from beacon_pipeline.errors import BeaconError
from beacon_pipeline.monitoring.alerts.grouping import Alert
from beacon_pipeline.monitoring.alerts.messages import Message

KEY = "beacon/alerts/1"  # the number changes with the shape of the value


@dataclass
class RunPosition:
    """How far the events of one run were read."""

    created_at: datetime
    cursor: str | None = None
    ended: bool = False  # its end was observed
    done: bool = False  # nothing more is to come


@dataclass
class Positions:
    """How far the events of runs were read."""

    runs_created_since: datetime
    runs: dict[str, RunPosition] = field(default_factory=dict)
    reported: str | None = None  # check evaluations that were reported in no run


@dataclass
class TargetState:
    """How a target fared that could not be reached."""

    failures: int
    not_before: datetime


@dataclass
class AlertState:
    """All of it."""

    positions: Positions | None = None
    ticks: dict[str, int] = field(default_factory=dict)  # selector of a sensor or schedule: newest tick
    alerts: list[Alert] = field(default_factory=list)
    outbox: list[Message] = field(default_factory=list)
    targets: dict[str, TargetState] = field(default_factory=dict)


_ADAPTER = TypeAdapter(AlertState)


class MemoryUnreadable(BeaconError):
    """What is stored is not a memory: written by another version, or by other hands."""


def load(instance: dg.DagsterInstance) -> AlertState:
    """What was saved last, or an empty memory. Raises MemoryUnreadable."""
    stored = instance.daemon_cursor_storage.get_cursor_values({KEY}).get(KEY)
    if stored is None:
        return AlertState()
    try:
        return _ADAPTER.validate_json(stored)
    except ValidationError as error:
        raise MemoryUnreadable(f"{error.error_count()} faults in what was remembered of alerts") from None


def save(instance: dg.DagsterInstance, memory: AlertState) -> None:
    """Replace what is remembered."""
    instance.daemon_cursor_storage.set_cursor_values({KEY: _ADAPTER.dump_json(memory).decode()})
