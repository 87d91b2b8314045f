"""What commands cost as the record grows: an empty one, 30,000 and 300,000 executions on record.

A job of 72 executions (the demo catalog, a provider that answers at once) is run for real, and its rows are
copied, each copy an hour older: the ledger's whole, Dagster's events of its partitions and checks up to
30,000 executions, as `beacon instance prune` would leave them. On SQLite and on PostgreSQL.

    python -m benchmarks.growth [EXECUTIONS …]

writes `benchmarks/growth.md`. Times are of whole processes, but for the refresh of metrics and a tick of the
reconciliation sensor, which are of the work itself, in this process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sa

from beacon_pipeline.catalog import load_catalog
from beacon_pipeline.defs.assets.status_metrics import report_metrics
from beacon_pipeline.execution.resources import LedgerResource
from beacon_pipeline.ledger.schema import Base
from beacon_pipeline.reconciliation.tick import Cursor, Reconciliation
from benchmarks.report import keep, machine
from benchmarks.subjects import FreshDatabase, both_databases, fresh_instance, seconds_of
from tests.beacon_pipeline.location import Scripted
from tests.beacon_pipeline.scripted import Behaviour, ScriptedProvider

OF_A_JOB = 72
DAGSTER_KEEPS = 30_000  # executions whose events Dagster has
ROWS_AT_ONCE = 5_000
TABLE = Path(__file__).with_suffix(".md")
BEACON = str(Path(sys.executable).with_name("beacon"))
Row = dict[str, Any]


@dataclass(frozen=True)
class Measured:
    database: str
    executions: int
    run: float  # seconds of `beacon run` of 8 cells
    jobs: float  # seconds of `beacon jobs`
    status: float  # seconds of `beacon status` of a job of 72
    refresh: float  # seconds of a metrics refresh
    tick: float  # seconds of a tick of the reconciliation sensor
    megabytes: float  # of all files or databases


def main() -> None:
    sizes = [int(size) for size in sys.argv[1:]] or [0, 30_000, 300_000]
    with both_databases() as databases:
        measured = [m for name, fresh_url in databases.items() for m in measure(name, fresh_url, sizes)]
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
        beacon("run")
        there = 0
        for size in sizes:
            copies = range(there + 1, size // OF_A_JOB)
            if copies:
                copy_ledger(copies)
                copy_events(instance, [n for n in copies if n * OF_A_JOB < DAGSTER_KEEPS])
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
        tick = min(seconds_of(lambda: ticks.tick(cursor)) for _ in range(3))
        refresh = min(seconds_of(lambda: report_metrics(ledger, instance, catalog)) for _ in range(3))
    return Measured(
        database,
        executions,
        run=min(beacon("run", "--region", "eu", "--model", "tiny-llama", "--new-job") for _ in range(2)),
        jobs=min(beacon("jobs") for _ in range(3)),
        status=min(beacon("status", "--job", job.job_name) for _ in range(3)),
        refresh=refresh,
        tick=tick,
        megabytes=megabytes(),
    )


def beacon(*arguments: str) -> float:
    """How many seconds a command takes; it must be well."""

    def work() -> None:
        subprocess.run([BEACON, *arguments], check=True, capture_output=True)

    return seconds_of(work)


def copy_ledger(copies: range) -> None:
    engine = sa.create_engine(
        os.environ["BEACON_DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://")
    )
    schema = "beacon" if engine.name == "postgresql" else None
    with engine.begin() as connection:
        for name in ("jobs", "executions", "calls", "attempts", "transitions"):
            table = Base.metadata.tables[name].to_metadata(sa.MetaData(), schema=schema)
            keys = {c.name for c in table.columns if c.name == "id" or c.name.endswith("_id")}
            own = _of_the_first_job(connection, table)
            copy(connection, table, own, copies, lambda row, n, keys=keys: _older(row, n, keys))
    engine.dispose()


def _of_the_first_job(connection: sa.Connection, table: sa.Table) -> list[Row]:
    rows = [dict(row) for row in connection.execute(sa.select(table)).mappings()]
    return [
        row for row in rows if not any(COPY in str(value) for key, value in row.items() if key.endswith("id"))
    ]


COPY = "#copy-"


def _older(row: Row, n: int, keys: set[str]) -> Row:
    older = {}
    for name, value in row.items():
        if name in keys and isinstance(value, str):
            older[name] = f"{value}{COPY}{n}"
        elif name == "id" and isinstance(value, int):
            continue  # numbered by the database
        elif hasattr(value, "tzinfo"):
            older[name] = value - timedelta(hours=n)
        else:
            older[name] = value
    return older


def copy_events(instance: dg.DagsterInstance, copies: list[int]) -> None:
    """Dagster's materializations and check evaluations of the first job's partitions, older ones."""
    storage = instance.event_log_storage
    kinds = ("ASSET_MATERIALIZATION", "ASSET_CHECK_EVALUATION")
    with storage.index_connection() as connection:  # type: ignore[attr-defined]
        for name in ("event_logs", "asset_check_executions"):
            table = sa.Table(name, sa.MetaData(), autoload_with=connection)
            rows = [dict(row) for row in connection.execute(sa.select(table)).mappings()]
            if name == "event_logs":
                rows = [row for row in rows if row["dagster_event_type"] in kinds and row["partition"]]
            rows = [row for row in rows if COPY not in str(row["run_id"])][: 4 * OF_A_JOB]
            moments = {c.name for c in table.columns if "timestamp" in c.name}
            copy(
                connection, table, rows, copies, lambda row, n, moments=moments: _older_event(row, n, moments)
            )
        connection.commit()


def _older_event(row: Row, n: int, moments: set[str]) -> Row:
    shift = timedelta(hours=n)
    older = {
        name: value - shift
        if name in moments and value is not None and not isinstance(value, float)
        else value
        for name, value in row.items()
        if name != "id"
    }
    return older | {"run_id": f"{row['run_id']}{COPY}{n}"}


def copy(
    connection: sa.Connection,
    table: sa.Table,
    rows: list[Row],
    copies: range | list[int],
    changed: Callable[[Row, int], Mapping[str, Any]],
) -> None:
    pending: list[Mapping[str, Any]] = []
    for n in copies:
        pending += [changed(row, n) for row in rows]
        if len(pending) >= ROWS_AT_ONCE:
            connection.execute(sa.insert(table), pending)
            pending = []
    if pending:
        connection.execute(sa.insert(table), pending)


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
        f"{machine()}; load {load:.0f} at the end.",
        "",
        "| database | executions on record | `beacon run` of 8 cells, s | × of an empty record "
        "| `beacon jobs`, s | `beacon status`, s | metrics refresh, s | tick, s | MB |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    first: dict[str, float] = {}
    for m in measured:
        ratio = m.run / first.setdefault(m.database, m.run)
        lines.append(
            f"| {m.database} | {m.executions:,} | {m.run:.1f} | {ratio:.2f} | {m.jobs:.2f} | {m.status:.2f} "
            f"| {m.refresh:.2f} | {m.tick:.2f} | {m.megabytes:,.0f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
