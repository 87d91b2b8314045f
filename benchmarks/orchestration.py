"""What everything but inference costs: milliseconds per execution with a provider that answers at once.

Side by side in one run, on SQLite and on PostgreSQL (Dagster's storage and the ledger both):

    (a) one Dagster run for each partition
    (b) batched: one run for each deployment, as Beacon does it
    (c) the floor: the same events written in batches of 500, and nothing else

    (s) as (b), with Dagster's own storage classes, which open a connection for each statement

(a) and (b) are launched as a person launches them: queued, and started by the daemon, a process for
each run, four at a time as the shipped instance has it. (b) is measured once more in this one process,
because (c) and (s) have neither a queue nor processes to start. CPU time is of this process, and says more
than the clock on a machine that does other things too.

`make bench` runs it and writes `benchmarks/orchestration.md`; with `--in-process` and a number of questions
only what needs no launching.
"""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import dagster as dg
import yaml

# The floor is made of Dagster's own events, which have no public name.
from dagster._core.events import DagsterEvent  # noqa: TID251

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.catalog.partitions import key_of, key_ranges
from beacon_pipeline.definitions import build_definitions
from beacon_pipeline.instance.daemon import Daemon
from beacon_pipeline.instance.event_batches import in_one_batch
from beacon_pipeline.jobs.dagster_api import INFERENCE_JOB, Launch, launch_runs
from beacon_pipeline.ledger.records import Cell
from beacon_pipeline.names import INFERENCE, RANGE_END_TAG, RANGE_START_TAG
from benchmarks.instant import Instant
from benchmarks.report import keep, machine
from benchmarks.subjects import FreshDatabase, a_catalog, both_databases, fresh_instance, seconds_of

QUESTIONS = 80  # × 3 models × 3 regions = 720 executions
SAMPLED_RUNS = 6  # of (a): one run takes long enough to be measured by few
TABLE = Path(__file__).with_suffix(".md")


@dataclass(frozen=True)
class Measured:
    database: str
    way: str
    executions: int
    milliseconds: float  # for each execution
    cpu: float | None  # milliseconds of this process; None: other processes did the work


def launch_and_wait(instance: dg.DagsterInstance, ranges: Sequence[tuple[str, str]]) -> None:
    """Queue one Dagster run for each range of partition keys, and wait until all have succeeded."""
    run_ids = launch_runs(
        instance,
        [Launch(INFERENCE_JOB, {RANGE_START_TAG: first, RANGE_END_TAG: last}) for first, last in ranges],
    )
    while True:
        runs = instance.get_runs(dg.RunsFilter(run_ids=run_ids))
        assert not any(run.is_failure_or_canceled for run in runs)
        if all(run.is_success for run in runs):
            return
        time.sleep(0.2)


def run_ranges(
    instance: dg.DagsterInstance, catalog: Catalog, ranges: Sequence[tuple[str, str]]
) -> list[str]:
    """One Dagster run for each range of partition keys; their run ids."""
    job = build_definitions(catalog, providers=Instant()).resolve_job_def(INFERENCE_JOB)
    return [
        job.execute_in_process(instance=instance, tags={RANGE_START_TAG: first, RANGE_END_TAG: last}).run_id
        for first, last in ranges
    ]


def events_of(instance: dg.DagsterInstance, run_ids: Sequence[str]) -> list[DagsterEvent]:
    kinds = {
        dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
        dg.DagsterEventType.ASSET_MATERIALIZATION,
        dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    }
    logs = [entry for run_id in run_ids for entry in instance.all_logs(run_id, of_type=kinds)]
    return [entry.dagster_event for entry in logs if entry.dagster_event]


def write_the_same(instance: dg.DagsterInstance, events: Sequence[DagsterEvent]) -> None:
    run_id = str(uuid.uuid4())
    with in_one_batch(instance):
        for event in events:
            instance.report_dagster_event(event, run_id)


def milliseconds_of(work: Callable[[], object]) -> tuple[float, float]:
    """By the clock, and of this process's CPU."""
    cpu = time.process_time()
    wall = seconds_of(work)
    return wall * 1e3, (time.process_time() - cpu) * 1e3


