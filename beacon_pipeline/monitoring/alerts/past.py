"""What was reported in the past, for whoever reads the record later: which alert, about what, from when
until when.

It lies beside what alerts must remember, in a value of its own that is written only when an alert ends:
the other one is written after every delivery and has to stay small.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from beacon_pipeline.monitoring.alerts.grouping import Alert

if TYPE_CHECKING:
    import dagster as dg

KEY = "beacon/alerts/past/1"  # the number changes with the shape of the value
KEPT = 2000  # the newest


@dataclass(frozen=True, slots=True)
class AlertSpan:
    """Something was found wrong and reported: ``subject`` (a partition, a run's work, a sensor) of a job.

    ``until`` is None while it is wrong.
    """

    cause: str
    job: str | None
    subject: str
    since: datetime
    until: datetime | None = None


_ADAPTER = TypeAdapter(list[AlertSpan])


def spans_of(alerts: Iterable[Alert]) -> list[AlertSpan]:
    """What is wrong now."""
    return [
        AlertSpan(alert.cause, alert.job, subject, since)
        for alert in alerts
        for subject, since in alert.open.items()
    ]


def ended(before: Iterable[Alert], after: Iterable[Alert], now: datetime) -> list[AlertSpan]:
    """What was wrong before and is no longer, in the order in which it was found."""
    still = {(span.cause, span.job, span.subject) for span in spans_of(after)}
    gone = (span for span in spans_of(before) if (span.cause, span.job, span.subject) not in still)
    return [AlertSpan(one.cause, one.job, one.subject, one.since, now) for one in gone]


def load(instance: dg.DagsterInstance) -> list[AlertSpan]:
    """What ended, oldest first; nothing where what is stored is of another version."""
    stored = instance.daemon_cursor_storage.get_cursor_values({KEY}).get(KEY)
    try:
        return [] if stored is None else _ADAPTER.validate_json(stored)
    except ValidationError:  # it only informs: alerts themselves do without it
        return []


def add(instance: dg.DagsterInstance, spans: Sequence[AlertSpan]) -> None:
    """Remember what ended; the oldest is let go."""
    if spans:
        kept = [*load(instance), *spans][-KEPT:]
        instance.daemon_cursor_storage.set_cursor_values({KEY: _ADAPTER.dump_json(kept).decode()})
