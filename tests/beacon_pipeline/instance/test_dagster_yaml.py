"""The two configurations that ship: made from the catalog, kept when owned, never mixed up."""

import os
from pathlib import Path

import dagster as dg
import pytest
import yaml

from beacon_pipeline.catalog import Catalog, load_catalog
from beacon_pipeline.instance.dagster_yaml import (
    DATABASE_VARIABLE,
    InstanceError,
    Kind,
    configuration,
    kind_of_environment,
    write_configuration,
)
from beacon_pipeline.instance.run_queue import longest_run_seconds
from beacon_pipeline.names import DEPLOYMENT_TAG, REGION_TAG
from tests.beacon_pipeline.instances import beacon_here, environment

CATALOG = load_catalog("production")


def with_quota(containers: int) -> Catalog:
    regions = tuple(r.model_copy(update={"max_containers": containers}) for r in CATALOG.regions)
    return CATALOG.model_copy(update={"regions": regions})


def concurrency(folder: Path) -> dict[str, object]:
    return yaml.safe_load((folder / "dagster.yaml").read_text())["concurrency"]


@pytest.mark.parametrize("kind", Kind)
def test_the_quotas_of_the_catalog_limit_the_queue(tmp_path: Path, kind: Kind) -> None:
    write_configuration(tmp_path, kind, CATALOG)
    limits = concurrency(tmp_path)
    assert limits["runs"]["tag_concurrency_limits"] == [
        {"key": DEPLOYMENT_TAG, "value": {"applyLimitPerUniqueValue": True}, "limit": 1},
        *({"key": REGION_TAG, "value": region, "limit": 2} for region in ("us", "eu", "apac")),
    ]
    assert limits["pools"]["default_limit"] <= 6
    assert limits["runs"]["max_concurrent_runs"] > limits["pools"]["default_limit"]


def test_dagster_takes_the_local_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    write_configuration(tmp_path, Kind.LOCAL, CATALOG)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.run_monitoring_enabled
        assert instance.get_concurrency_config().run_queue_config is not None
        interval = getattr(instance.run_coordinator, "dequeue_interval_seconds", None)
        assert interval == 1, "a launch does not wait for the queue"


def test_it_follows_the_catalog_until_someone_owns_it(tmp_path: Path) -> None:
    write_configuration(tmp_path, Kind.LOCAL, with_quota(1))
    assert concurrency(tmp_path)["pools"]["default_limit"] == 3
    write_configuration(tmp_path, Kind.LOCAL, with_quota(7))
    assert concurrency(tmp_path)["pools"]["default_limit"] == 4, "what ships is the machine's limit"
    file = tmp_path / "dagster.yaml"
    mine = file.read_text().split("\n", 1)[1]
    file.write_text(mine)
    write_configuration(tmp_path, Kind.PRODUCTION, with_quota(1))
    assert file.read_text() == mine


def test_the_longest_run_follows_the_catalog() -> None:
    slow = CATALOG.models[0].model_copy(update={"timeout_seconds": 5000, "retries": 2})
    slower = CATALOG.model_copy(update={"models": (slow, *CATALOG.models[1:])})
    assert longest_run_seconds(slower) == 2 * (slow.startup_timeout_seconds + 15000) + 600
    for kind in Kind:
        configured = configuration(kind, slower)["run_launcher"]["config"]["longest_run_seconds"]
        assert configured == longest_run_seconds(slower)


def test_the_environment_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DATABASE_VARIABLE, raising=False)
    assert kind_of_environment() is Kind.LOCAL
    monkeypatch.setenv(DATABASE_VARIABLE, "postgresql://u:secret@h/d?sslmode=require")
    assert kind_of_environment() is Kind.PRODUCTION
    assert os.environ[DATABASE_VARIABLE] == "postgresql+psycopg2://u:secret@h/d?sslmode=require"
    monkeypatch.setenv(DATABASE_VARIABLE, "mysql://u:secret@h/d")
    with pytest.raises(InstanceError) as raised:
        kind_of_environment()
    assert "secret" not in str(raised.value)


def test_a_folder_of_the_other_kind_is_refused_with_the_way_out(tmp_path: Path) -> None:
    write_configuration(tmp_path, Kind.PRODUCTION, CATALOG)
    with pytest.raises(InstanceError, match=f"keeps its runs in PostgreSQL: set {DATABASE_VARIABLE}"):
        write_configuration(tmp_path, Kind.LOCAL, CATALOG)


def test_an_unreachable_database_of_dagster_is_one_line_without_its_password(tmp_path: Path) -> None:
    env = environment(tmp_path) | {
        DATABASE_VARIABLE: "postgresql://u:hunter2@127.0.0.1:1/d",
        "BEACON_DATABASE_URL": f"sqlite:///{tmp_path / 'ledger.db'}",
    }
    done = beacon_here(env, "reconcile")
    assert done.exit_code == 2
    assert DATABASE_VARIABLE in done.stderr
    assert "hunter2" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
