"""Chaos: what happens to processes, the database and the provider at random, while real runs ask.

A seed makes a plan; the plan is carried out against a real instance with its daemon and sensors;
then the record is reconciled, and must be whole. `make chaos` runs it on more than 500 executions
for five seeds; `test_chaos.py` runs it small.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
import yaml

import beacon_pipeline.catalog
from tests.beacon_pipeline.instances import BEACON, beacon, environment, report, witness
from tests.databases import fresh_postgresql_database, postgresql_server

KINDS = ("kill a run", "kill the daemon", "outage", "database")
OUTAGE_SECONDS = 3.0
LOCK_SECONDS = 2.0
RECONCILIATIONS = 8


@dataclass(frozen=True)
class Disturbance:
    """Something that goes wrong, so many seconds after the one before."""

    kind: str
    after_seconds: float


@dataclass(frozen=True)
class Outcome:
    """What a seed came to."""

    seed: int
    executions: int
    disturbances: dict[str, int]
    by_status: dict[str, int]
    mismatches: int
    submitted_twice: int
    generated_twice: int
    reconciliations: int
    seconds: float

    def __str__(self) -> str:
        disturbed = ", ".join(f"{count} × {kind}" for kind, count in sorted(self.disturbances.items()))
        settled = ", ".join(f"{count} {word}" for word, count in self.by_status.items() if count)
        return (
            f"seed {self.seed}: {self.executions} executions ({settled}), {disturbed}; "
            f"{self.submitted_twice} submitted twice, {self.generated_twice} generated twice, "
            f"{self.mismatches} mismatches after {self.reconciliations} reconciliations, {self.seconds:.0f} s"
        )


def plan(seed: int, count: int) -> list[Disturbance]:
    """The disturbances of a seed. Pure."""
    chance = random.Random(seed)
    return [Disturbance(chance.choice(KINDS), chance.uniform(0.5, 4)) for _ in range(count)]


def write_catalog(folder: Path, questions: int) -> Path:
    """Two regions × three models × so many questions, with a short deadline."""
    demo = Path(beacon_pipeline.catalog.__file__).parent / "demo"
    regions, models = (yaml.safe_load((demo / f"{name}.yaml").read_text()) for name in ("regions", "models"))
    regions["regions"] = regions["regions"][:2]
    for model in models["models"]:
        model["folder"] = str((demo / model["folder"]).resolve())
    asked = [
        {"id": f"q{n:03d}", "text": f"What is {n} plus {n}?", "category": "control", "sensitivity": "low"}
        for n in range(questions)
    ]
    folder.mkdir()
    content = {
        "regions": regions,
        "models": models,
        "questions": {"questions": asked},
        "settings": {"deadline_seconds": 5},
    }
    for name, value in content.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(value))
    return folder


class Chaos:
    """One instance, and what is done to it."""

    def __init__(self, folder: Path, questions: int, database_url: str | None) -> None:
        self.env = environment(folder, database_url=database_url, location="tests.chaos.location")
        self.env["BEACON_CATALOG"] = str(write_catalog(folder / "catalog", questions))
        self.home = Path(self.env["DAGSTER_HOME"])
        self.database_url = database_url
        self.log = folder / "asking.log"

    def disturb(self, kind: str) -> None:
        match kind:
            case "kill a run":
                self.kill(self._workers())
            case "kill the daemon":
                self.kill(self._daemons())
            case "outage":
                outage = self.home / "unreachable"
                outage.touch()
                time.sleep(OUTAGE_SECONDS)
                outage.unlink()
            case "database":
                self._disturb_database()

    def kill(self, processes: Sequence[psutil.Process]) -> None:
        for process in processes[:1]:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)

    def _workers(self) -> list[psutil.Process]:
        """The processes that submitted a call and are still there, newest first."""
        ids = [row["process"] for row in witness(self.env, "submissions")]
        return [psutil.Process(pid) for pid in reversed(ids) if psutil.pid_exists(pid)]

    def _daemons(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter(["cmdline"]):
            command = process.info["cmdline"] or []
            if any("dagster-daemon" in word for word in command) and self._is_ours(process):
                found.append(process)
        return found

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get("DAGSTER_HOME") == str(self.home)
        except psutil.Error:
            return False

    def _disturb_database(self) -> None:
        if self.database_url is None:
            with closing(sqlite3.connect(self.home / "ledger.db", isolation_level=None)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                time.sleep(LOCK_SECONDS)
                connection.execute("ROLLBACK")
        else:
            with psycopg.connect(self.database_url, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )

    def ask(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            command = [BEACON, "run", "--new-job"]
            return subprocess.Popen(command, env=self.env, stdout=log, stderr=log, start_new_session=True)


def twice(rows: Sequence[dict[str, Any]], items: str) -> int:
    """How many items the provider's own record has more than once."""
    seen = Counter(
        item for row in rows for item in (row[items] if isinstance(row[items], list) else [row[items]])
    )
    return sum(count - 1 for count in seen.values())


def run(seed: int, folder: Path, *, questions: int, count: int, database_url: str | None = None) -> Outcome:
    """Carry out the plan of a seed, reconcile, and tell what came of it."""
    started = time.monotonic()
    chaos = Chaos(folder, questions, database_url)
    disturbances = plan(seed, count)
    asking = chaos.ask()
    while not witness(chaos.env, "submissions"):
        assert asking.poll() is None, chaos.log.read_text()
        time.sleep(0.1)
    for disturbance in disturbances:
        time.sleep(disturbance.after_seconds)
        chaos.disturb(disturbance.kind)
    asking.wait(timeout=600)
    reconciliations = 0
    while reconciliations < RECONCILIATIONS:
        reconciliations += 1
        if beacon(chaos.env, "reconcile").returncode == 0:
            break
    told = report(chaos.env)
    return Outcome(
        seed=seed,
        executions=told["executions"],
        disturbances=dict(Counter(d.kind for d in disturbances)),
        by_status=told["by_status"],
        mismatches=told["mismatches"],
        submitted_twice=twice(witness(chaos.env, "submissions"), "items"),
        generated_twice=twice(witness(chaos.env, "generations"), "item"),
        reconciliations=reconciliations,
        seconds=time.monotonic() - started,
    )


def must_be_whole(outcome: Outcome, executions: int) -> None:
    """Raises AssertionError with the seed unless nothing was lost, repeated or left open."""
    assert outcome.executions == executions, outcome
    assert outcome.by_status["completed"] == executions, outcome
    assert (outcome.mismatches, outcome.submitted_twice) == (0, 0), outcome
    # What a killed process generated and never kept is truly lost, and not in the provider's record.
    assert outcome.generated_twice == 0, outcome


def main() -> None:
    seeds = [int(seed) for seed in os.environ.get("SEEDS", "1,2,3,4,5").split(",")]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with postgresql_server(Path(folder) / "pg") as server:
            for number, seed in enumerate(seeds):
                url = fresh_postgresql_database(server) if number % 2 else None
                place = Path(folder) / f"seed-{seed}"
                place.mkdir()
                outcome = run(seed, place, questions=84, count=14, database_url=url)
                print(f"{'PostgreSQL' if url else 'SQLite'}: {outcome}", flush=True)
                must_be_whole(outcome, 504)


if __name__ == "__main__":
    sys.exit(main())
