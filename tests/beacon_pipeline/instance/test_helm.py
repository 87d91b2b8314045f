"""`deploy/helm-values.yaml` says on Kubernetes what `production.yaml` says elsewhere.

The chart makes the instance's `dagster.yaml` of the values; what it makes of these is made here again, and
read by Dagster's own schema and by that of its Kubernetes run launcher.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

# What reads a `dagster.yaml`; Dagster has no public name for it.
from dagster._core.instance.config import dagster_instance_config  # noqa: TID251

from beacon_pipeline.catalog import load_catalog
from beacon_pipeline.instance.dagster_yaml import Kind, configuration

ROOT = Path(__file__).parents[3]
VALUES = yaml.safe_load((ROOT / "deploy/helm-values.yaml").read_text())
PRODUCTION = configuration(Kind.PRODUCTION, load_catalog("production"))
(CODE,) = VALUES["dagster-user-deployments"]["deployments"]
DAEMON, WEBSERVER = VALUES["dagsterDaemon"], VALUES["dagsterWebserver"]
RUNS = VALUES["runLauncher"]["config"]["k8sRunLauncher"]


def snake(key: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", lambda found: f"_{found.group(1).lower()}", key)


def snaked(values: dict[str, Any]) -> dict[str, Any]:
    """The chart's camelCase keys as Dagster spells them; the values of each as they are."""
    return {snake(key): value for key, value in values.items()}


def rendered() -> dict[str, Any]:
    """What the chart's `configmap-instance.yaml` makes of the values that are set here."""
    limits, queue = VALUES["concurrency"], DAEMON["runCoordinator"]
    return {
        "concurrency": {"pools": snaked(limits["pools"]), "runs": snaked(limits["runs"])},
        "run_coordinator": {
            "module": "dagster._core.run_coordinator",
            "class": queue["type"],
            "config": snaked(queue["config"]["queuedRunCoordinator"]),
        },
        "run_launcher": {
            "module": "dagster_k8s",
            "class": VALUES["runLauncher"]["type"],
            "config": launcher(),
        },
        "run_monitoring": snaked(DAEMON["runMonitoring"]),
        "retention": {
            of: {"purge_after_days": VALUES["retention"][of]["purgeAfterDays"]}
            for of in ("schedule", "sensor")
        },
        "telemetry": VALUES["telemetry"],
        "python_logs": snaked(VALUES["pythonLogs"]),
        **VALUES["additionalInstanceConfig"],
    }


def launcher() -> dict[str, Any]:
    return {
        "load_incluster_config": RUNS["loadInclusterConfig"],
        "image_pull_policy": RUNS["imagePullPolicy"],
        "fail_pod_on_run_failure": RUNS["failPodOnRunFailure"],
        "resources": RUNS["resources"],
        "run_k8s_config": snaked(RUNS["runK8sConfig"]),
        "dagster_home": VALUES["global"]["dagsterHome"],
        "postgres_password_secret": VALUES["global"]["postgresqlSecretName"],
        "service_account_name": "beacon",
        "instance_config_map": "beacon-instance",
    }


def test_dagster_reads_what_the_chart_makes_of_it(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(rendered()))
    read, _ = dagster_instance_config(str(tmp_path))
    assert (
        read["concurrency"]["pools"]["default_limit"] == PRODUCTION["concurrency"]["pools"]["default_limit"]
    )


def test_its_run_launcher_takes_the_configuration() -> None:
    dagster_k8s = pytest.importorskip("dagster_k8s", reason="the extra `kubernetes`")
    checked = dg.Field(dagster_k8s.K8sRunLauncher.config_type())
    dg.validate_run_config(
        dg.GraphDefinition(name="of", node_defs=[_op(checked)]).to_job(),
        {"ops": {"launcher": {"config": launcher()}}},
    )


def _op(config: dg.Field) -> dg.OpDefinition:
    return dg.OpDefinition(lambda _: None, "launcher", config_schema=config, ins={}, outs={})


