"""A thousand Modal calls in flight from one run: its memory, its threads, and how late the record is.

One process materializes 1,000 deployments of one question each, by the real SDK, against the loopback
Modal (in this process, answering by itself), where every call is pending for some time of its own. The
record's lag is from the server's *finish* of a call to the moment at which the run has read it back
from the ledger as completed.

    python -m benchmarks.in_flight

writes `benchmarks/in_flight.md`.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import yaml

import beacon_pipeline.catalog
from beacon_pipeline.catalog import Catalog, load_catalog
from beacon_pipeline.execution.providers import Providers
from beacon_pipeline.execution.run import Materializer
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Execution
from beacon_pipeline.ledger.status import Status
from benchmarks.report import keep, machine
from inference.modal.spec import APP_NAME, class_name
from tests.databases import fresh_postgresql_database, postgresql_server
from tests.inference.replies import reply_to
from tests.modal_loopback import Call, Loopback, Match
from tests.modal_loopback.faults import PendingFor

CALLS = 1_000
PENDING_SECONDS = (30.0, 60.0)  # of each call: long enough that all of them are in flight at once
GROUPS = 100  # of calls that are pending equally long
SAMPLE_SECONDS = 0.25
TABLE = Path(__file__).with_suffix(".md")


def answer(call: Call) -> dict[str, Any]:
    """What a container would reply, in the server itself."""
    return reply_to(call, "An answer of ordinary length. " * 20)


def write_catalog(folder: Path) -> Catalog:
    """One region, one question, a thousand models."""
    production = Path(beacon_pipeline.catalog.__file__).parent / "production"
    model = yaml.safe_load((production / "models.yaml").read_text())["models"][0]
    models = [model | {"id": f"m{n:04d}", "regions": ["eu"], "secrets": []} for n in range(CALLS)]
    question = {"id": "asked", "text": "What is 7 times 8?", "category": "control", "sensitivity": "low"}
    (folder / "regions.yaml").write_text((production / "regions.yaml").read_text())
    (folder / "models.yaml").write_text(json.dumps({"models": models}))
    (folder / "questions.yaml").write_text(json.dumps({"questions": [question]}))
    return load_catalog(str(folder))


# In the process of the run.


def run(database_url: str, catalog_folder: Path, report: Path) -> None:
    """Materialize everything, and write down when each call was settled and what it took."""
    asyncio.run(_run(database_url, catalog_folder, report))


async def _run(database_url: str, catalog_folder: Path, report: Path) -> None:
    from inference.modal.provider import ModalProvider

    catalog = load_catalog(str(catalog_folder))
    ledger = Ledger(database_url)
    ledger.migrate()
    job = ledger.jobs.ensure("bench", source="bench", catalog="bench", catalog_digest=catalog.digest)
    ledger.executions.ensure(job.id, catalog.cells(), actor="bench")
    completed: dict[str, float] = {}

    def keep(executions: Sequence[Execution]) -> None:
        for execution in executions:
            assert execution.status is Status.COMPLETED, execution
            assert execution.newest_call is not None
            completed[execution.newest_call.id] = time.time()

    providers = Providers(catalog, {"modal": lambda _: ModalProvider()})
    samples: list[tuple[float, float, int]] = []
    sampling = asyncio.create_task(_sample(samples))
    try:
        await Materializer(ledger, catalog, providers, actor="bench").materialize(
            job.id, catalog.cells(), keep
        )
    finally:
        sampling.cancel()
        await providers.close()
    times = psutil.Process().cpu_times()
    cpu_seconds = times.user + times.system
    report.write_text(json.dumps({"completed": completed, "samples": samples, "cpu_seconds": cpu_seconds}))
    ledger.close()


async def _sample(samples: list[tuple[float, float, int]]) -> None:
    """Keep time, resident memory in MiB and number of threads, again and again."""
    process = psutil.Process()
    while True:
        samples.append((time.time(), process.memory_info().rss / 2**20, process.num_threads()))
        await asyncio.sleep(SAMPLE_SECONDS)


# In the process of the server.


@dataclass(frozen=True)
class Sample:
    """What the run held at one moment, and the calls that were in flight at the server."""

    in_flight: int
    mebibytes: float
    threads: int


@dataclass(frozen=True)
class Measured:
    database: str
    seconds: float
    cpu_seconds: float
    samples: list[Sample]
    lags: list[float]  # sorted

    def lag(self, share: float) -> float:
        return self.lags[min(int(share * len(self.lags)), len(self.lags) - 1)]

    def first_with(self, in_flight: int) -> Sample:
        return next(sample for sample in self.samples if sample.in_flight >= in_flight)

    @property
    def most_in_flight(self) -> int:
        return max(sample.in_flight for sample in self.samples)


@contextmanager
def loopback(folder: Path, catalog: Catalog) -> Iterator[Loopback]:
    """A server that knows a class for every deployment, each pending for a time of its own."""
    chance = random.Random(1)
    with Loopback(folder, answer=answer) as modal:
        for deployment in catalog.deployments():
            modal.serve(APP_NAME, class_name(deployment), ["answer"], region="eu")
        for group in range(GROUPS):
            pattern = f"*{group:02d}"
            modal.inject(PendingFor(seconds=chance.uniform(*PENDING_SECONDS)), Match(class_name=pattern))
        yield modal


def measure(database: str, database_url: str, folder: Path) -> Measured:
    folder.mkdir()
    catalog = write_catalog(folder)
    report = folder / "report.json"
    with loopback(folder / "modal", catalog) as modal:
        os.environ.update(modal.client_environment())
        process = multiprocessing.get_context("spawn").Process(
            target=run, args=(database_url, folder, report)
        )
        process.start()
        process.join()
        if process.exitcode != 0:
            sys.exit(f"the run ended with {process.exitcode}")
        spawned = sorted(event["at"] for event in modal.events("spawn"))
        finished = {event["request_id"]: event["at"] for event in modal.events("finish")}
    return _measured(database, json.loads(report.read_text()), spawned, finished)


def _measured(
    database: str, told: Mapping[str, Any], spawned: Sequence[float], finished: Mapping[str, float]
) -> Measured:
    completed: Mapping[str, float] = told["completed"]
    assert len(spawned) == len(finished) == len(completed) == CALLS, (len(spawned), len(completed))
    ends = sorted(finished.values())
    in_flight = partial(_in_flight_at, spawned, ends)
    samples = [Sample(in_flight(at), mebibytes, threads) for at, mebibytes, threads in told["samples"]]
    lags = sorted(completed[request] - at for request, at in finished.items())
    seconds = max(completed.values()) - told["samples"][0][0]
    return Measured(database, seconds, told["cpu_seconds"], samples, lags)


def _in_flight_at(spawned: Sequence[float], ends: Sequence[float], at: float) -> int:
    return bisect_right(spawned, at) - bisect_right(ends, at)


def table(rows: Sequence[Measured]) -> str:
    lines = [
        "| database | in flight at the server | memory of the run, MiB | its threads |",
        "|---|---:|---:|---:|",
    ]
    for row in rows:
        for number in (1, CALLS // 10, CALLS // 2, row.most_in_flight):
            sample = row.first_with(number)
            lines.append(
                f"| {row.database} | {sample.in_flight} | {sample.mebibytes:.0f} | {sample.threads} |"
            )
        most = max(sample.mebibytes for sample in row.samples)
        threads = max(sample.threads for sample in row.samples)
        lines.append(f"| {row.database} | the most of the whole run | {most:.0f} | {threads} |")
    lines += ["", "From the server's finish of a call to the record's *completed*, in seconds:", ""]
    lines += ["| database | calls | p50 | p95 | p99 | longest | whole run | CPU of the run |"]
    lines += ["|---|---:|---:|---:|---:|---:|---:|---:|"]
    lines += [
        f"| {r.database} | {len(r.lags)} | {r.lag(0.5):.2f} | {r.lag(0.95):.2f} | {r.lag(0.99):.2f} "
        f"| {r.lags[-1]:.2f} | {r.seconds:.0f} | {r.cpu_seconds:.0f} |"
        for r in rows
    ]
    return "\n".join(lines)


def main() -> None:
    with tempfile.TemporaryDirectory() as name, postgresql_server(Path(name) / "pg") as server:
        folder = Path(name)
        rows = [
            measure("SQLite", f"sqlite:///{folder}/ledger.db", folder / "sqlite"),
            measure("PostgreSQL", fresh_postgresql_database(server), folder / "postgresql"),
        ]
    low, high = PENDING_SECONDS
    keep(TABLE, f"{machine()}; each call pending {low:g} to {high:g} seconds at the server\n\n{table(rows)}")


if __name__ == "__main__":
    main()
