"""Dagster's storages with connections that are kept, where Dagster opens a new one for each statement.

Dagster's SQLite storages make an engine for each call, and its PostgreSQL storages have no pool unless the
web server asks for one (`optimize_for_webserver`). An execution is five events of several statements each:
opening was most of what they cost, and committing most of the rest (`event_batches.py`;
`benchmarks/orchestration.md`). Else only one half-written row is mended (`PooledPostgresSchedules`): what is
written, and the files and tables are Dagster's own, so that an instance can go back to the stock classes at
any time. `dagster.yaml` names these classes; `test_pooled_storage.py` holds the rows that a job leaves behind
against those of the stock ones, for what is overridden here is not public.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg
import sqlalchemy as sa

# The state of a sensor has no public name either.
from dagster._core.scheduler.instigation import InstigatorState  # noqa: TID251

# `dagster.yaml` takes a class for its storage; the ones that it is made of are public in no module.
from dagster._core.storage.event_log import SqlEventLogStorageTable  # noqa: TID251
from dagster._core.storage.event_log.sqlite.sqlite_event_log import (  # noqa: TID251
    INDEX_SHARD_NAME,
    SqliteEventLogStorage,
)
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage  # noqa: TID251
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import (  # noqa: TID251
    SqliteScheduleStorage,
)
from dagster._core.storage.sqlite import (  # noqa: TID251
    SQLITE_BUSY_TIMEOUT_SECONDS,
    create_db_conn_string,
)
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage  # noqa: TID251
from dagster._serdes import ConfigurableClassData
from dagster_postgres import (
    DagsterPostgresStorage,
    PostgresEventLogStorage,
    PostgresRunStorage,
    PostgresScheduleStorage,
)
from dagster_postgres.utils import create_pg_connection, create_pg_engine, pg_url_from_config

from beacon_pipeline.environment import with_dagsters_driver
from beacon_pipeline.garbage import OF_AN_INSTANCE, look_seldom
from beacon_pipeline.instance import sqlite_files
from beacon_pipeline.instance.event_batches import BatchingEventLog, Row

ASSET_MATERIALIZATION = dg.DagsterEventType.ASSET_MATERIALIZATION.value
# The index of all runs, and the runs a process works on: a reader of many runs closes the oldest again.
OPEN_SHARDS = 16
# On PostgreSQL: so many threads of a process use its connections at once, the others wait. A thread has often
# two, for Dagster opens a second one while it holds the first: a bound on connections would be a deadlock.
THREADS_AT_ONCE = 6
# One connection is kept. One that broke meanwhile is found out when it is taken, and made anew.
POSTGRES_POOL: dict[str, Any] = {
    "isolation_level": "AUTOCOMMIT",
    "pool_size": 1,
    "max_overflow": -1,
    "pool_recycle": 3600,
    "pool_pre_ping": True,
}


# Each process of an instance, Dagster's too, loads this module before most others.
look_seldom(OF_AN_INSTANCE)

Storage = TypeVar("Storage", SqliteRunStorage, SqliteScheduleStorage)


def _sqlite_engine(url: str) -> sa.Engine:
    # Dagster's web server and daemon read from many threads; a pooled connection is one thread's at a time.
    options = {"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False}
    return sa.create_engine(url, poolclass=sa.QueuePool, pool_size=1, max_overflow=-1, connect_args=options)


class PooledSqliteEventLog(BatchingEventLog, SqliteEventLogStorage):
    """The event log, a file for each run and an index, with the files kept open."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: OrderedDict[str, sa.Engine] = OrderedDict()
        self._lock = threading.RLock()
        self._begun: dict[str, sa.Connection] = {}  # of the thread that has the lock, by shard
        super().__init__(base_dir, inst_data)

    def _initdb(self, engine: sa.Engine, for_index_shard: bool = False) -> None:
        path = Path(str(engine.url.database))
        if path.stem != INDEX_SHARD_NAME and not path.exists():
            sqlite_files.put(path, self._new_file)
        if not sqlite_files.is_complete(engine):
            super()._initdb(engine, for_index_shard)

    @cached_property
    def _new_file(self) -> bytes:
        in_memory = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
        super()._initdb(in_memory)
        content = sqlite_files.file_of(in_memory)
        in_memory.dispose()
        return content

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sa.Connection]:
        with self._lock:
            if shard in self._begun:
                yield self._begun[shard]
                return
            engine = self._engine_of(shard)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                self._begun[shard] = connection
                try:
                    yield connection
                finally:
                    del self._begun[shard]

    @contextmanager
    def _whole(self, run_id: str, rows: Sequence[Row]) -> Iterator[sa.Connection]:
        # Two files are two commits, and a process may be killed between them. Materializations that only the
        # run's file has are not shown, and the ledger tells. Checks that are lacking are looked for in the
        # run's file alone: it must not have what the other lacks. The last that is entered commits first.
        shown = any(row["dagster_event_type"] == ASSET_MATERIALIZATION for row in rows)
        order = [INDEX_SHARD_NAME, run_id] if shown else [run_id, INDEX_SHARD_NAME]
        with self._connect(order[0]), self._connect(order[1]):
            self._begun[run_id].execute(SqlEventLogStorageTable.insert(), rows)
            yield self._begun[INDEX_SHARD_NAME]

    def _engine_of(self, shard: str) -> sa.Engine:
        if shard not in self._engines:
            self._engines[shard] = _sqlite_engine(self.conn_string_for_shard(shard))
        self._engines.move_to_end(shard)
        while len(self._engines) > OPEN_SHARDS:
            self._engines.popitem(last=False)[1].dispose()
        return self._engines[shard]

    def _close(self) -> None:
        with self._lock:
            while self._engines:
                self._engines.popitem()[1].dispose()

    def wipe(self) -> None:
        self._close()  # the files are deleted
        super().wipe()

    def dispose(self) -> None:
        self._close()
        super().dispose()