def test_limits_times_and_retention_are_those_of_production() -> None:
    made = rendered()
    assert made["concurrency"] == PRODUCTION["concurrency"]
    assert made["retention"] == PRODUCTION["retention"]
    for key in ("telemetry", "nux", "python_logs"):
        assert made[key] == PRODUCTION[key]
    waits = made["run_coordinator"]["config"]["dequeue_interval_seconds"]
    assert waits == PRODUCTION["run_queue"]["dequeue_interval_seconds"]
    assert made["run_monitoring"].items() >= PRODUCTION["run_monitoring"].items()
    assert not DAEMON["runRetries"]["enabled"], "reconciliation heals, and asks the provider first"


def test_every_part_has_the_image_of_the_code_and_what_keeps_it_well() -> None:
    for part, health in ((CODE, "readinessProbe"), (WEBSERVER, "readinessProbe"), (DAEMON, "livenessProbe")):
        assert part["image"] == CODE["image"]
        assert part["image"]["tag"] not in (None, "latest")
        assert part["resources"]["requests"].keys() == {"cpu", "memory"}
        assert part["podSecurityContext"]["runAsUser"] == 10001, "as in deploy/Dockerfile"
        assert part[health]
    assert "--uid 10001" in (ROOT / "deploy/Dockerfile").read_text()
    assert RUNS["resources"]["requests"].keys() == {"cpu", "memory"}
    assert "image" not in RUNS, "the code server's: a run is of the code that launched it"
    compose = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
    served = compose["services"]["code"]["command"]
    assert CODE["dagsterApiGrpcArgs"] == served[served.index("--module-name") :]
    assert WEBSERVER["enableReadOnly"], "readers have one of their own, as in Compose"


def test_its_code_location_has_the_name_by_which_runs_are_launched() -> None:
    workspace = yaml.safe_load((ROOT / "deploy/workspace.yaml").read_text())
    (entry,) = workspace["load_from"]
    assert CODE["name"] == entry["grpc_server"]["location_name"], "the chart names location and service by it"


def test_its_home_is_the_folder_that_the_image_lets_its_user_write() -> None:
    dockerfile = (ROOT / "deploy/Dockerfile").read_text()
    assert f"DAGSTER_HOME={VALUES['global']['dagsterHome']} " in dockerfile
    assert f"--home-dir {VALUES['global']['dagsterHome']} --create-home" in dockerfile


@pytest.mark.parametrize(("address", "made"), [("postgresql://of-compose", ["instance init"]), (None, [])])
def test_a_container_makes_an_instance_where_the_chart_makes_none(
    tmp_path: Path, address: str | None, made: list[str]
) -> None:
    """The chart mounts a `dagster.yaml` of its own, that a container must not replace."""
    called = tmp_path / "called"
    called.touch()
    beacon = tmp_path / "beacon"
    beacon.write_text(f'#!/bin/sh\necho "$@" >> {called}\n')
    beacon.chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    if address:
        env["DAGSTER_POSTGRES_URL"] = address
    entrypoint = ["sh", str(ROOT / "deploy/entrypoint.sh"), "echo", "the command"]
    done = subprocess.run(entrypoint, env=env, capture_output=True, text=True, check=True)
    assert (done.stdout, called.read_text().splitlines()) == ("the command\n", made)


def test_secrets_are_in_it_by_name_alone() -> None:
    for part in (CODE, WEBSERVER, DAEMON):
        assert part["envSecrets"] == [{"name": "beacon"}]
        assert not {one["name"] for one in part["env"]} & {"BEACON_DATABASE_URL", "MODAL_TOKEN_ID"}
    assert VALUES["global"]["postgresqlSecretName"] == "beacon-postgresql"
    assert not VALUES["generatePostgresqlPasswordSecret"]
    assert "postgresqlPassword" not in VALUES["postgresql"]
