"""What a tick of the reconciliation sensor costs with 30,000 executions on record.

3,000 partitions that were asked in ten jobs, on SQLite and on PostgreSQL (Dagster's storage and the
ledger both): with nothing wrong, with 50 executions wrong, and with 5,000 wrong at once. A tick is
what the sensor does, opening the ledger included; runs are requested, and not launched.

`python -m benchmarks.reconciliation` writes `benchmarks/reconciliation.md`.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import sqlalchemy as sa

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.execution.request import request_for
from beacon_pipeline.execution.resources import LedgerResource
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.database import Database
from beacon_pipeline.ledger.records import CallFacts, Execution
from beacon_pipeline.ledger.types import Moment
from beacon_pipeline.reconciliation.tick import Cursor, Reconciliation, Tick
from beacon_pipeline.reconciliation.view import materialization_of
from benchmarks.report import keep, machine
from benchmarks.subjects import FreshDatabase, a_catalog, both_databases, fresh_instance, seconds_of
from inference.contract import CallStatus
from tests.beacon_pipeline.asking import MOMENT, completed
from tests.beacon_pipeline.location import Scripted
from tests.beacon_pipeline.scripted import Behaviour, ScriptedProvider

MODELS, QUESTIONS, JOBS = 10, 100, 10  # × 3 regions: 3,000 partitions, 30,000 executions
TICKS = 5
REPLIED = CallFacts(status=CallStatus.SUCCEEDED, replied=True)
TABLE = Path(__file__).with_suffix(".md")


@dataclass(frozen=True)
class Measured:
    database: str
    wrong: int
    milliseconds: float  # of the median tick
    slowest: float
    requested: int  # runs, by one tick


def fill(ledger: Ledger, instance: dg.DagsterInstance, catalog: Catalog) -> None:
    """Ten jobs in which everything was answered; the partitions show the newest."""
    cells = catalog.cells()
    for number in range(JOBS):
        job = ledger.jobs.ensure(f"job-{number}", source="launch", catalog="benchmark", catalog_digest="d")
        ledger.executions.ensure(job.id, cells, actor="benchmark")
        by_deployment: dict[tuple[str, str], list[Execution]] = {}
        for execution in ledger.executions.of_job(job.id):
            by_deployment.setdefault((execution.region, execution.model), []).append(execution)
        for (region, _), executions in by_deployment.items():
            call = ledger.calls.open(
                executions,
                lambda claimed: request_for(catalog, claimed),
                provider="local",
                actor="benchmark",
            )
            assert call is not None
            ledger.calls.accept(call.id, call.id)
            outcomes = {execution.id: completed(region=region) for execution in executions}
            ledger.calls.settle(call.id, outcomes, REPLIED, actor="benchmark")
    for execution in ledger.executions.of_job(job.id):
        instance.report_runless_asset_event(materialization_of([execution], job))


def make_wrong(url: str, count: int) -> None:
    """So many executions of the newest jobs have sat pending for long."""
    with closing(Database(url).engine.connect()) as connection, connection.begin():
        newest = (
            sa.text(
                "SELECT executions.id FROM executions JOIN jobs ON jobs.id = executions.job_id "
                "ORDER BY jobs.created_at DESC, executions.question, executions.id LIMIT :count"
            )
            .bindparams(count=count)
            .columns(id=sa.String)
        )
        ids = list(connection.scalars(newest))
        change = sa.text(
            "UPDATE executions SET status = 'pending', answer = NULL, answer_kind = NULL, "
            "finish_reason = NULL, executed_region = NULL, provenance = NULL, completed_at = NULL, "
            "updated_at = :old WHERE id = :id"
        ).bindparams(sa.bindparam("old", type_=Moment()))
        if ids:
            connection.execute(change, [{"id": one, "old": MOMENT} for one in ids])


def tick(instance: dg.DagsterInstance, catalog: Catalog, cursor: Cursor) -> Tick:
    provider = ScriptedProvider([Behaviour()])
    with LedgerResource().open() as ledger:
        return Reconciliation(ledger, instance, catalog, Scripted(provider)).tick(cursor)


def measure(database: str, catalog: Catalog, fresh_url: FreshDatabase) -> Iterator[Measured]:
    with fresh_instance(fresh_url()) as instance:
        with LedgerResource().open() as ledger:
            fill(ledger, instance, catalog)
        for wrong in (0, 50, 5000):
            make_wrong(os.environ["BEACON_DATABASE_URL"], wrong)
            ticks = [tick(instance, catalog, Cursor())]  # the first one imports
            cursor, seconds = ticks[0].cursor, []
            for _ in range(TICKS):
                seconds.append(seconds_of(lambda: ticks.append(tick(instance, catalog, cursor))))  # noqa: B023
                cursor = ticks[-1].cursor
            requested = max(len(one.runs) for one in ticks)
            yield Measured(database, wrong, statistics.median(seconds) * 1e3, max(seconds) * 1e3, requested)


def table(rows: list[Measured]) -> str:
    lines = [
        "| database | executions wrong | median tick, ms | slowest of 5, ms | runs requested by a tick |",
        "|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {r.database} | {r.wrong:,} | {r.milliseconds:.0f} | {r.slowest:.0f} | {r.requested} |"
        for r in rows
    ]
    return "\n".join(lines)


def main() -> None:
    rows: list[Measured] = []
    with a_catalog(questions=QUESTIONS, copies=MODELS) as (catalog, _), both_databases() as databases:
        for name, fresh_url in databases.items():
            rows += measure(name, catalog, fresh_url)
    keep(TABLE, f"{machine()}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
