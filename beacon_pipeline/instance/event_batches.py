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
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import dagster as dg
import sqlalchemy as sa

# The parts that Dagster's own storages are made of are public in no module.
from dagster._core.storage.asset_check_execution_record import (  # noqa: TID251
    AssetCheckExecutionRecordStatus,
)
from dagster._core.storage.event_log import SqlEventLogStorage, SqlEventLogStorageTable  # noqa: TID251
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable  # noqa: TID251

# Dagster turns a termination into an exception, which only this holds back.
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


def in_one_batch(instance: dg.DagsterInstance) -> AbstractContextManager[list[dg.EventLogRecord]]:
    """What this thread reports of assets and checks inside is written at its end, together, if need be after
    an error too. Whoever reads it must do so afterwards; what was written together need not be read, it is in
    the list. Without effect on Dagster's own storages."""
    storage = instance.event_log_storage
    return storage.one_batch() if isinstance(storage, BatchingEventLog) else nullcontext([])


@dataclass(frozen=True)
class Stored:
    """An event, its row in `event_logs`, and that row's number."""

    event: dg.EventLogEntry
    row: Row
    id: int

    @property
    def is_check(self) -> bool:
        return self.event.dagster_event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION

    @property
    def evaluation(self) -> dg.AssetCheckEvaluation:
        return self.event.get_dagster_event().asset_check_evaluation_data


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

    @abstractmethod
    def _whole(self, run_id: str, rows: Sequence[Row]) -> AbstractContextManager[sa.Connection]:
        """A transaction on the tables of all runs: whatever this thread executes on them inside is of it.
        A storage with files for each run writes these rows to the run's as well."""

    def has_table(self, table_name: str) -> bool:
        # Dagster asks before each check evaluation, on SQLite by a connection of its own.
        if table_name not in self._tables:
            there = super().has_table(table_name)  # type: ignore[safe-super]  # of the storage
            self._tables |= {table_name} if there else set()
        return table_name in self._tables

    @contextmanager
    def one_batch(self) -> Iterator[list[dg.EventLogRecord]]:
        """See `in_one_batch`."""
        assert self._of_this_thread() is None, "a batch in a batch"
        written: list[dg.EventLogRecord] = []
        self._held_back.events = []
        try:
            self._held_back.written = written
            yield written
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
            self._held_back.written += self._write_all(events)
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

    def _write_all(self, events: Sequence[dg.EventLogEntry]) -> list[dg.EventLogRecord]:
        of_runs = groupby(events, key=lambda event: event.run_id)
        return [record for run_id, of_run in of_runs for record in self._write(run_id, list(of_run))]

    def _write(self, run_id: str, events: Sequence[dg.EventLogEntry]) -> list[dg.EventLogRecord]:
        rows = [self._event_to_row(event) for event in events]
        table = SqlEventLogStorageTable
        with self._whole(run_id, rows) as connection:
            numbered = table.insert().returning(table.c.id, sort_by_parameter_order=True)
            ids = connection.execute(numbered, rows).scalars().all()
            stored = [Stored(*one) for one in zip(events, rows, ids, strict=True)]
            self._store_of_assets(connection, [one for one in stored if not one.is_check])
            self._store_of_checks(connection, [one for one in stored if one.is_check])
        return [dg.EventLogRecord(one.id, one.event) for one in stored]

    def _store_of_assets(self, connection: sa.Connection, stored: Sequence[Stored]) -> None:
        if not stored:
            return
        self._store_asset_event_tags(connection, [one.event for one in stored], [one.id for one in stored])
        # Each takes the place of the one before in the asset's row: the last of a kind is enough.
        last = {(one.row["asset_key"], one.row["dagster_event_type"]): one for one in stored}
        for one in sorted(last.values(), key=lambda one: one.id):
            self._store_asset_event(connection, one.event, one.id)

    def _store_of_checks(self, connection: sa.Connection, stored: Sequence[Stored]) -> None:
        """Evaluations are new rows, all in one statement; but those that Dagster has a row for, planned or
        of another evaluation in the same run, take its place one by one."""
        if not stored:
            return
        table, evaluations = AssetCheckExecutionsTable, [one.evaluation for one in stored]
        there = sa.select(table.c.asset_key, table.c.check_name, table.c.partition).where(
            table.c.run_id == stored[0].event.run_id,
            table.c.asset_key.in_({e.asset_key.to_string() for e in evaluations}),
            table.c.check_name.in_({e.check_name for e in evaluations}),
        )
        known = {tuple(row) for row in connection.execute(there)}
        new: dict[tuple[str, str, str | None], Row] = {}
        for one, evaluation in zip(stored, evaluations, strict=True):
            key = (evaluation.asset_key.to_string(), evaluation.check_name, evaluation.partition)
            if key in known:
                self.store_asset_check_event(one.event, one.id)
            else:
                new[key] = _execution_of(one, evaluation)
        if new:
            connection.execute(table.insert(), list(new.values()))


def _execution_of(one: Stored, evaluation: dg.AssetCheckEvaluation) -> Row:
    """The row of a check's evaluation, as Dagster writes it."""
    status = AssetCheckExecutionRecordStatus
    target = evaluation.target_materialization_data
    return {
        "asset_key": evaluation.asset_key.to_string(),
        "check_name": evaluation.check_name,
        "partition": evaluation.partition,
        "run_id": one.event.run_id,
        "execution_status": (status.SUCCEEDED if evaluation.passed else status.FAILED).value,
        "evaluation_event": one.row["event"],
        "evaluation_event_timestamp": one.row["timestamp"],
        "evaluation_event_storage_id": one.id,
        "materialization_event_storage_id": target.storage_id if target else None,
    }
