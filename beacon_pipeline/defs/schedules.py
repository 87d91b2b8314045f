"""The schedules of the catalog: each tick asks a new job, by one run for each range of partitions.

A tick only says what to launch and writes nothing, so that *Test schedule* in the UI asks no model.
Its job comes on record with the first of its runs, whole. Dagster keeps a tick that was cut off and
resumes it, and a run key that was launched once is never launched again. A schedule of a study takes its
looks, one by one.
"""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.catalog.entries import Schedule
from beacon_pipeline.catalog.partitions import key_ranges, rectangle
from beacon_pipeline.catalog.study_plan import look_job_name
from beacon_pipeline.execution.resources import LedgerResource
from beacon_pipeline.jobs.dagster_api import INFERENCE_JOB, run_tags
from beacon_pipeline.jobs.look_of_tick import scheduled_study
from beacon_pipeline.names import BLOCKS_TAG, SCHEDULE_TAG
from beacon_pipeline.studies.looks import LookError, looks_of, next_look


def catalog_schedules(catalog: Catalog) -> list[dg.ScheduleDefinition]:
    """One Dagster schedule for each of the catalog's, off until someone switches it on."""
    return [
        _of_categories(catalog, name, wanted)
        if wanted.study is None
        else _of_study(catalog, name, wanted, wanted.study)
        for name, wanted in catalog.settings.schedules.items()
    ]


def tick_job_name(name: str, at: datetime) -> str:
    """The name of the job that a tick asks: the same for the same tick."""
    return f"{name}-{at.astimezone(UTC):%Y%m%dT%H%MZ}"


def _of_categories(catalog: Catalog, name: str, wanted: Schedule) -> dg.ScheduleDefinition:
    asked = ", ".join(wanted.categories) or "all"

    @dg.schedule(
        name=name,
        job_name=INFERENCE_JOB,
        cron_schedule=wanted.cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=f"Ask {asked} questions of every model in every region, as a new job each time.",
    )
    def tick(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
        job_name = tick_job_name(name, context.scheduled_execution_time)
        ranges = key_ranges(catalog, catalog.cells_of(wanted))
        if not ranges:
            return dg.SkipReason(f"the catalog has no questions of the categories {asked}")
        return [
            dg.RunRequest(
                run_key=f"{job_name}:{keys.start}..{keys.end}",
                tags=run_tags(catalog, job_name, keys) | {SCHEDULE_TAG: name},
            )
            for keys in ranges
        ]

    return tick


def _of_study(catalog: Catalog, name: str, wanted: Schedule, file: str) -> dg.ScheduleDefinition:
    """Each tick takes the next planned look of a registered study, until there is none."""

    @dg.schedule(
        name=name,
        job_name=INFERENCE_JOB,
        cron_schedule=wanted.cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=f"Take the next look of the study in {file}, once it is registered.",
    )
    def tick(ledger: dg.ResourceParam[LedgerResource]) -> dg.RunRequest | dg.SkipReason:
        with ledger.open() as opened:
            study = scheduled_study(opened, catalog, file)
            if study is None:
                return dg.SkipReason(f"{file} is not registered as it is now: `beacon study register`")
            try:
                look = next_look(looks_of(opened, study))
            except LookError as error:
                return dg.SkipReason(str(error))
        job_name = look_job_name(study.id, study.version, look.number)
        tags = run_tags(catalog, job_name, rectangle(catalog, study.cells))
        more = {SCHEDULE_TAG: name, BLOCKS_TAG: str(len(look.blocks))}
        return dg.RunRequest(run_key=job_name, tags=tags | more)

    return tick
