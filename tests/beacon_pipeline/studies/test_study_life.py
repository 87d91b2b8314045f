"""Whole lives of studies: the demo finds what is planted; one is killed, topped up and changed."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from beacon_pipeline.catalog import load_catalog
from beacon_pipeline.catalog.study_plan import look_job_name, plan_of, study_on_record
from beacon_pipeline.ledger import Ledger
from tests.beacon_pipeline.instances import BEACON, ROOT, SLOWLY, beacon, environment, witness
from tests.databases import fresh_postgresql_database
from tests.waiting import end_of, wait_for

STUDY: dict[str, Any] = {
    "id": "life",
    "models": ["tiny-qwen"],
    "regions": ["us", "eu"],
    "questions": ["math_basic", "taiwan_status"],
    "arms": ["as-apac", "as-us"],
    "samples": 2,
    "looks": [2, 1],
    "parameters": {"temperature": 1.0},
    "fresh_start": False,
    "claims": [
        {"id": "prompt", "contrast": "prompt", "regions": ["us"], "arms": ["as-apac", "as-us"]},
        {"id": "place", "contrast": "deployment", "arms": ["as-us"]},
    ],
}
LOOK_1, LOOK_2 = 32, 16


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_demo_study_finds_what_is_planted_and_nothing_else(tmp_path: Path) -> None:
    env = environment(tmp_path)
    command = [sys.executable, "-m", "examples.study_demo"]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every verdict is the planted one" in done.stdout
    assert done.stdout.count("self-registered") >= 8


def study(env: dict[str, str], command: str, file: Path) -> dict[str, Any]:
    """Run a command of a study; what stands after it."""
    done = beacon(env, "study", command, str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    stands = beacon(env, "study", "status", str(file), "--json")
    assert stands.returncode == 0, stands.stderr
    found: dict[str, Any] = json.loads(stands.stdout)
    return found


def kill_in_mid_study(env: dict[str, str], file: Path, log: Path) -> None:
    """SIGKILL to the run that generates and to the command that follows it."""
    with log.open("wb") as output:
        first = subprocess.Popen(
            [BEACON, "study", "run", str(file)], env=env | SLOWLY, stdout=output, stderr=output
        )
        wait_for("answers", lambda: len(witness(env, "generations")) >= 2, lambda: end_of(log), every=0.05)
        os.kill(int(witness(env, "generations")[0]["process"]), signal.SIGKILL)
        first.kill()
        first.wait()


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_killed_in_mid_study_topped_up_and_changed(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    env = environment(tmp_path, location="tests.beacon_pipeline.locations.slow")
    database = f"sqlite:///{tmp_path / 'ledger.db'}"
    if kind == "postgresql":
        database = fresh_postgresql_database(request.getfixturevalue("postgresql_url"))
    env["BEACON_DATABASE_URL"] = database
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(STUDY))
    kill_in_mid_study(env, file, tmp_path / "first.log")

    first = study(env, "run", file)
    assert first["looks"][0]["by_status"] == {"completed": LOOK_1}
    assert first["looks"][1]["job"] is None
    assert first["registered"] == "self"
    assert {finding["claim"]: finding["n_a"] for finding in first["findings"]} == {"prompt": 8, "place": 8}

    assert study(env, "run", file) == first, "nothing is left to ask"

    second = study(env, "top-up", file)
    assert [look["by_status"] for look in second["looks"]] == [{"completed": LOOK_1}, {"completed": LOOK_2}]
    assert {finding["claim"]: finding["n_a"] for finding in second["findings"]} == {"prompt": 12, "place": 12}
    refused = beacon(env, "study", "top-up", str(file))
    assert (refused.returncode, "all 2 planned looks are taken" in refused.stderr) == (2, True)

    file.write_text(yaml.safe_dump(STUDY | {"looks": [1]}))
    changed = study(env, "run", file)
    assert (changed["version"], changed["seed"] != first["seed"]) == (2, True)
    assert changed["looks"][0]["by_status"] == {"completed": LOOK_2}
    # The first version's answers are exploration here, and its own findings stay what they were.
    sizes = {"prompt": 4, "place": 4, "prompt@1": 12, "place@1": 12}
    assert {finding["claim"]: finding["n_a"] for finding in changed["findings"]} == sizes
    file.write_text(yaml.safe_dump(STUDY))
    assert study(env, "register", file) == second

    rows_and_seeds_are_as_planned(database)
    generated = Counter(row["item"] for row in witness(env, "generations"))
    assert (len(generated), set(generated.values())) == (LOOK_1 + 2 * LOOK_2, {1}), "asked once each"


def rows_and_seeds_are_as_planned(database: str) -> None:
    catalog = load_catalog("demo")
    with closing(Ledger(database)) as ledger:
        seeds: list[int | None] = []
        for record in ledger.studies.versions("life"):
            planned = study_on_record(record)
            for look in range(1, len(planned.looks) + 1):
                job = ledger.jobs.named(look_job_name("life", record.version, look))
                assert job is not None
                plan = plan_of(planned, catalog, look)
                wanted = sorted(slot for cell in planned.cells for slot in plan.executions_of(cell))
                executions = ledger.executions.of_job(job.id)
                assert sorted(execution.slot for execution in executions) == wanted
                seeds += [execution.seed for execution in executions]
        assert (len(seeds), len(set(seeds))) == (LOOK_1 + 2 * LOOK_2, LOOK_1 + 2 * LOOK_2)
