"""What everything but inference costs: milliseconds per execution with a provider that answers at once.

Side by side in one run, on SQLite and on PostgreSQL (Dagster's storage and the ledger both):

    (a) one Dagster run for each partition
    (b) batched: one run for each deployment, as Beacon does it
    (c) the floor: Dagster writing the same events by the cheapest of its own paths, and nothing else

    (s) as (b), with Dagster's own storage classes, which open a connection for each statement

(a) and (b) are launched as a person launches them: queued, and started by the daemon, a process for
each run, four at a time as the shipped instance has it. (b) is measured once more in this one process,
because (c) and (s) have neither a queue nor processes to start.

`make bench` runs it and writes `benchmarks/orchestration.md`.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import dagster as dg
import yaml

# The floor is made of Dagster's own parts; the public interface has no way to write an event so cheaply.
from dagster._core.events import (  # noqa: TID251
    DagsterEvent,
    DagsterEventBatchMetadata,
    StepMaterializationData,
)

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.catalog.partitions import key_of, key_ranges
from beacon_pipeline.definitions import build_definitions
from beacon_pipeline.instance.daemon import Daemon
from beacon_pipeline.jobs.dagster_api import INFERENCE_JOB, Launch, launch_runs
from beacon_pipeline.names import INFERENCE, RANGE_END_TAG, RANGE_START_TAG
from benchmarks.instant import Instant
from benchmarks.report import keep, machine
from benchmarks.subjects import FreshDatabase, a_catalog, both_databases, fresh_instance, seconds_of

QUESTIONS = 80  # × 3 models × 3 regions = 720 executions
SAMPLED_RUNS = 6  # of (a): one run takes long enough to be measured by few
EVENT_BATCH = 500
WAYS = 5  # for each database
TABLE = Path(__file__).with_suffix(".md")


@dataclass(frozen=True)
class Measured:
    database: str
    way: str
    executions: int
    milliseconds: float  # for each execution


def launch_and_wait(instance: dg.DagsterInstance, ranges: Sequence[tuple[str, str]]) -> None:
    """Queue one Dagster run for each range of partition keys, and wait until all have succeeded."""
    run_ids = launch_runs(
        [Launch(INFERENCE_JOB, {RANGE_START_TAG: first, RANGE_END_TAG: last}) for first, last in ranges]
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
    """Materializations through Dagster's batched path; planned ones and check evaluations, which have
    none, one by one."""
    batched = [e for e in events if isinstance(e.event_specific_data, StepMaterializationData)]
    others = [e for e in events if not isinstance(e.event_specific_data, StepMaterializationData)]
    run_id, batch_id = str(uuid.uuid4()), str(uuid.uuid4())
    os.environ["DAGSTER_EVENT_BATCH_SIZE"] = str(EVENT_BATCH)
    try:
        for number, event in enumerate(batched, start=1):
            batch = DagsterEventBatchMetadata(batch_id, is_end=number == len(batched))
            instance.report_dagster_event(event, run_id, batch_metadata=batch)
    finally:
        del os.environ["DAGSTER_EVENT_BATCH_SIZE"]
    for event in others:
        instance.report_dagster_event(event, run_id)


def measure(database: str, catalog: Catalog, fresh_url: FreshDatabase) -> Iterator[Measured]:
    cells = catalog.cells((), (), ())
    ranges = [(keys.start, keys.end) for keys in key_ranges(catalog, cells)]
    singles = [(key_of(cell), key_of(cell)) for cell in cells[:: len(cells) // SAMPLED_RUNS]]
    first, singles = singles[:1], singles[1:]

    def result(way: str, executions: int, seconds: float) -> Measured:
        return Measured(database, way, executions, seconds * 1e3 / executions)

    for way, chosen, executions in (
        ("(a) launched: one run for each partition", singles, len(singles)),
        ("(b) launched: one run for each deployment", ranges, len(cells)),
    ):
        with fresh_instance(fresh_url()) as instance, Daemon(instance, catalog):
            launch_and_wait(instance, first)  # imports, migrations, the code server
            seconds = seconds_of(partial(launch_and_wait, instance, chosen))
        yield result(way, executions, seconds)

    with fresh_instance(fresh_url(), stock_storage=True) as instance:
        seconds = seconds_of(lambda: run_ranges(instance, catalog, ranges))
    yield result("(s) in one process, Dagster's own storage", len(cells), seconds)

    run_ids: list[str] = []
    with fresh_instance(fresh_url()) as instance:
        seconds = seconds_of(lambda: run_ids.extend(run_ranges(instance, catalog, ranges)))
        events = events_of(instance, run_ids)
    yield result("(b) in one process", len(cells), seconds)

    assert len(events) == 5 * len(cells)
    with fresh_instance(fresh_url()) as instance:
        seconds = seconds_of(lambda: write_the_same(instance, events))
        assert len(instance.get_materialized_partitions(INFERENCE)) == len(cells)
    yield result("(c) the same events, nothing else", len(cells), seconds)


def table(rows: Sequence[Measured]) -> str:
    lines = ["| database | way | executions measured | ms for each |", "|---|---|---:|---:|"]
    lines += [f"| {r.database} | {r.way} | {r.executions} | {r.milliseconds:.1f} |" for r in rows]
    for start in range(0, len(rows), WAYS):
        single, batched, stock, in_process, floor = (row.milliseconds for row in rows[start : start + WAYS])
        lines.append(
            f"\n{rows[start].database}: (b) is {single / batched:.0f} times as quick as (a) "
            f"and takes {in_process / floor:.2f} × (c) and {in_process / stock:.2f} × (s)."
        )
    return "\n".join(lines)


def main() -> None:
    rows: list[Measured] = []
    with a_catalog(questions=QUESTIONS) as (catalog, folder), both_databases() as databases:
        workspace = folder / "workspace.yaml"
        module = {"module_name": "benchmarks.instant", "location_name": "beacon"}
        module["working_directory"] = str(Path(__file__).parents[1])
        workspace.write_text(yaml.safe_dump({"load_from": [{"python_module": module}]}))
        os.environ["BEACON_WORKSPACE"] = str(workspace)
        for name, fresh_url in databases.items():
            rows += measure(name, catalog, fresh_url)
    keep(TABLE, f"{machine()}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
