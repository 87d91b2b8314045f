"""Launch runs on the Dagster instance as the UI does: through Dagster's GraphQL API.

The `dagster-graphql` command answers from the workspace without a running web server, so runs
launched here have everything that runs launched in the UI have.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beacon_pipeline import environment
from beacon_pipeline.catalog import Catalog
from beacon_pipeline.catalog.partitions import KeyRange
from beacon_pipeline.errors import BeaconError
from beacon_pipeline.escaping import one_line
from beacon_pipeline.instance.folder import console_script
from beacon_pipeline.names import (
    DEPLOYMENT_TAG,
    JOB_TAG,
    MODEL_TAG,
    PRIORITY_TAG,
    RANGE_END_TAG,
    RANGE_START_TAG,
    REGION_TAG,
)
from inference.contract import Deployment

INFERENCE_JOB = "inference_job"
CHECKS_JOB = "inference_checks_job"
CATALOG_JOB = "catalog_job"
COMPARISONS_JOB, FINDINGS_JOB, LEDGER_CHECKS_JOB = "comparisons_job", "findings_job", "ledger_checks_job"
# Their runs follow from the record and ask no model: one that failed may simply be repeated.
REPEATABLE_JOBS = (CHECKS_JOB, COMPARISONS_JOB, FINDINGS_JOB, LEDGER_CHECKS_JOB)

_LAUNCH = """
mutation Launch($runs: [ExecutionParams!]!) {
  launchMultipleRuns(executionParamsList: $runs) {
    __typename
    ... on LaunchMultipleRunsResult {
      launchMultipleRunsResult {
        __typename
        ... on LaunchRunSuccess { run { runId } }
        ... on RunConfigValidationInvalid { errors { message } }
        ... on Error { message }
      }
    }
    ... on PythonError { message }
  }
}
"""


_LOAD_ERROR = """
query Load($name: String!) {
  workspaceLocationEntryOrError(name: $name) {
    ... on PythonError { message }
    ... on WorkspaceLocationEntry { locationOrLoadError { ... on PythonError { message } } }
  }
}
"""


class LaunchError(BeaconError):
    """Dagster refused to launch or to stop something; the message is its own."""


@dataclass(frozen=True)
class Launch:
    """One run to launch: a job and the run's tags, which name its partitions if it has any."""

    job_name: str
    tags: Mapping[str, str]


def run_tags(catalog: Catalog, job_name: str, keys: KeyRange) -> dict[str, str]:
    """The tags of a run that works on a range of partitions for a job, whoever launches it.

    They say which partitions and which job, let a person filter, start runs of models with a
    higher priority first, and make the limits of the run queue apply to a run of one deployment.
    """
    priority = max(catalog.model(deployment.model).priority for deployment in keys.deployments)
    tags = {
        JOB_TAG: job_name,
        RANGE_START_TAG: keys.start,
        RANGE_END_TAG: keys.end,
        PRIORITY_TAG: str(priority),
    }
    return tags | deployment_tags(keys.deployments[0]) if len(keys.deployments) == 1 else tags


def deployment_tags(deployment: Deployment) -> dict[str, str]:
    """The tags that the limits of the run queue count."""
    return {
        REGION_TAG: deployment.region,
        MODEL_TAG: deployment.model,
        DEPLOYMENT_TAG: str(deployment),
    }


def launch_runs(launches: Sequence[Launch], location: str = "beacon") -> list[str]:
    """Queue one run for each launch; returns their run ids in order. Raises LaunchError."""
    result = _graphql(_LAUNCH, {"runs": [_execution_params(launch, location) for launch in launches]})
    outcome = result["launchMultipleRuns"]
    if "launchMultipleRunsResult" not in outcome:
        raise LaunchError(outcome.get("message", outcome["__typename"]))
    run_ids = []
    for launched in outcome["launchMultipleRunsResult"]:
        if launched["__typename"] == "PipelineNotFoundError":
            raise LaunchError(_why_not_found(location, launched))
        if launched["__typename"] != "LaunchRunSuccess":
            raise LaunchError(launched.get("message") or json.dumps(launched))
        run_ids.append(launched["run"]["runId"])
    return run_ids


def _why_not_found(location: str, launched: Mapping[str, Any]) -> str:
    """Why Dagster does not know a job of ours: its code location does not load, or is another one."""
    entry = _graphql(_LOAD_ERROR, {"name": location})["workspaceLocationEntryOrError"] or {}
    error = entry.get("message") or (entry.get("locationOrLoadError") or {}).get("message")
    workspace = environment.workspace_file()
    if error is None:
        return f"{workspace} holds no code location {location!r} of Beacon's: {launched.get('message')}"
    reason = one_line(environment.masked(error.strip()))
    return f"Dagster cannot load the code location {location!r} of {workspace}: {reason}"


def _execution_params(launch: Launch, location: str) -> dict[str, Any]:
    return {
        "selector": {
            "repositoryLocationName": location,
            "repositoryName": "__repository__",
            "jobName": launch.job_name,
        },
        "runConfigData": {},
        "mode": "default",
        "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in launch.tags.items()]},
    }


def _graphql(query: str, variables: Mapping[str, object]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="beacon-launch-") as folder:
        answer = Path(folder) / "answer.json"
        process = subprocess.run(
            [
                *(console_script("dagster-graphql"), "-w", str(environment.workspace_file())),
                *("-t", query, "-v", json.dumps(variables), "-o", str(answer)),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if process.returncode != 0 or not answer.is_file():
            last_line = (process.stderr or process.stdout).strip().splitlines()[-1:]
            raise LaunchError(last_line[0] if last_line else f"dagster-graphql exited {process.returncode}")
        payload = json.loads(answer.read_text(encoding="utf-8"))
    if payload.get("errors"):
        raise LaunchError(payload["errors"][0]["message"])
    data: dict[str, Any] = payload["data"]
    return data
