"""What a tick of the alert sensor costs. `python -m benchmarks.alert_ticks` writes `alert_ticks.md`.

With 30,000 executions on record, on SQLite and on PostgreSQL, Dagster's storage and the ledger both.
Dagster has 90,000 check evaluations and 10,000 runs. Where nothing is new, the fastest of five.
"""

import os
import platform
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import sqlalchemy as sa

from beacon_pipeline.catalog import load_catalog
from beacon_pipeline.execution.resources import LedgerResource
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.schema import Base
from beacon_pipeline.monitoring.alerts.tick import Round, watch
from beacon_pipeline.names import INFERENCE
from benchmarks.subjects import both_databases, fresh_instance

EXECUTIONS, JOBS, RUNS, EVALUATIONS = 30_000, 10, 10_000, 90_000
NEW = 5_000
TABLE = Path(__file__).with_suffix(".md")


def fill_ledger() -> None:
    """Executions with an answer, in ten jobs of the last days."""
    now = datetime.now(UTC)
    jobs = [
        {
            "id": f"job-{n}",
            "jobspec_id": f"job-{n}",
            "source": "launch",
            "catalog": "demo",
            "catalog_digest": "d",
            "created_at": now - timedelta(hours=n),
        }
        for n in range(JOBS)
    ]
    answered = {
        "status": "completed",
        "answer": "An answer of ordinary length. " * 10,
        "answer_kind": "substantive",
        "finish_reason": "stop",
        "provenance": {},
    }
    executions = [
        {
            "id": str(uuid.uuid4()),
            "job_id": f"job-{n % JOBS}",
            "region": ("us", "eu", "apac")[n // JOBS % 3],
            "executed_region": ("us", "eu", "apac")[n // JOBS % 3],
            "model": f"m{n // (3 * JOBS) % 10}",
            "question": f"q{n // (30 * JOBS)}",
            "queued_at": now - timedelta(hours=n % JOBS),
            "updated_at": now - timedelta(hours=n % JOBS),
        }
        | answered
        for n in range(EXECUTIONS)
    ]
    with LedgerResource().open() as ledger:
        _write(ledger, sa.insert(Base.metadata.tables["jobs"]), jobs)
        _write(ledger, sa.insert(Base.metadata.tables["executions"]), executions)


def give_up(number: int) -> None:
    """As many executions of the newest jobs as dead letters."""
    table = Base.metadata.tables["executions"]
    some = sa.select(table.c.id).order_by(table.c.updated_at.desc()).limit(number)
    empty = dict.fromkeys(("answer", "answer_kind", "finish_reason", "executed_region"))
    now = datetime.now(UTC)
    change = (
        sa.update(table)
        .where(table.c.id.in_(some))
        .values(
            status="failed",
            failure_code="worker_lost",
            provenance=sa.null(),
            updated_at=now,
            dead_lettered_at=now,
            **empty,
        )
    )
    with LedgerResource().open() as ledger:
        _write(ledger, change)


def _write(ledger: Ledger, statement: sa.Executable, rows: list[dict[str, object]] | None = None) -> None:
    ledger.database.write(lambda connection: connection.execute(statement, rows))


def a_run(instance: dg.DagsterInstance, evaluations: int) -> None:
    """A run with so many passing check evaluations; all but the first are copies of its row."""

    @dg.op
    def checked(context: dg.OpExecutionContext) -> None:
        evaluation = dg.AssetCheckEvaluation(
            asset_key=INFERENCE, check_name="non_empty_output", passed=True, partition="eu:m|q"
        )
        context.log_event(evaluation)

    @dg.job
    def checks_of_a_job() -> None:
        checked()

    run_id = checks_of_a_job.execute_in_process(instance=instance).run_id
    copy_rows(
        instance.event_log_storage.run_connection(run_id),
        "event_logs",
        "run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition",
        f"run_id = '{run_id}' AND dagster_event_type = 'ASSET_CHECK_EVALUATION'",
        evaluations - 1,
    )


def copy_rows(
    connecting: AbstractContextManager[sa.Connection], table: str, columns: str, where: str, number: int
) -> None:
    """So many copies of one row of Dagster's own tables, which it could not write in a reasonable time."""
    with connecting as connection:
        connection.exec_driver_sql(
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {number}) "
            f"INSERT INTO {table} ({columns}) SELECT {columns} FROM (SELECT * FROM {table} WHERE {where} "
            "LIMIT 1) AS one, n"
        )


def copy_runs(instance: dg.DagsterInstance, number: int) -> None:
    """So many runs, all of them of yesterday. Their ids are not in their bodies, which nobody reads."""
    columns = "run_body, status, pipeline_name, update_timestamp, start_time, end_time"
    yesterday = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=1)
    with instance.run_storage.connect() as connection:
        text = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {number}) "
        text += f"INSERT INTO runs (run_id, create_timestamp, {columns}) SELECT 'copy-' || i, :at, {columns} "
        text += "FROM (SELECT * FROM runs LIMIT 1) AS one, n"
        connection.execute(sa.text(text), {"at": yesterday})
        connection.execute(sa.text("UPDATE runs SET create_timestamp = :at"), {"at": yesterday})


CATALOG = load_catalog("demo")


def tick(instance: dg.DagsterInstance) -> tuple[float, Round]:
    start = time.perf_counter()
    done = watch(instance, LedgerResource().open, CATALOG)
    return time.perf_counter() - start, done


def measure(name: str, url: str | None) -> Iterator[str]:
    with fresh_instance(url) as instance:
        fill_ledger()
        for _ in range(3):
            a_run(instance, EVALUATIONS // 3)
        copy_runs(instance, RUNS)
        tick(instance)
        yield f"| {name} | nothing is new | {min(tick(instance)[0] for _ in range(5)):.3f} | 0 |"
        a_run(instance, NEW)
        seconds, done = tick(instance)
        yield f"| {name} | 5,000 new check evaluations | {seconds:.3f} | {len(done.told)} |"
        give_up(NEW)
        seconds, done = tick(instance)
        yield f"| {name} | 5,000 executions given up | {seconds:.3f} | {len(done.told)} |"
        seconds = min(tick(instance)[0] for _ in range(5))
        yield f"| {name} | nothing is new, 5,000 are open | {seconds:.3f} | 0 |"


def main() -> None:
    lines = [
        f"{os.cpu_count()} CPUs ({platform.machine()}), Dagster {dg.__version__}\n",
        "| database | tick in which | seconds | messages |\n|---|---|---:|---:|",
    ]
    with both_databases() as databases:
        for name, fresh_url in databases.items():
            lines += measure(name, fresh_url())
    text = "\n".join(lines)
    print(text)
    TABLE.write_text(
        f"# What a tick of the alert sensor costs\n\n{__doc__.partition(chr(10) * 2)[2]}\n{text}\n"
    )


if __name__ == "__main__":
    main()
