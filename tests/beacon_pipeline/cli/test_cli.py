"""The ``beacon`` command as a person types it: what it prints, what it returns, and real runs behind it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from beacon_pipeline.labels.rules import VERSION
from tests.beacon_pipeline.instances import (
    beacon,
    beacon_here,
    environment,
    report,
    witness,
)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An instance where the real tiny models of one region were asked all questions of a copied catalog."""
    folder = tmp_path_factory.mktemp("asked")
    assert beacon_here(environment(folder), "catalog", "init", str(folder / "mine")).exit_code == 0
    env = environment(folder) | {"BEACON_CATALOG": str(folder / "mine")}
    done = beacon(env, "run", "--region", "EU-West", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["executions"] == 24
    described, page = done.stderr.splitlines()[-2:]  # what came, and where all of it can be read
    assert described.startswith(f"Answers by kind (by rules, version {VERSION}): ")
    assert page.startswith("page: ")
    return env


def test_the_record_after_a_run(asked: dict[str, str]) -> None:
    told = report(asked)
    assert told["executions"] == 24
    assert told["by_status"] == {
        "pending": 0,
        "dispatched": 0,
        "completed": 24,
        "failed": 0,
        "timed_out": 0,
        "cancelled": 0,
    }
    assert told["by_answer_kind"]["empty"] >= 1
    assert told["by_answer_kind"]["refusal"] >= 1
    assert told["refusal_rules"] == [VERSION]
    assert told["by_region"] == {"us": 0, "eu": 24, "apac": 0}
    assert told["mismatches"] == 0
    cell = told["cells"][0]
    expected = {"region", "model", "question", "status", "answer_kind", "failure_code", "partition_key"}
    assert expected <= set(cell)
    assert sum(len(call["items"]) for call in witness(asked, "submissions")) == 24


def test_what_the_runs_left_is_private(asked: dict[str, str]) -> None:
    kept = Path(asked["DAGSTER_HOME"])
    assert [path for path in (kept, *kept.rglob("*")) if path.stat().st_mode & 0o077] == []


def test_the_matrix_and_one_partition_for_people(asked: dict[str, str]) -> None:
    matrix = beacon(asked, "status")  # a process as a person starts it
    assert "24 completed" in " ".join(matrix.stdout.split())
    shown = beacon_here(asked, "show", "EU:tiny-mistral|identity_basic")
    assert shown.exit_code == 0, shown.stderr
    assert "empty" in shown.stdout
    listed = json.loads(beacon_here(asked, "jobs", "--json").stdout)
    assert [job["executions"] for job in listed] == [24]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "--model", "tiny-lama"), "tiny-llama"),
        (("run", "--region", "mars"), "mars"),
        (("run", "--question", "maths_basic"), "math_basic"),
        (("run", "--samples", "3"), "give a temperature above 0"),
        (("run", "--arm", "nuetral"), "did you mean neutral"),
        (("status", "--job", "nope"), "nope"),
        (("show", "eu-tiny-llama"), "eu-tiny-llama"),
        (("show", "eu:tiny-llama|math_basics"), "math_basic"),
        (("show",), "PARTITION"),
        (("show", "--question", "maths_basic"), "math_basic"),
        (("show", "--question", "math_basic", "--model", "tiny-lama"), "tiny-llama"),
        (("show", "eu:tiny-llama|math_basic", "--model", "tiny-llama"), "--question"),
        (("status", "--answers"), "--json"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_2(
    asked: dict[str, str], arguments: tuple[str, ...], said: str
) -> None:
    done = beacon_here(asked, *arguments)
    assert done.exit_code == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_texts_are_had_by_question_and_as_json(asked: dict[str, str]) -> None:
    key = report(asked)["cells"][0]["partition_key"]
    question = key.partition("|")[2]
    side_by_side = beacon_here(asked, "show", "--question", question)
    assert side_by_side.exit_code == 0, side_by_side.stderr
    (of_question, *_) = json.loads(beacon_here(asked, "show", "--question", question, "--json").stdout)
    assert of_question["prompt"] in " ".join(side_by_side.stdout.split())
    one = json.loads(beacon_here(asked, "show", key, "--json").stdout)
    assert (one["partition_key"], one["status"]) == (key, "completed")
    assert [change["to"] for change in one["transitions"]] == ["pending", "dispatched", "completed"]
    cells = report(asked, "--answers")["cells"]
    assert one["answer"] in {cell["answer"] for cell in cells}
    assert all(cell["prompt"] for cell in cells)


def test_nothing_asked_yet(tmp_path: Path) -> None:
    done = beacon_here(environment(tmp_path), "status")
    assert done.exit_code == 2
    assert "`beacon run` asks" in done.stderr


def test_an_unreachable_database_is_one_line_without_its_password(tmp_path: Path) -> None:
    env = environment(tmp_path, database_url="postgresql://u:hunter2@127.0.0.1:1/d")
    done = beacon_here(env, "status")
    assert done.exit_code == 2
    assert "cannot be used" in done.stderr
    assert "hunter2" not in done.stderr + done.stdout


def test_a_bad_catalog_tells_all_its_faults_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "catalog"
    folder.mkdir()
    (folder / "regions.yaml").write_text("regions: []\nattempt_budgets: 3\n")
    (folder / "models.yaml").write_text("models: [{id: 'a|b'}]\n")
    env = environment(tmp_path) | {"BEACON_CATALOG": str(folder)}
    done = beacon_here(env, "run")
    assert done.exit_code == 2
    for said in ("regions.yaml", "models.yaml", "questions.yaml"):
        assert said in done.stderr


LOADED = """
import sys
from beacon_pipeline.cli import main
main(sys.argv[2:], standalone_mode=False)
print(sorted(set(sys.argv[1].split()) & set(sys.modules)))
"""
ONLY_FOR_RUNS = "apprise dagster_graphql httpx jinja2 modal pandas psycopg psycopg2 starlette torch"


@pytest.mark.parametrize(
    ("heavy", "arguments"),
    [("dagster pydantic rich sqlalchemy torch", ["--help"]), (ONLY_FOR_RUNS, ["jobs", "--json"])],
)
def test_a_quick_command_loads_nothing_that_it_does_not_need(
    tmp_path: Path, heavy: str, arguments: list[str]
) -> None:
    command = [sys.executable, "-c", LOADED, heavy, *arguments]
    done = subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
