"""The whole path on a Modal of this machine: deploy, look, ask everything, lose a run, ask again."""

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from beacon_pipeline.reconciliation.tick import SENSOR
from tests.beacon_pipeline.daemons import daemon_of, meanwhile
from tests.beacon_pipeline.instances import (
    COMPARING,
    beacon,
    beacon_here,
    environment,
    opened,
    report,
    switch_off,
)
from tests.beacon_pipeline.modal_catalog import write_modal_catalog
from tests.modal_loopback import Loopback, Match, faults
from tests.waiting import end_of, wait_for

PRELOAD = ("torch", "transformers")


@pytest.fixture(scope="module")
def modal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    with Loopback(tmp_path_factory.mktemp("modal"), preload=PRELOAD) as server, server.clients_here():
        yield server


@pytest.fixture(scope="module")
def env(modal: Loopback, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("instance")
    catalog = write_modal_catalog(folder / "catalog", models=["tiny-mistral"])
    return environment(folder) | modal.client_environment() | {"BEACON_CATALOG": str(catalog)}


def diagnoses(env: dict[str, str], exit_code: int) -> dict[str, tuple[bool, str]]:
    """What the doctor finds, in a process of its own: the SDK keeps a process's first token and address."""
    done = beacon(env, "doctor", "--json")
    assert done.returncode == exit_code, done.stderr
    return found_in(done.stdout)


def diagnoses_here(env: dict[str, str], exit_code: int) -> dict[str, tuple[bool, str]]:
    done = beacon_here(env, "doctor", "--json")
    assert done.exit_code == exit_code, done.stderr
    return found_in(done.stdout)


def found_in(told: str) -> dict[str, tuple[bool, str]]:
    return {found["subject"]: (found["ok"], found["detail"]) for found in json.loads(told)}


def test_without_a_token_nothing_is_dispatched_and_the_way_out_is_told(env: dict[str, str]) -> None:
    loggedout = env | {"MODAL_TOKEN_ID": "", "MODAL_TOKEN_SECRET": ""}
    for command in ("run", "deploy"):
        done = beacon_here(loggedout, command)
        assert done.exit_code == 2
        assert "run `modal setup`, or set MODAL_TOKEN_ID" in done.stderr.splitlines()[-1]
    assert "`modal setup`" in diagnoses_here(loggedout, 1)["provider modal"][1]


def test_a_secret_that_is_missing_is_told_before_anything_is_deployed(
    env: dict[str, str], tmp_path: Path
) -> None:
    catalog = write_modal_catalog(tmp_path / "catalog", models=["tiny-llama"], secrets=["huggingface"])
    way_out = "Modal has no secret 'huggingface': `modal secret create huggingface HF_TOKEN=hf_...`"
    lacking = env | {"BEACON_CATALOG": str(catalog)}
    done = beacon_here(lacking, "deploy")
    assert done.exit_code == 2
    assert done.stderr.strip().endswith(way_out)
    assert way_out in [detail for ok, detail in diagnoses_here(lacking, 1).values() if not ok]


def test_with_a_refused_token_or_nothing_deployed_the_way_out_is_told(env: dict[str, str]) -> None:
    ok, told = diagnoses(env | {"MODAL_TOKEN_ID": "ak-wrong"}, 1)["provider modal"]
    assert (ok, "Modal refuses the token" in told) == (False, True)
    found = diagnoses_here(env, 1)
    assert found["provider modal"] == (True, "configured")
    assert not found["deployment eu:tiny-mistral"][0]
    done = beacon_here(env, "run", "--region", "eu", "--model", "tiny-mistral")
    assert done.exit_code == 2
    assert "eu:tiny-mistral is not deployed on Modal" in done.stderr
    assert "run `beacon deploy`" in done.stderr
    assert beacon_here(env, "jobs", "--json").stdout.strip() == "[]"


@pytest.mark.timeout(900)  # a dozen processes, on whatever machine this is
def test_a_killed_run_costs_no_call_and_the_next_attaches(env: dict[str, str], modal: Loopback) -> None:
    deployed = beacon_here(env, "deploy")
    assert deployed.exit_code == 0, deployed.stderr
    assert all(ok for ok, _ in diagnoses_here(env, 0).values())
    assert modal.events("spawn") == [], "looking and deploying ask no model"

    switch_off(env, SENSOR, COMPARING)  # the first would heal what the killed run left, before we look
    modal.inject(faults.PendingUntilReleased(), Match(class_name="eu__tiny_mistral"))
    with daemon_of(env):
        with meanwhile(kill_the_run_whose_call_is_held, env) as killing:
            first = beacon_here(env, "run")
        killing.result()
        assert first.exit_code == 1, first.stderr
        halfway = report(env)
        assert halfway["by_status"] | {"completed": 16, "dispatched": 8, "failed": 0} == halfway["by_status"]
        assert len(modal.events("spawn")) == 3

        modal.release()
        second = beacon_here(env, "run", "--region", "EU-West", "--model", "tiny-mistral")
    assert second.exit_code == 0, second.stderr
    assert "continuing job" in second.stderr
    after = report(env)
    assert (after["job"], after["executions"], after["mismatches"]) == (halfway["job"], 24, 0)
    assert after["by_status"]["completed"] == 24
    assert after["by_answer_kind"] == {"substantive": 21, "refusal": 0, "empty": 3, "unfinished": 0}
    assert after["by_region"] == {"us": 8, "eu": 8, "apac": 8}
    assert len(modal.events("spawn")) == 3, "attached to the call of the killed run"
    assert len({event["request_id"] for event in modal.events("spawn")}) == 3
    assert len(modal.events("input")) == 3, "and nothing was run twice"


def test_the_production_catalog_is_deployed_as_it_says(tmp_path: Path) -> None:
    secrets = {"huggingface": {"HF_TOKEN": "hf_of_nobody"}}
    with Loopback(tmp_path / "modal", secrets=secrets) as server:
        production = environment(tmp_path) | server.client_environment() | {"BEACON_CATALOG": "production"}
        deployed = beacon(production, "deploy")
        assert deployed.returncode == 0, deployed.stderr
        assert (
            "apac__llama3D2_1b: apac:llama3.2-1b in ap on L4 or A10G, at most 2 containers" in deployed.stdout
        )
        found = diagnoses(production, 0)
    ok, told = found["deployment eu:mistral-7b"]
    assert (ok, told) == (
        True,
        "region eu, gpu L40S, A100-40GB, timeout 600 s, memory 32768 MiB, retries 1",
    )


def kill_the_run_whose_call_is_held(env: dict[str, str]) -> None:
    log = Path(env["DAGSTER_HOME"]) / "daemon.log"
    wait_for("open call", lambda: open_call_is_on_record(env), lambda: end_of(log))
    os.kill(process_of_run(env, "eu:tiny-mistral"), signal.SIGKILL)


def open_call_is_on_record(env: dict[str, str]) -> bool:
    """Whether the id of the held call is in the ledger: between spawn and result."""
    from beacon_pipeline.ledger import Ledger

    ledger = Ledger(f"sqlite:///{Path(env['DAGSTER_HOME']) / 'ledger.db'}")
    try:
        held = [
            call for call in ledger.calls.unsettled() if (call.region, call.model) == ("eu", "tiny-mistral")
        ]
        return any(call.provider_call_id for call in held)
    finally:
        ledger.close()


def process_of_run(env: dict[str, str], deployment: str) -> int:
    """The process of the newest run of a deployment, as Dagster recorded it."""
    with opened(env) as instance:
        (run,) = instance.get_runs(dg.RunsFilter(tags={"beacon/deployment": deployment}), limit=1)
        messages = [entry.user_message for entry in instance.all_logs(run.run_id)]
    found = [match for message in messages if (match := re.search(r"\(pid: (\d+)\)", message))]
    assert found, messages
    return int(found[-1][1])
