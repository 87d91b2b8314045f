"""Ask a look of a registered study, or go on with it."""

from __future__ import annotations

import dagster as dg

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.catalog.study import Study
from beacon_pipeline.catalog.study_plan import look_job_name, plan_of
from beacon_pipeline.jobs.job_making import make_job
from beacon_pipeline.jobs.launch import LaunchedJob, launch_job
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Job
from beacon_pipeline.studies.looks import Look, LookError


def job_of_look(ledger: Ledger, catalog: Catalog, study: Study, look: Look, *, actor: str) -> Job:
    """The job of a look with all its executions on record, made as far as it is not.

    Its name follows from study, version and look, so that whoever comes after a crash finds it. Raises
    LookError for a job of this name that is no look of this study.
    """
    plan = plan_of(study, catalog, look.number)
    name = look_job_name(study.id, study.version, look.number)
    job = make_job(ledger, catalog, name, study.cells, source="study", actor=actor, plan=plan)
    if job.plan != plan.kept():
        raise LookError(f"job {name!r} is on record with another plan: give the study another id")
    return job


def ask_look(
    ledger: Ledger, instance: dg.DagsterInstance, catalog: Catalog, study: Study, look: Look, *, actor: str
) -> LaunchedJob:
    """Launch the runs of a look; what is answered is not asked again. Raises LookError, LaunchError."""
    job = job_of_look(ledger, catalog, study, look, actor=actor)
    return LaunchedJob(job, look.job is not None, launch_job(instance, catalog, job, study.cells))
