"""A run's process is killed in mid-batch; launching the same partitions again loses and repeats nothing."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.status import Status
from beacon_pipeline.reconciliation.tick import SENSOR
from tests.beacon_pipeline.daemons import daemon_of, meanwhile
from tests.beacon_pipeline.execution import ask_slowly
from tests.beacon_pipeline.execution.ask_slowly import CELLS, PLAN
from tests.beacon_pipeline.instances import (
    COMPARING,
    ROOT,
    SLOWLY,
    beacon_here,
    environment,
    report,
    switch_off,
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
    env = environment(tmp_path, location="tests.beacon_pipeline.locations.slow") | SLOWLY
    if kind == "postgresql":
        env["BEACON_DATABASE_URL"] = fresh_postgresql_database(request.getfixturevalue("postgresql_url"))
    switch_off(env, SENSOR, COMPARING)  # the first would heal what the killed run left, before we look
    with daemon_of(env):
        with meanwhile(kill_the_first_run_in_mid_batch, env) as killing:
            first = beacon_here(env, "run", *SELECTION)
        killed = killing.result()
        assert first.exit_code == 1, first.stderr
        halfway = report(env)
        assert halfway["executions"] == 8
        assert halfway["by_status"]["dispatched"] > 0
        assert halfway["by_status"]["failed"] == 0
        second = beacon_here(env, "run", *SELECTION)
    assert second.exit_code == 0, second.stderr
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


def test_killed_in_mid_block_and_asked_again(tmp_path: Path) -> None:
    def lines(name: str) -> list[dict[str, object]]:
        path = tmp_path / f"{name}.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    of_a_block = len(CELLS) * PLAN.executions_of_a_block
    first = subprocess.Popen([sys.executable, "-m", ask_slowly.__name__, str(tmp_path)], cwd=ROOT)
    try:
        wait_for("the second block is under way", lambda: len(lines("generations")) > of_a_block + 2)
    finally:
        first.kill()
        first.wait()
    with closing(Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")) as ledger:
        halfway = ledger.executions.of_job(ledger.jobs.newest()[0].id)
        assert {e.status for e in halfway if e.block == 1} == {Status.COMPLETED}
        assert Status.DISPATCHED in {e.status for e in halfway if e.block == 2}

        ask_slowly.ask(tmp_path, 0)
        after = ledger.executions.of_job(ledger.jobs.newest()[0].id)
    assert [e.slot for e in after] == [e.slot for e in halfway]
    assert {(e.status, len(e.attempts)) for e in after} == {(Status.COMPLETED, 1)}
    for name in ("submissions", "generations"):
        items = [item for line in lines(name) for item in line.get("items") or [line["item"]]]  # type: ignore[attr-defined]
        assert sorted(items) == sorted(e.id for e in after), f"each is once in {name}"
    assert len(lines("submissions")) == 2 * 2, "one call for each deployment and block"
