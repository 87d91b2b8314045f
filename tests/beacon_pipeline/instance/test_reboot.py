"""Everything of an instance is killed at once, as by a reboot; the next command goes on and ends."""

import os
import re
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from beacon_pipeline.instance.dagster_yaml import DATABASE_VARIABLE
from tests.beacon_pipeline.instances import (
    BEACON,
    SLOWLY,
    accepted_calls,
    beacon_here,
    environment,
    processes_of,
    report,
    witness,
)
from tests.databases import fresh_postgresql_database
from tests.waiting import PATIENCE_SECONDS, end_of, wait_for

SELECTION = ("--region", "eu", "--model", "tiny-llama")


# On SQLite a killed run is asked again in `test_crash`, and all that was killed cancelled below.
@pytest.fixture(params=[pytest.param("sqlite", marks=pytest.mark.long), "postgresql"])
def env(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """The environment of an instance with all its storage on one kind of database."""
    values = environment(tmp_path, location="tests.beacon_pipeline.locations.slow")
    if request.param == "postgresql":
        url = fresh_postgresql_database(request.getfixturevalue("postgresql_url"))
        values |= {DATABASE_VARIABLE: url, "BEACON_DATABASE_URL": url}
    return values


def test_after_everything_was_killed_the_next_run_completes(env: dict[str, str], tmp_path: Path) -> None:
    kill_everything_in_mid_batch(env, tmp_path / "first.log")
    assert report(env)["by_status"]["dispatched"] > 0

    began = time.monotonic()
    second = beacon_here(env, "run", *SELECTION)
    assert time.monotonic() - began < PATIENCE_SECONDS
    assert second.exit_code == 0, second.stderr
    assert "continuing job" in second.stderr
    after = report(env)
    assert (after["executions"], after["by_status"]["completed"], after["mismatches"]) == (8, 8, 0)
    submitted = Counter(item for call in accepted_calls(env) for item in call["items"])
    generated = Counter(row["item"] for row in witness(env, "generations"))
    assert set(submitted.values()) == set(generated.values()) == {1}, "nothing is asked twice"
    assert processes_of(env) == []


def test_after_everything_was_killed_a_job_can_be_cancelled(tmp_path: Path) -> None:
    env = environment(tmp_path, location="tests.beacon_pipeline.locations.slow")
    kill_everything_in_mid_batch(env, tmp_path / "first.log")
    told = beacon_here(env, "doctor")
    assert told.exit_code == 1
    assert re.search(r"run \w{8}\s+dead: its process \d+ on", told.stdout), told.stdout
    before = report(env)
    done = beacon_here(env, "cancel", before["job"])
    assert done.exit_code == 0, done.stderr
    left = before["by_status"]["dispatched"]
    # The run that showed the catalog may have been killed at work too.
    assert re.search(rf"[12] runs stopped; {left} executions cancelled", done.stdout), done.stdout
    assert report(env)["by_status"]["cancelled"] == left
    assert processes_of(env) == [], "neither needed a code server"


def kill_everything_in_mid_batch(env: dict[str, str], log: Path) -> None:
    with log.open("wb") as output:
        first = subprocess.Popen([BEACON, "run", *SELECTION], env=env | SLOWLY, stdout=output, stderr=output)
    wait_for("answers", lambda: len(witness(env, "generations")) >= 2, lambda: end_of(log), every=0.05)
    assert kill_everything(env) >= 4, "the shell, the daemon, its code server and a run"
    assert first.wait() == -signal.SIGKILL


def kill_everything(env: dict[str, str]) -> int:
    """Kill -9 all that works for the instance, PostgreSQL apart; how many processes that were."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            of_it = process.environ().get("DAGSTER_HOME") == env["DAGSTER_HOME"]
            if of_it and not process.name().startswith("postgres"):
                process.suspend()  # or one would see another die, and write about it
                found.append(process)
    not_ours = [process for process in found if process.ppid() != os.getpid()]
    for process in found:
        process.kill()
    psutil.wait_procs(not_ours, timeout=PATIENCE_SECONDS)
    return len(found)
