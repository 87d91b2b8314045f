"""What commands cost as the record grows: an empty one, 30,000 and 300,000 executions on record.

A job of 72 executions (the demo catalog, a provider that answers at once) is run for real, and its rows are
copied, each copy an hour older: the ledger's whole, Dagster's events of its partitions and checks up to
30,000 executions, as `beacon instance prune` would leave them. On SQLite and on PostgreSQL.

    python -m benchmarks.growth [DATABASE …] [EXECUTIONS …] [--reading]

``--reading`` leaves `beacon run` out, and takes a minute of CPU instead of several.
Writes `benchmarks/growth.md`. Times are of whole processes, but for the refresh of metrics and a tick of the
reconciliation sensor, which are of the work itself, in this process. CPU time, of the process and all that it
started, bears a machine that does other things too.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sa

from beacon_pipeline.catalog import load_catalog
from beacon_pipeline.defs.assets.status_metrics import report_metrics
from beacon_pipeline.execution.resources import LedgerResource
from beacon_pipeline.reconciliation.tick import Cursor, Reconciliation
from benchmarks.families import started
from benchmarks.orchestration import cells_and_ranges, run_ranges
from benchmarks.report import keep, machine
from benchmarks.subjects import FreshDatabase, both_databases, fresh_instance, seconds_of
from tests.beacon_pipeline.location import Scripted
from tests.beacon_pipeline.scripted import Behaviour, ScriptedProvider

READING = "--reading" in sys.argv
OF_8_CELLS = ("run", "--region", "eu", "--model", "tiny-llama", "--new-job")
OF_A_JOB = 72
DAGSTER_KEEPS = 30_000  # executions whose events Dagster has
TABLE = Path(__file__).with_suffix(".md")
BEACON = str(Path(sys.executable).with_name("beacon"))


@dataclass(frozen=True, order=True)
class Took:
    """Seconds of a command; of two, the one that took less CPU is the smaller."""

    cpu: float
    wall: float

    def __str__(self) -> str:
        return f"{self.cpu:.2f} ({self.wall:.2f})"


@dataclass(frozen=True)
class Measured:
    database: str
    executions: int
    run: Took | None  # `beacon run` of 8 cells
    jobs: Took  # `beacon jobs`
    status: Took  # `beacon status` of a job of 72
    refresh: Took  # a metrics refresh
    tick: Took  # a tick of the reconciliation sensor
    megabytes: float  # of all files or databases


def main() -> None:
    sizes = [int(word) for word in sys.argv[1:] if word.isdecimal()] or [0, 30_000, 300_000]
    named = [word for word in sys.argv[1:] if word.isalpha()]
    with both_databases() as databases:
        chosen = {name: databases[name] for name in named or databases}
        measured = [m for name, fresh_url in chosen.items() for m in measure(name, fresh_url, sizes)]
    keep(TABLE, table(measured))


def measure(database: str, fresh_url: FreshDatabase, sizes: list[int]) -> Iterator[Measured]:
    with tempfile.TemporaryDirectory() as folder, fresh_instance(fresh_url()) as instance:
        module = {
            "module_name": "benchmarks.instant",
            "location_name": "beacon",
            "working_directory": str(Path.cwd()),
        }
        workspace = Path(folder, "workspace.yaml")
        workspace.write_text(json.dumps({"load_from": [{"python_module": module}]}))
        os.environ["BEACON_WORKSPACE"] = str(workspace)
        if READING:
            catalog = load_catalog("demo")
            run_ranges(instance, catalog, cells_and_ranges(catalog)[1])
        else:
            beacon("run")
        there = 0
        for size in sizes:
            copies = range(there + 1, size // OF_A_JOB)
            if copies:
                copy_ledger(copies)
                copy_events(instance, range(copies.start, min(copies.stop, DAGSTER_KEEPS // OF_A_JOB)))
                there = copies[-1]
            yield one(database, size or OF_A_JOB, instance)
            print(database, size, file=sys.__stdout__, flush=True)


def one(database: str, executions: int, instance: dg.DagsterInstance) -> Measured:
    catalog, provider = load_catalog("demo"), ScriptedProvider([Behaviour()])
    with LedgerResource().open() as ledger:
        job = ledger.jobs.latest()
        assert job is not None
        ticks = Reconciliation(ledger, instance, catalog, Scripted(provider))
        cursor = ticks.tick(Cursor()).cursor  # the first look is at everything
        tick = min(took(lambda: ticks.tick(cursor)) for _ in range(3))
        refresh = min(took(lambda: report_metrics(ledger, instance, catalog)) for _ in range(3))
    return Measured(
        database,
        executions,
        run=None if READING else min(beacon(*OF_8_CELLS) for _ in range(2)),
        jobs=min(beacon("jobs") for _ in range(2)),
        status=min(beacon("status", "--job", job.job_name) for _ in range(2)),
        refresh=refresh,
        tick=tick,
        megabytes=megabytes(),
    )


def took(work: Callable[[], object]) -> Took:
    """How long something takes in this process; on PostgreSQL the server's part is in the wall time alone."""
    cpu = time.process_time()
    wall = seconds_of(work)
    return Took(time.process_time() - cpu, wall)


