"""A run's process is killed in mid-batch; launching the same partitions again loses and repeats nothing."""

import os
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.beacon_pipeline.instances import (
    BEACON,
    SLOWLY,
    beacon,
    environment,
    report,
    switch_reconciliation,
    witness,
)
from tests.databases import fresh_postgresql_database
from tests.waiting import end_of, wait_for

SELECTION = ("--region", "EU-West", "--model", "tiny-llama")


def kill_the_first_run_in_mid_batch(env: dict[str, str]) -> int:
    log = Path(env["DAGSTER_HOME"]) / "daemon.log"
    wait_for("answers", lambda: len(witness(env, "generations")) >= 2, lambda: end_of(log), every=0.05)
    process = int(witness(env, "generations")[0]["process"])
    os.kill(process, signal.SIGKILL)
    return process


# A ledger alone in PostgreSQL; with Dagster's storage beside it, `test_reboot` kills more than this.
@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.long)])
def test_killed_in_mid_batch_and_launched_again(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    env = environment(tmp_path, location="tests.beacon_pipeline.locations.slow")
    if kind == "postgresql":
        env["BEACON_DATABASE_URL"] = fresh_postgresql_database(request.getfixturevalue("postgresql_url"))
    switch_reconciliation(env, "stop")  # it would heal what the killed run left, before we look
    with (tmp_path / "first.log").open("wb") as log:
        first = subprocess.Popen([BEACON, "run", *SELECTION], env=env | SLOWLY, stdout=log, stderr=log)
        killed = kill_the_first_run_in_mid_batch(env)
        assert first.wait() == 1, (tmp_path / "first.log").read_text()
    halfway = report(env)
    assert halfway["executions"] == 8
    assert halfway["by_status"]["dispatched"] > 0
    assert halfway["by_status"]["failed"] == 0

    second = beacon(env, "run", *SELECTION)
    assert second.returncode == 0, second.stderr
    assert "continuing job" in second.stderr
    after = report(env)
    assert (after["job"], after["executions"]) == (halfway["job"], 8)
    assert after["by_status"]["completed"] == 8
    assert after["mismatches"] == 0
    submitted = Counter(item for call in witness(env, "submissions") for item in call["items"])
    generated = Counter(row["item"] for row in witness(env, "generations"))
    assert len(submitted) == len(generated) == 8
    assert set(submitted.values()) == {1}
    assert set(generated.values()) == {1}
    assert len({row["process"] for row in witness(env, "generations")} - {killed}) >= 1
