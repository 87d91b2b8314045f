"""Launch runs on the Dagster instance with everything that runs launched in the UI have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

# Of what a code location defines Dagster has no public names.
from dagster._core.definitions.selector import JobSelector  # noqa: TID251
from dagster._core.remote_representation.external import RemoteJob  # noqa: TID251
from dagster._core.workspace.context import WorkspaceRequestContext  # noqa: TID251

from beacon_pipeline import environment
from beacon_pipeline.catalog import Catalog
from beacon_pipeline.catalog.partitions import KeyRange
from beacon_pipeline.errors import BeaconError
from beacon_pipeline.escaping import one_line
from beacon_pipeline.instance.workspace import opened_workspace
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


def launch_runs(
    instance: dg.DagsterInstance, launches: Sequence[Launch], location: str = "beacon"
) -> list[str]:
    """Queue one run for each launch; returns their run ids in order. Raises LaunchError, SettingsError."""
    with opened_workspace(instance) as workspace:
        try:
            return [_launch(workspace, launch, location) for launch in launches]
        except dg.DagsterError as error:  # a code server that goes away, a job that needs a configuration
            reason = one_line(environment.masked(str(error)))
            raise LaunchError(f"Dagster does not launch the runs: {reason}") from error


def _launch(workspace: WorkspaceRequestContext, launch: Launch, location: str) -> str:
    """Queue one run, by the calls that the UI's mutation ``launchRun`` makes; its run id."""
    instance, job = workspace.instance, _job(workspace, launch.job_name, location)
    plan = workspace.get_execution_plan(
        job, run_config={}, step_keys_to_execute=None, known_state=None
    ).execution_plan_snapshot
    run = instance.create_run(
        job_name=job.name,
        run_id=None,
        run_config={},
        status=dg.DagsterRunStatus.NOT_STARTED,
        tags={**job.tags, **launch.tags},
        root_run_id=None,
        parent_run_id=None,
        step_keys_to_execute=plan.step_keys_to_execute,
        execution_plan_snapshot=plan,
        job_snapshot=job.job_snapshot,
        parent_job_snapshot=job.parent_job_snapshot,
        asset_selection=None,
        asset_check_selection=None,
        resolved_op_selection=None,
        op_selection=None,
        remote_job_origin=job.get_remote_origin(),
        job_code_origin=job.get_python_origin(),
        asset_graph=workspace.asset_graph,
    )
    return instance.submit_run(run.run_id, workspace).run_id


def _job(workspace: WorkspaceRequestContext, name: str, location: str) -> RemoteJob:
    """A job of ours as its code location defines it.

    Raises LaunchError where the location does not load, or is another one.
    """
    selector = JobSelector(location, "__repository__", name)
    if workspace.has_job(selector):
        return workspace.get_full_job(selector)
    file, error = environment.workspace_file(), workspace.get_code_location_error(location)
    if error is None:
        raise LaunchError(f"{file} holds no code location {location!r} of Beacon's: no job {name} in it")
    reason = one_line(environment.masked(error.message.strip()))
    raise LaunchError(f"Dagster cannot load the code location {location!r} of {file}: {reason}")
