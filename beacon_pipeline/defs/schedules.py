"""The schedules of the catalog: each tick asks a new job, by one run for each range of partitions.

A tick only says what to launch and writes nothing, so that *Test schedule* in the UI asks nobody.
Its job comes on record with the first of its runs, whole. Dagster keeps a tick that was cut off and
resumes it, and a run key that was launched once is never launched again.
"""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.catalog.entries import Schedule
from beacon_pipeline.catalog.partitions import key_ranges
from beacon_pipeline.jobs.dagster_api import INFERENCE_JOB, run_tags
from beacon_pipeline.names import SCHEDULE_TAG


def catalog_schedules(catalog: Catalog) -> list[dg.ScheduleDefinition]:
    """One Dagster schedule for each of the catalog's, off until someone switches it on."""
    return [_schedule(catalog, name, wanted) for name, wanted in catalog.settings.schedules.items()]


def tick_jobspec_id(name: str, at: datetime) -> str:
    """The name of the job that a tick asks: the same for the same tick."""
    return f"{name}-{at.astimezone(UTC):%Y%m%dT%H%MZ}"


def _schedule(catalog: Catalog, name: str, wanted: Schedule) -> dg.ScheduleDefinition:
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
        jobspec_id = tick_jobspec_id(name, context.scheduled_execution_time)
        ranges = key_ranges(catalog, catalog.cells_of(wanted))
        if not ranges:
            return dg.SkipReason(f"the catalog has no questions of the categories {asked}")
        return [
            dg.RunRequest(
                run_key=f"{jobspec_id}:{keys.start}..{keys.end}",
                tags=run_tags(catalog, jobspec_id, keys) | {SCHEDULE_TAG: name},
            )
            for keys in ranges
        ]

    return tick