def beacon(*arguments: str) -> Took:
    """How long a command takes; it must be well."""

    with tempfile.NamedTemporaryFile() as log:
        begun = time.perf_counter()
        command = started([BEACON, *arguments], log=Path(log.name))
        assert command.watch() == 0, Path(log.name).read_text()
        return Took(command.cpu, time.perf_counter() - begun)


def copy_ledger(copies: range) -> None:
    engine = sa.create_engine(
        os.environ["BEACON_DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://")
    )
    schema = "beacon" if engine.name == "postgresql" else None
    with engine.begin() as connection:
        for name in ("jobs", "executions", "calls", "attempts", "transitions"):
            table = sa.Table(name, sa.MetaData(), autoload_with=connection, schema=schema)
            keys = [c for c in table.columns if _is_key(c) and isinstance(c.type, sa.String)]
            first = sa.and_(*(sa.func.coalesce(key, "").not_like(f"%{COPY}%") for key in keys))
            copy(connection, table, keys, copies, first)
        if schema:
            connection.execute(sa.text("ANALYZE"))  # as the server does by itself, a minute later
    engine.dispose()


def _is_key(column: sa.Column[Any]) -> bool:
    return column.name == "id" or column.name.endswith("_id")


def copy_events(instance: dg.DagsterInstance, copies: range) -> None:
    """Dagster's materializations and check evaluations of the first job's partitions, older ones."""
    storage = instance.event_log_storage
    kinds = ("ASSET_MATERIALIZATION", "ASSET_CHECK_EVALUATION")
    with storage.index_connection() as connection:  # type: ignore[attr-defined]
        for name in ("event_logs", "asset_check_executions"):
            table = sa.Table(name, sa.MetaData(), autoload_with=connection)
            first = table.c.run_id.not_like(f"%{COPY}%")
            if name == "event_logs":
                first &= table.c.dagster_event_type.in_(kinds) & table.c.asset_key.like("%inference%")
            copy(connection, table, [table.c.run_id], copies, first)
        connection.commit()


COPY = "#copy-"


def copy(
    connection: sa.Connection,
    table: sa.Table,
    keys: Sequence[sa.Column[Any]],
    copies: range,
    first: sa.ColumnElement[bool],
) -> None:
    """Copy rows inside the database: each copy an hour older than the one before, its keys marked."""
    if not copies:
        return
    numbers = sa.select(sa.literal(copies.start).label("n")).cte("numbers", recursive=True)
    numbers = numbers.union_all(sa.select(numbers.c.n + 1).where(numbers.c.n < copies.stop - 1))
    made: dict[str, sa.ColumnElement[Any]] = {}
    for column in table.columns:
        if column in keys:
            made[column.name] = column + COPY + sa.cast(numbers.c.n, sa.Text)
        elif column.name == "id":
            continue  # numbered by the database
        elif isinstance(column.type, sa.DateTime):
            made[column.name] = _older(connection, column, numbers.c.n)
        else:
            made[column.name] = column
    rows = sa.select(*made.values()).select_from(table.join(numbers, sa.true())).where(first)
    connection.execute(sa.insert(table).from_select(list(made), rows))


def _older(
    connection: sa.Connection, moment: sa.Column[Any], hours: sa.ColumnElement[int]
) -> sa.ColumnElement[Any]:
    if connection.engine.name == "postgresql":
        return moment - sa.func.make_interval(0, 0, 0, 0, hours)
    shift = sa.literal("-") + sa.cast(hours, sa.Text) + " hours"
    return sa.func.strftime("%Y-%m-%d %H:%M:%f", sa.type_coerce(moment, sa.Text), shift) + "000"


def megabytes() -> float:
    url = os.environ["BEACON_DATABASE_URL"]
    if url.startswith("postgresql"):
        engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
        with engine.connect() as connection:
            size = connection.execute(sa.text("SELECT pg_database_size(current_database())")).scalar_one()
        engine.dispose()
        return float(size) / 2**20
    home = Path(os.environ["DAGSTER_HOME"])
    return sum(path.stat().st_size for path in home.rglob("*.db")) / 2**20


def table(measured: list[Measured]) -> str:
    load = os.getloadavg()[0]
    lines = [
        f"{machine()}; load {load:.0f} at the end. Seconds of CPU, and in brackets by the clock.",
        "",
        "| database | executions on record | `beacon run` of 8 cells | × of an empty record "
        "| `beacon jobs` | `beacon status` | metrics refresh | tick | MB |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    first: dict[str, float] = {}
    for m in measured:
        run = " | "
        if m.run is not None:
            ratio = m.run.cpu / first.setdefault(m.database, m.run.cpu)
            run = f"{m.run} | {ratio:.2f}"
        lines.append(
            f"| {m.database} | {m.executions:,} | {run} "
            f"| {m.jobs} | {m.status} | {m.refresh} | {m.tick} "
            f"| {m.megabytes:,.0f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
