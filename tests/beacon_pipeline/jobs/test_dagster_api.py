"""Launching runs: each is what the UI's launch makes, and what stands in the way is one line."""

import json
import os
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import dagster as dg
import pytest
from dagster._core.workspace.context import WorkspaceRequestContext  # noqa: TID251  of what Dagster opens
from dagster_graphql.cli import execute_query

from beacon_pipeline.catalog import load_catalog
from beacon_pipeline.catalog.partitions import key_ranges
from beacon_pipeline.instance.workspace import opened_workspace
from beacon_pipeline.jobs import dagster_api
from beacon_pipeline.jobs.dagster_api import (
    CATALOG_JOB,
    INFERENCE_JOB,
    Launch,
    LaunchError,
    launch_runs,
    run_tags,
)
from beacon_pipeline.names import RANGE_END_TAG, RANGE_START_TAG
from tests.beacon_pipeline.instances import beacon_here, environment, opened

CATALOG = load_catalog("demo")
LAUNCH_OF_THE_UI = """
mutation Launch($run: ExecutionParams!) {
  launchRun(executionParams: $run) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on Error { message }
  }
}
"""


TALKATIVE = """
import sys
print("to the output")
print("to the errors", file=sys.stderr)
from beacon_pipeline.definitions import definitions
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkspaceRequestContext]:
    """The workspace of a new instance, whose code location prints while it is loaded."""
    folder = tmp_path_factory.mktemp("launching")
    (folder / "talkative.py").write_text(TALKATIVE)
    python_file = {"relative_path": "talkative.py", "location_name": "beacon"}
    (folder / "workspace.yaml").write_text(json.dumps({"load_from": [{"python_file": python_file}]}))
    env = environment(folder) | {"BEACON_WORKSPACE": str(folder / "workspace.yaml")}
    assert beacon_here(env, "jobs").exit_code == 0  # now there is an instance
    with (
        mock.patch.dict(os.environ, env, clear=True),
        opened(env) as instance,
        opened_workspace(instance) as workspace,
    ):
        yield workspace


@pytest.fixture(autouse=True)
def one_workspace(workspace: WorkspaceRequestContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """For all launches here: each loads the code location anew."""
    monkeypatch.setattr(dagster_api, "opened_workspace", lambda instance: nullcontext(workspace))


def as_the_ui(workspace: WorkspaceRequestContext, launch: Launch) -> str:
    """Launch a run by the mutation of the UI; its run id."""
    run = {
        "selector": {
            "repositoryLocationName": "beacon",
            "repositoryName": "__repository__",
            "jobName": launch.job_name,
        },
        "runConfigData": {},
        "mode": "default",
        "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in launch.tags.items()]},
    }
    launched = execute_query(workspace.process_context, LAUNCH_OF_THE_UI, {"run": run})["data"]["launchRun"]
    return launched["run"]["runId"]


def on_record(instance: dg.DagsterInstance, run_id: str) -> tuple[dict[str, Any], list[Any]]:
    """All that Dagster keeps of a run and its events, but for the run's id and the time."""
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run._asdict() | {"run_id": None}, [entry.dagster_event for entry in instance.all_logs(run_id)]


def test_a_launch_puts_on_record_what_the_ui_does(workspace: WorkspaceRequestContext) -> None:
    instance = workspace.instance
    (keys,) = key_ranges(CATALOG, CATALOG.cells(["eu"], ["tiny-qwen"]))
    launches = [Launch(CATALOG_JOB, {}), Launch(INFERENCE_JOB, run_tags(CATALOG, "a job", keys))]
    ours = launch_runs(instance, launches)
    theirs = [as_the_ui(workspace, launch) for launch in launches]
    for our, their in zip(ours, theirs, strict=True):
        run, events = on_record(instance, our)
        assert (run, events) == on_record(instance, their)
    assert run["status"] is dg.DagsterRunStatus.QUEUED
    assert len({event.partition for event in events if event.partition}) == 8


@pytest.mark.parametrize(("job", "location"), [("no_such_job", "beacon"), (INFERENCE_JOB, "elsewhere")])
def test_another_workspace_is_named_with_what_it_lacks(
    workspace: WorkspaceRequestContext, job: str, location: str
) -> None:
    file = os.environ["BEACON_WORKSPACE"]
    with pytest.raises(
        LaunchError, match=f"^{file} holds no code location '{location}' of Beacon's: .*{job}"
    ):
        launch_runs(workspace.instance, [Launch(job, {})], location)


def test_what_dagster_refuses_is_one_line(workspace: WorkspaceRequestContext) -> None:
    beyond = {RANGE_START_TAG: "eu:tiny-qwen|no such", RANGE_END_TAG: "eu:tiny-qwen|no such"}
    with pytest.raises(LaunchError, match=r"^Dagster does not launch the runs: .*no such.*$"):
        launch_runs(workspace.instance, [Launch(INFERENCE_JOB, beyond)])


def test_what_a_code_location_prints_is_no_output_of_the_command(workspace: WorkspaceRequestContext) -> None:
    log = (Path(os.environ["DAGSTER_HOME"]) / "code_server.log").read_text()
    assert {"to the output", "to the errors"} <= set(log.splitlines())
