"""What the doctor finds, and what `beacon deploy` would do, without any Modal."""

import json
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from beacon_pipeline.ledger import Ledger
from beacon_pipeline.monitoring.doctor import examine_database, judge_deployment
from inference.contract import Deployment
from inference.inspection import DeploymentState
from tests.beacon_pipeline.instances import beacon, beacon_here, environment
from tests.modal_loopback import client_environment

EU = Deployment(region="eu", model="tiny")
EXPECTED = {"region": "eu", "gpu": "L4, A10G"}


@pytest.mark.parametrize(
    ("state", "ok", "detail"),
    [
        (DeploymentState(found=True, settings=EXPECTED), True, "region eu, gpu L4, A10G"),
        (
            DeploymentState(found=True, settings=EXPECTED | {"region": "us"}),
            False,
            "region us where the catalog says eu: run `beacon deploy`",
        ),
        (DeploymentState(found=True, settings={"gpu": "L4, A10G"}), True, "gpu L4, A10G"),
        (DeploymentState(found=True), True, "answers"),
        (DeploymentState(found=False, detail="run `beacon deploy`"), False, "run `beacon deploy`"),
        (DeploymentState(found=None, detail="could not be asked"), False, "could not be asked"),
    ],
)
def test_a_deployment_is_judged_by_the_catalog(state: DeploymentState, ok: bool, detail: str) -> None:
    judged = judge_deployment(EU, state, EXPECTED)
    assert (judged.subject, judged.ok, judged.detail) == ("deployment eu:tiny", ok, detail)


def test_the_database_is_looked_at_and_left_as_it_is(empty_database_url: str) -> None:
    empty = examine_database(empty_database_url)
    assert (empty.ok, "the first command makes schema" in empty.detail) == (True, True)
    engine = sa.create_engine(empty_database_url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        assert sa.inspect(connection).get_table_names() == []
    engine.dispose()
    ledger = Ledger(empty_database_url)
    ledger.migrate()
    ledger.close()
    made = examine_database(empty_database_url)
    assert (made.ok, "; the" in made.detail) == (True, False)


def test_a_database_of_a_newer_version_is_told(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    ledger = Ledger(url)
    ledger.migrate()
    ledger.close()
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    found = examine_database(url)
    assert not found.ok
    assert "has schema 9999, unknown to this version" in found.detail


def test_a_database_that_is_not_there_is_told_without_its_password() -> None:
    found = examine_database("postgresql://u:hunter2@127.0.0.1:1/d")
    assert not found.ok
    assert "cannot be used" in found.detail
    assert "hunter2" not in found.detail


def test_the_demo_catalog_needs_no_modal(tmp_path: Path) -> None:
    done = beacon_here(environment(tmp_path), "doctor", "--json")
    assert done.exit_code == 0, done.stderr
    found = {diagnosis["subject"]: diagnosis for diagnosis in json.loads(done.stdout)}
    assert found.keys() == {"versions", "catalog", "database", "provider local"}
    assert "3 regions, 3 models, 8 questions" in found["catalog"]["detail"]


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    env = environment(tmp_path, database_url="oracle://x") | {"BEACON_CATALOG": str(tmp_path / "none")}
    done = beacon_here(env, "doctor")
    assert done.exit_code == 1
    assert done.stdout.count("✗ bad") == 2
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("command", ["doctor", "deploy"])
def test_a_modal_toml_that_cannot_be_read_is_one_line(tmp_path: Path, command: str) -> None:
    (tmp_path / "modal.toml").write_text("[default\ntoken_id = ")
    settings = {"BEACON_CATALOG": "production", "MODAL_CONFIG_PATH": str(tmp_path / "modal.toml")}
    done = beacon(environment(tmp_path) | settings, command)
    assert done.returncode in (1, 2)
    assert "the Modal settings of this machine cannot be used" in " ".join(
        (done.stdout + done.stderr).split()
    )
    assert "Traceback" not in done.stdout + done.stderr


def test_a_dead_modal_is_one_line_at_once_with_the_cause(tmp_path: Path) -> None:
    settings = client_environment("http://127.0.0.1:1") | {"BEACON_CATALOG": "production"}
    began = time.monotonic()
    done = beacon(environment(tmp_path) | settings, "doctor", "--json")
    seconds = time.monotonic() - began
    told = [found for found in json.loads(done.stdout) if not found["ok"]]
    assert [found["subject"] for found in told] == ["provider modal"]
    assert told[0]["detail"] == (
        "Modal at 127.0.0.1:1 cannot be reached: Connection refused; 9 deployments were not looked at"
    )
    assert seconds < 60, "with the SDK's own retries it would be minutes"
    done = beacon(environment(tmp_path) | settings, "deploy")
    assert done.returncode == 2
    assert done.stderr.strip().endswith("Modal at 127.0.0.1:1 cannot be reached: Connection refused")


def test_what_would_be_deployed(tmp_path: Path) -> None:
    env = environment(tmp_path) | {"BEACON_CATALOG": "production"}
    done = beacon_here(env, "deploy", "--dry-run")
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 10
    assert lines[4] == "eu__mistral_7b: eu:mistral-7b in eu on L40S or A100-40GB, at most 2 containers"
    assert lines[-1].startswith("not deployed; what would be run: INFERENCE_DEPLOYMENTS=")
    assert lines[-1].endswith("modal deploy -m inference.modal.app")
    written = json.loads((tmp_path / "home" / "modal_deployments.json").read_text())
    assert [spec["deployment"]["region"] for spec in written] == ["us"] * 3 + ["eu"] * 3 + ["apac"] * 3


def test_nothing_to_deploy_is_one_line(tmp_path: Path) -> None:
    done = beacon_here(environment(tmp_path), "deploy")
    assert done.exit_code == 2
    assert done.stderr.strip().endswith(
        "catalog 'demo' has no model with `provider: modal`: nothing to deploy"
    )