class PooledSqliteRuns(SqliteRunStorage):
    """Runs and cursors, with the file kept open."""

    def __init__(self, conn_string: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engine = _sqlite_engine(conn_string)
        super().__init__(conn_string, inst_data)

    @contextmanager
    def connect(self) -> Iterator[sa.Connection]:
        with self._engine.begin() as connection:
            yield connection

    def dispose(self) -> None:
        self._engine.dispose()
        super().dispose()


def _opened(kind: type[Storage], folder: str, name: str) -> Storage:
    address = create_db_conn_string(folder, name)
    engine = _sqlite_engine(address)
    complete = sqlite_files.is_complete(engine)
    engine.dispose()
    return kind(address) if complete else kind.from_local(folder)


class PooledSqliteStorage(DagsterSqliteStorage):
    """The files of an instance on SQLite, where Dagster's own class keeps them."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super(DagsterSqliteStorage, self).__init__()  # type: ignore[no-untyped-call]  # its own opens stock ones
        self.base_dir = base_dir
        self._run_storage = _opened(PooledSqliteRuns, f"{base_dir}/history/", "runs")
        self._event_log_storage = PooledSqliteEventLog(f"{base_dir}/history/runs/")
        self._schedule_storage = _opened(SqliteScheduleStorage, f"{base_dir}/schedules/", "schedules")
        self._inst_data = inst_data

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> PooledSqliteStorage:
        return cls.from_local(inst_data=inst_data, **config_value)


class _Gate:
    """Lets a few threads through at once; a thread that is inside may enter again."""

    def __init__(self, threads: int) -> None:
        self._places = threading.BoundedSemaphore(threads)
        self._inside = threading.local()

    @contextmanager
    def passed(self) -> Iterator[None]:
        depth = getattr(self._inside, "depth", 0)
        if depth == 0:
            self._places.acquire()
        self._inside.depth = depth + 1
        try:
            yield
        finally:
            self._inside.depth = depth
            if depth == 0:
                self._places.release()


class _Pooled:
    """What the storages on PostgreSQL get: an engine with a pool, where each makes one of its own without."""

    _engine: sa.Engine

    def __init__(self, postgres_url: str, should_autocreate_tables: bool, gate: _Gate) -> None:
        self._gate = gate
        super().__init__(postgres_url, should_autocreate_tables)  # type: ignore[call-arg]  # of the storage

    def use(self, engine: sa.Engine) -> None:
        self._engine = engine

    @contextmanager
    def _one(self) -> Iterator[sa.Connection]:
        # Not always ours: the web server gives each storage an engine with time-outs.
        with self._gate.passed(), create_pg_connection(self._engine) as connection:
            yield connection

    def dispose(self) -> None:
        super().dispose()  # type: ignore[misc]  # of the storage
        self._engine.dispose()


class PooledPostgresEventLog(_Pooled, BatchingEventLog, PostgresEventLogStorage):
    """The event log on PostgreSQL, on a pool."""

    def __init__(self, postgres_url: str, should_autocreate_tables: bool, gate: _Gate) -> None:
        self._begun = threading.local()
        super().__init__(postgres_url, should_autocreate_tables, gate)

    def _connect(self) -> AbstractContextManager[sa.Connection]:
        connection = getattr(self._begun, "connection", None)
        return self._one() if connection is None else nullcontext(connection)

    @contextmanager
    def _whole(self, run_id: str, rows: Sequence[Row]) -> Iterator[sa.Connection]:
        with self.index_transaction() as connection:
            self._begun.connection = connection
            try:
                yield connection
            finally:
                del self._begun.connection


class PooledPostgresRuns(_Pooled, PostgresRunStorage):
    """Runs and cursors on PostgreSQL, on a pool."""

    def connect(self) -> AbstractContextManager[sa.Connection]:
        return self._one()


class PooledPostgresSchedules(_Pooled, PostgresScheduleStorage):
    """Ticks of schedules and sensors on PostgreSQL, on a pool."""

    def connect(self, run_id: str | None = None) -> AbstractContextManager[sa.Connection]:
        return self._one()

    def add_instigator_state(self, state: InstigatorState) -> InstigatorState:
        """Dagster writes two rows, each committed by itself. A daemon that was killed between them left the
        first: from then on each of its looks would fail here, and no sensor would run any more."""
        try:
            return super().add_instigator_state(state)
        except dg.DagsterInvariantViolationError:
            if self.get_instigator_state(state.instigator_origin_id, state.selector_id) is not None:
                raise
            with self.connect() as connection:
                self._add_or_update_instigators_table(connection, state)
            return state


class PooledPostgresStorage(DagsterPostgresStorage):
    """An instance on PostgreSQL, in the tables of Dagster's own class."""

    def __init__(
        self,
        postgres_url: str,
        should_autocreate_tables: bool = True,
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        super(DagsterPostgresStorage, self).__init__()  # type: ignore[no-untyped-call]  # as above
        self.postgres_url = postgres_url
        self.should_autocreate_tables = should_autocreate_tables
        self._inst_data = inst_data
        gate, engine = _Gate(THREADS_AT_ONCE), create_pg_engine(postgres_url, **POSTGRES_POOL)
        self._run_storage = PooledPostgresRuns(postgres_url, should_autocreate_tables, gate)
        self._event_log_storage = PooledPostgresEventLog(postgres_url, should_autocreate_tables, gate)
        self._schedule_storage = PooledPostgresSchedules(postgres_url, should_autocreate_tables, gate)
        for storage in (self._run_storage, self._event_log_storage, self._schedule_storage):
            storage.use(engine)

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> PooledPostgresStorage:
        url = with_dagsters_driver(pg_url_from_config(config_value))
        return cls(url, config_value.get("should_autocreate_tables", True), inst_data)
