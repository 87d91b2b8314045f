"""Events that belong together, in one transaction, where Dagster commits two to four times for each of them.

A run shows what came from one call, partition by partition: a materialization and a few check evaluations
of each. `in_one_batch` holds those back until its end and writes them together; Dagster's own batches (the
planned materializations of a run) are written in the same way. The rows are those that Dagster writes one by
one. A process that is killed meanwhile leaves none of a batch's events, and a partition that the
reconciliation sensor corrects, for the ledger is always written before.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import groupby
from typing import Any

import dagster as dg
import sqlalchemy as sa

# The parts that Dagster's own storages are made of are public in no module.
from dagster._core.events import ASSET_CHECK_EVENTS  # noqa: TID251
from dagster._core.storage.event_log import SqlEventLogStorage, SqlEventLogStorageTable  # noqa: TID251
from dagster._utils.interrupts import capture_interrupts, check_captured_interrupt

HELD_BACK = {
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    dg.DagsterEventType.ASSET_OBSERVATION,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
}
# Dagster hands its own batches over only where this variable says how large they may be.
BATCH_SIZE, AT_MOST = "DAGSTER_EVENT_BATCH_SIZE", 500

Row = dict[str, Any]  # of `event_logs`


def in_one_batch(instance: dg.DagsterInstance) -> AbstractContextManager[None]:
    """What this thread reports of assets and checks inside is written at its end, together, if need be after
    an error too. Whoever reads it must do so afterwards. Without effect on Dagster's own storages."""
    storage = instance.event_log_storage
    return storage.one_batch() if isinstance(storage, BatchingEventLog) else nullcontext()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """A run that is terminated meanwhile ends after this, not within it: Dagster raises it in our code."""
    with capture_interrupts():
        yield
        interrupted = check_captured_interrupt()
    if interrupted:
        signal.raise_signal(signal.SIGINT)


class BatchingEventLog(SqlEventLogStorage):
    """For the event logs in `pooled_storage`, which say what a transaction is."""

    def __init__(self, *args: Any) -> None:
        self._held_back = threading.local()
        self._tables: set[str] = set()  # that are known to be there
        os.environ.setdefault(BATCH_SIZE, str(AT_MOST))
        super().__init__(*args)  # type: ignore[no-untyped-call]  # of the storage

    def _whole(self, run_id: str, rows: Sequence[Row]) -> AbstractContextManager[sa.Connection]:
        """A transaction on the tables of all runs: whatever this thread executes on them inside is of it.
        A storage with files for each run writes these rows to the run's as well."""
        raise NotImplementedError

    def has_table(self, table_name: str) -> bool:
        # Dagster asks before each check evaluation, on SQLite by a connection of its own.
        if table_name not in self._tables:
            there = super().has_table(table_name)  # type: ignore[safe-super]  # of the storage
            self._tables |= {table_name} if there else set()
        return table_name in self._tables

    @contextmanager
    def one_batch(self) -> Iterator[None]:
        """See `in_one_batch`."""
        assert self._of_this_thread() is None, "a batch in a batch"
        self._held_back.events = []
        try:
            yield
        finally:
            with _uninterrupted():
                self._write_held_back()
                del self._held_back.events

    def _of_this_thread(self) -> list[dg.EventLogEntry] | None:
        return getattr(self._held_back, "events", None)

    def store_event(self, event: dg.EventLogEntry) -> None:
        held_back = self._of_this_thread()
        if held_back is None:
            super().store_event(event)
        elif event.dagster_event_type in HELD_BACK:
            held_back.append(event)
            if len(held_back) >= AT_MOST:
                self._write_held_back()
        else:
            self._write_held_back()  # the order of a run's events stays
            super().store_event(event)

    def store_event_batch(self, events: Sequence[dg.EventLogEntry]) -> None:
        if all(event.dagster_event_type in HELD_BACK for event in events):
            self._write_all(events)
        else:
            super().store_event_batch(events)

    def _write_held_back(self) -> None:
        events, self._held_back.events = self._held_back.events, []
        try:
            self._write_all(events)
        except Exception:  # noqa: BLE001  nothing of it is there: whatever it was, it is raised again below
            self._write_singly(events)

    def _write_singly(self, events: Sequence[dg.EventLogEntry]) -> None:
        """One event that cannot be written keeps no other from being shown."""
        errors: list[Exception] = []
        for event in events:
            try:
                super().store_event(event)
            except Exception as error:  # noqa: BLE001  raised when the others are there
                errors.append(error)
        if errors:
            raise errors[0]

    def _write_all(self, events: Sequence[dg.EventLogEntry]) -> None:
        for run_id, of_run in groupby(events, key=lambda event: event.run_id):
            self._write(run_id, list(of_run))

    def _write(self, run_id: str, events: Sequence[dg.EventLogEntry]) -> None:
        rows = [self._event_to_row(event) for event in events]
        table = SqlEventLogStorageTable
        with self._whole(run_id, rows) as connection:
            numbered = table.insert().returning(table.c.id, sort_by_parameter_order=True)
            ids = connection.execute(numbered, rows).scalars().all()
            checks = [e.dagster_event_type in ASSET_CHECK_EVENTS for e in events]
            of_assets = [(e, n) for e, n, check in zip(events, ids, checks, strict=True) if not check]
            if of_assets:
                self._store_asset_event_tags(connection, *zip(*of_assets, strict=True))
            # Each takes the place of the one before in the asset's row: the last of a kind is enough.
            last = {(e.get_dagster_event().asset_key, e.dagster_event_type): (e, n) for e, n in of_assets}
            for event, event_id in sorted(last.values(), key=lambda one: one[1]):
                self._store_asset_event(connection, event, event_id)
            for event, event_id, check in zip(events, ids, checks, strict=True):
                if check:
                    self.store_asset_check_event(event, event_id)
