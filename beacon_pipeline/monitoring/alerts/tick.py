"""One round of alerts: look at every source, decide what to report, deliver it, remember each step.

No source and no target can make a round fail: one that cannot be read becomes an alert itself,
and one that cannot be reached is tried again in later rounds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

import dagster as dg
from filelock import FileLock, Timeout

from beacon_pipeline import environment
from beacon_pipeline.catalog import Catalog
from beacon_pipeline.escaping import one_line
from beacon_pipeline.ledger import Ledger, LedgerUnavailable
from beacon_pipeline.monitoring.alerts import delivery, past
from beacon_pipeline.monitoring.alerts import state as memories
from beacon_pipeline.monitoring.alerts.causes import LEDGER_UNAVAILABLE, RUN_FAILED, SOURCE_UNREADABLE
from beacon_pipeline.monitoring.alerts.grouping import Failing, Observation, Passing, advance
from beacon_pipeline.monitoring.alerts.messages import Message, message_of
from beacon_pipeline.monitoring.alerts.sources.automations import read_ticks
from beacon_pipeline.monitoring.alerts.sources.ledger import read_record
from beacon_pipeline.monitoring.alerts.sources.reconciliation import read_troubles
from beacon_pipeline.monitoring.alerts.sources.runs import first_positions, read_runs
from beacon_pipeline.monitoring.alerts.state import AlertState, MemoryUnreadable
from beacon_pipeline.monitoring.alerts.targets import Target, send_all, targets_from_environment

LEDGER_PATIENCE_SECONDS = 10.0  # a database that takes longer to say anything is not to be used

OpenLedger = Callable[[], AbstractContextManager[Ledger]]
Read = Callable[[], Sequence[Observation]]
Result = TypeVar("Result")


@dataclass
class Round:
    """What one round sent, and how things are after it."""

    sent: list[Message] = field(default_factory=list)
    open_alerts: int = 0
    waiting: int = 0  # messages that some target has not got yet
    delivered: int = 0
    given_up: int = 0
    problems: tuple[str, ...] = ()  # of the configuration, one line each

    def summary(self) -> str:
        """One line for the tick."""
        counts = f"{self.open_alerts} open alerts, {len(self.sent)} new messages"
        fates = f"{self.delivered} messages delivered, {self.waiting} waiting"
        lost = f", {self.given_up} given up after three days" if self.given_up else ""
        return "; ".join([f"{counts}: {fates}{lost}", *self.problems])


class TickInProgress(Exception):
    """Another process is in the middle of a round; this one has nothing to do."""


def watch(
    instance: dg.DagsterInstance, open_ledger: OpenLedger, catalog: Catalog, location: str | None = None
) -> Round:
    """One round, over the runs and automations of a code location (default: of all).

    Raises TickInProgress, and whatever Dagster's own storage raises when it cannot be used at all.
    """
    try:
        # The daemon and a person who tests the sensor in the UI evaluate it in different processes.
        with FileLock(environment.home() / "alerts.lock", timeout=0):
            return _round(instance, open_ledger, catalog, location)
    except Timeout:
        raise TickInProgress("another process is looking right now") from None


def _round(
    instance: dg.DagsterInstance, open_ledger: OpenLedger, catalog: Catalog, location: str | None
) -> Round:
    now = datetime.now(UTC)
    targets = targets_from_environment()
    memory, recalled = _recall(instance, now)
    observations = _look(instance, open_ledger, catalog, location, memory, now)
    before = memory.alerts
    memory.alerts, notices = advance(before, [recalled, *observations], now)
    names = tuple(target.name for target in targets.usable)
    messages = [message_of(notice, environment.ui_url(), names) for notice in notices]
    memory.outbox, given_up = delivery.pruned([*memory.outbox, *messages], names, now)
    memory.targets = {name: state for name, state in memory.targets.items() if name in names}
    memories.save(instance, memory)
    past.add(instance, past.ended(before, memory.alerts, now))
    delivered = _deliver(instance, memory, targets.usable)
    return Round(messages, len(memory.alerts), len(memory.outbox), delivered, len(given_up), targets.problems)


def _recall(instance: dg.DagsterInstance, now: datetime) -> tuple[AlertState, Observation]:
    try:
        return memories.load(instance), Passing(SOURCE_UNREADABLE, "memory", now)
    except MemoryUnreadable as error:
        return AlertState(), Failing(SOURCE_UNREADABLE, None, "memory", now, detail=str(error))


def _look(
    instance: dg.DagsterInstance,
    open_ledger: OpenLedger,
    catalog: Catalog,
    location: str | None,
    memory: AlertState,
    now: datetime,
) -> list[Observation]:
    """What every source says; of one that cannot be read, that it cannot be. Moves the positions."""
    failed_jobs = [alert.job for alert in memory.alerts if alert.cause == RUN_FAILED and alert.job]

    def runs() -> Sequence[Observation]:
        positions = memory.positions or first_positions(instance, now)
        found, memory.positions = read_runs(instance, location, positions, now)
        return found

    def automations() -> Sequence[Observation]:
        found, memory.ticks = read_ticks(instance, location, memory.ticks)
        return found

    def troubles() -> Sequence[Observation]:
        return read_troubles(instance, location)

    def record() -> Sequence[Observation]:
        with open_ledger() as ledger:
            return read_record(ledger, catalog.settings, failed_jobs, now)

    return [
        *_heard(SOURCE_UNREADABLE, "runs", runs, now),
        *_heard(SOURCE_UNREADABLE, "automations", automations, now),
        *_heard(SOURCE_UNREADABLE, "reconciliation", troubles, now),
        *_heard(LEDGER_UNAVAILABLE, "ledger", lambda: _within(LEDGER_PATIENCE_SECONDS, record), now),
    ]


def _heard(cause: str, source: str, read: Read, now: datetime) -> list[Observation]:
    try:
        return [*read(), Passing(cause, source, now)]
    except Exception as error:  # noqa: BLE001  whatever it is, it is reported and the others are read
        message = str(error) if isinstance(error, LedgerUnavailable) else f"{type(error).__name__}: {error}"
        return [Failing(cause, None, source, now, detail=one_line(environment.masked(message)))]


def _within(seconds: float, work: Callable[[], Result]) -> Result:
    """The result of ``work``, or LedgerUnavailable when it takes longer; then it is left to itself."""
    outcome: list[Result | Exception] = []

    def run() -> None:
        try:
            outcome.append(work())
        except Exception as error:  # noqa: BLE001  raised again below, in the caller's thread
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise LedgerUnavailable(f"the ledger did not answer within {seconds:.0f} seconds")
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return outcome[0]


def _deliver(instance: dg.DagsterInstance, memory: AlertState, targets: Sequence[Target]) -> int:
    """Send what is due; every fate is remembered before the next one is known. Returns how many arrived."""
    due = delivery.due(memory.outbox, memory.targets, [t.name for t in targets], datetime.now(UTC))
    delivered = 0
    for sent in send_all(targets, due):
        if sent.taken:
            delivered += 1
            memory.targets.pop(sent.target, None)
            memory.outbox = delivery.delivered(memory.outbox, sent.message.id, sent.target)
        else:
            state = memory.targets.get(sent.target)
            memory.targets[sent.target] = delivery.failed(state, datetime.now(UTC))
        memories.save(instance, memory)
    return delivered


def reported(instance: dg.DagsterInstance) -> list[past.AlertSpan]:
    """What was reported as wrong, and since when and until when; what ended first.

    Where what is open cannot be read, only what ended.
    """
    try:
        open_now = memories.load(instance).alerts
    except MemoryUnreadable:  # the next tick reports it
        open_now = []
    return [*past.load(instance), *past.spans_of(open_now)]


def send_test(targets: Sequence[Target]) -> dict[str, bool]:
    """Send a test message to every target; whether each took it, by name."""
    now = datetime.now(UTC)
    message = Message("test", "success", "[Beacon] a test", "Alerts of Beacon arrive here.", now)
    fates = send_all(targets, {target.name: [message] for target in targets})
    return {sent.target: sent.taken for sent in fates}