def measure_launched(database: str, catalog: Catalog, fresh_url: FreshDatabase) -> Iterator[Measured]:
    cells, ranges = cells_and_ranges(catalog)
    singles = [(key_of(cell), key_of(cell)) for cell in cells[:: len(cells) // SAMPLED_RUNS]]
    first, singles = singles[:1], singles[1:]
    for way, chosen, executions in (
        ("(a) launched: one run for each partition", singles, len(singles)),
        ("(b) launched: one run for each deployment", ranges, len(cells)),
    ):
        with fresh_instance(fresh_url()) as instance, Daemon(instance, catalog):
            launch_and_wait(instance, first)  # imports, migrations, the code server
            seconds = seconds_of(partial(launch_and_wait, instance, chosen))
        yield Measured(database, way, executions, seconds * 1e3 / executions, None)


def measure_in_process(database: str, catalog: Catalog, fresh_url: FreshDatabase) -> Iterator[Measured]:
    cells, ranges = cells_and_ranges(catalog)

    def result(way: str, measured: tuple[float, float]) -> Measured:
        wall, cpu = (milliseconds / len(cells) for milliseconds in measured)
        return Measured(database, way, len(cells), wall, cpu)

    with fresh_instance(fresh_url(), stock_storage=True) as instance:
        measured = milliseconds_of(lambda: run_ranges(instance, catalog, ranges))
    yield result("(s) in one process, Dagster's own storage", measured)

    run_ids: list[str] = []
    with fresh_instance(fresh_url()) as instance:
        measured = milliseconds_of(lambda: run_ids.extend(run_ranges(instance, catalog, ranges)))
        events = events_of(instance, run_ids)
    yield result("(b) in one process", measured)

    assert len(events) == 5 * len(cells)
    with fresh_instance(fresh_url()) as instance:
        measured = milliseconds_of(lambda: write_the_same(instance, events))
        assert len(instance.get_materialized_partitions(INFERENCE)) == len(cells)
    yield result("(c) the same events, nothing else", measured)


def cells_and_ranges(catalog: Catalog) -> tuple[Sequence[Cell], list[tuple[str, str]]]:
    cells = catalog.cells((), (), ())
    return cells, [(keys.start, keys.end) for keys in key_ranges(catalog, cells)]


def table(rows: Sequence[Measured]) -> str:
    lines = [
        "| database | way | executions measured | ms for each | of them CPU |",
        "|---|---|---:|---:|---:|",
    ]
    for r in rows:
        cpu = "" if r.cpu is None else f"{r.cpu:.1f}"
        lines.append(f"| {r.database} | {r.way} | {r.executions} | {r.milliseconds:.1f} | {cpu} |")
    for database in dict.fromkeys(row.database for row in rows):
        of_it = [row for row in rows if row.database == database]
        *launched, stock, in_process, floor = (row.milliseconds for row in of_it)
        *_, stock_cpu, in_process_cpu, floor_cpu = (row.cpu or 0.0 for row in of_it)
        lines.append(
            f"\n{database}: (b) takes {in_process / floor:.2f} × (c) and {in_process / stock:.2f} × (s) "
            f"by the clock, {in_process_cpu / floor_cpu:.2f} × and {in_process_cpu / stock_cpu:.2f} × of CPU."
        )
        if launched:
            lines[-1] += f" Launched it is {launched[0] / launched[1]:.0f} times as quick as (a)."
    return "\n".join(lines)


def main() -> None:
    rows: list[Measured] = []
    in_process = "--in-process" in sys.argv
    questions = int(sys.argv[-1]) if sys.argv[-1].isdecimal() else QUESTIONS
    with a_catalog(questions=questions) as (catalog, folder), both_databases() as databases:
        workspace = folder / "workspace.yaml"
        module = {"module_name": "benchmarks.instant", "location_name": "beacon"}
        module["working_directory"] = str(Path(__file__).parents[1])
        workspace.write_text(yaml.safe_dump({"load_from": [{"python_module": module}]}))
        os.environ["BEACON_WORKSPACE"] = str(workspace)
        for name, fresh_url in databases.items():
            if not in_process:
                rows += measure_launched(name, catalog, fresh_url)
            rows += measure_in_process(name, catalog, fresh_url)
    keep(TABLE, f"{machine()}; load {os.getloadavg()[0]:.0f} at the end.\n\n{table(rows)}")


if __name__ == "__main__":
    main()
