"""How many connections to PostgreSQL an installation has while as many runs are at work as may be.

The production configuration on one database, with its daemon and code server: 24 runs, or as many as are
named (a multiple of three), one for each deployment, whose calls stay pending for a while. `pg_stat_activity`
is looked at ten times a second.

    python -m benchmarks.connections [RUNS]

writes `benchmarks/connections.md`.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import psutil
import psycopg
import yaml

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.catalog.partitions import key_ranges
from beacon_pipeline.definitions import build_definitions
from beacon_pipeline.execution.providers import Providers
from beacon_pipeline.execution.resources import ProvidersResource
from beacon_pipeline.instance.daemon import Daemon
from benchmarks.orchestration import launch_and_wait
from benchmarks.report import keep, machine
from benchmarks.subjects import a_catalog, both_databases, fresh_instance
from inference.contract import CallState, CallStatus
from tests.beacon_pipeline.scripted import SUCCEEDED, Behaviour, ScriptedProvider

RUNS, QUESTIONS = 24, 8
POLLS_PENDING = 40  # at most 2 s apart: longer than starting all runs takes
EVERY_SECONDS = 0.1
TABLE = Path(__file__).with_suffix(".md")
SEEN = (
    "SELECT client_port FROM pg_stat_activity WHERE datname = current_database() "
    "AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
)


class Slow(ProvidersResource):
    """Every call is pending for a while, so that all runs are at work at once."""

    def open(self, catalog: Catalog) -> Providers:
        states = [CallState(status=CallStatus.PENDING)] * POLLS_PENDING + [SUCCEEDED]
        return Providers(catalog, {"local": lambda _: ScriptedProvider([Behaviour(states=states)])})


@dg.definitions
def definitions() -> dg.Definitions:
    return build_definitions(providers=Slow())


@dataclass
class Seen:
    """The most that was seen at one time, and what there was when most runs were at work."""

    connections: int = 0
    processes: int = 0
    looks: list[tuple[int, int]] = field(default_factory=list)  # runs at work, connections


@contextmanager
def watching(url: str, instance: dg.DagsterInstance) -> Iterator[Seen]:
    seen, done = Seen(), threading.Event()

    def watch() -> None:
        started = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
        with psycopg.connect(url, autocommit=True) as connection:
            while not done.wait(EVERY_SECONDS):
                rows = connection.execute(SEEN).fetchall()
                runs = instance.get_runs_count(started)
                seen.connections = max(seen.connections, len(rows))
                seen.processes = max(seen.processes, len(psutil.Process().children(recursive=True)))
                seen.looks.append((runs, len(rows)))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def table(seen: Seen) -> str:
    most = max(runs for runs, _ in seen.looks)
    at_most = [connections for runs, connections in seen.looks if runs == most]
    usual, _ = Counter(at_most).most_common(1)[0]
    return "\n".join(
        [
            "| runs at work at once | processes | connections then, usually | at most at any time |",
            "|---:|---:|---:|---:|",
            f"| {most} | {seen.processes} | {usual} | {seen.connections} |",
        ]
    )


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    with a_catalog(questions=QUESTIONS, copies=runs // 3) as (catalog, folder), both_databases() as databases:
        module = {"module_name": "benchmarks.connections", "location_name": "beacon"}
        module["working_directory"] = str(Path(__file__).parents[1])
        workspace = folder / "workspace.yaml"
        workspace.write_text(yaml.safe_dump({"load_from": [{"python_module": module}]}))
        os.environ["BEACON_WORKSPACE"] = str(workspace)
        url = databases["PostgreSQL"]()
        assert url is not None
        cells = catalog.cells((), (), ())
        ranges = [(keys.start, keys.end) for keys in key_ranges(catalog, cells)]
        with (
            fresh_instance(url, shipped="production") as instance,
            Daemon(instance, catalog),
            watching(url, instance) as seen,
        ):
            launch_and_wait(instance, ranges)
    keep(TABLE, f"{machine()}, load {os.getloadavg()[0]:.0f} at the end\n\n{table(seen)}")


if __name__ == "__main__":
    main()
