"""What an execution costs the inference asset, with 1, 5 and 20 samples of a cell: everything but inference.

One run over 25 questions of three models in three regions, on a provider that answers at once. A cell is
materialized and checked once, however many executions it has.

    python -m benchmarks.samples

writes `benchmarks/samples.md`.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from beacon_pipeline.catalog.partitions import rectangle
from beacon_pipeline.catalog.plan import Plan
from beacon_pipeline.definitions import build_definitions
from beacon_pipeline.execution.resources import LedgerResource
from beacon_pipeline.jobs.dagster_api import INFERENCE_JOB, run_tags
from beacon_pipeline.jobs.job_making import make_job
from benchmarks.instant import Instant
from benchmarks.report import keep, machine
from benchmarks.subjects import FreshDatabase, a_catalog, both_databases, fresh_instance

QUESTIONS = 25
SAMPLES = (1, 5, 20)
TABLE = Path(__file__).with_suffix(".md")


def milliseconds_an_execution(samples: int, database: FreshDatabase) -> tuple[int, float, float]:
    """How many executions one run brought to their end, and what each took: wall and CPU."""
    plan = Plan(samples=samples, temperature=0.8, seed="feedbeef")
    with a_catalog(questions=QUESTIONS) as (catalog, _), fresh_instance(database()) as instance:
        cells = catalog.cells()
        with LedgerResource().open() as ledger:
            make_job(ledger, catalog, "bench", cells, source="bench", actor="bench", plan=plan)
        job = build_definitions(catalog, providers=Instant()).resolve_job_def(INFERENCE_JOB)
        tags = run_tags(catalog, "bench", rectangle(catalog, cells))
        wall, cpu = time.perf_counter(), time.process_time()
        assert job.execute_in_process(instance=instance, tags=tags).success
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        executions = len(cells) * samples
        return executions, 1000 * wall / executions, 1000 * cpu / executions


def main() -> None:
    """Measure, and keep the table."""
    rows = [
        machine() + f"; load {os.getloadavg()[0]:.0f} when it began",
        "",
        "| database | samples of a cell | executions | ms for each | CPU ms of the run for each |",
        "|---|---:|---:|---:|---:|",
    ]
    with both_databases() as databases:
        for name, database in databases.items():
            for samples in SAMPLES:
                executions, wall, cpu = milliseconds_an_execution(samples, database)
                rows.append(f"| {name} | {samples} | {executions} | {wall:.1f} | {cpu:.1f} |")
    keep(TABLE, "\n".join(rows))


if __name__ == "__main__":
    main()
