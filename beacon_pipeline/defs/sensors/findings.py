"""The sensor that has a job's answers compared, and a study's claims evaluated, when the job has ended.

A run-status sensor would take one ended run a tick, and an eager condition waits for all partitions: so it
looks at the ledger, and requests one run for the whole rectangle that a job asked.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import dagster as dg

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.defs.assets.findings import studies_partitions, study_key
from beacon_pipeline.execution.resources import LedgerResource
from beacon_pipeline.jobs.dagster_api import COMPARISONS_JOB, FINDINGS_JOB
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Job
from beacon_pipeline.names import COMPARED_TAG, RANGE_END_TAG, RANGE_START_TAG

INTERVAL_SECONDS = 30
OVERLAP = timedelta(minutes=1)  # a transition's time is taken before its row is seen
LOOKED_BACK = timedelta(hours=1)  # at first


def findings_sensor(
    catalog: Catalog, jobs: Sequence[Any], interval_seconds: int = INTERVAL_SECONDS
) -> dg.SensorDefinition:
    """The sensor ``compare_ended_jobs``, on from the start; ``jobs`` are those it requests runs of."""

    @dg.sensor(
        name="compare_ended_jobs",
        jobs=jobs,
        minimum_interval_seconds=interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="When a job has ended, has its answers compared in one run, and its study's claims "
        "evaluated. No model is asked.",
    )
    def compare_ended_jobs(
        context: dg.SensorEvaluationContext, ledger: dg.ResourceParam[LedgerResource]
    ) -> dg.SensorResult | dg.SkipReason:
        now = datetime.now(UTC)
        since = datetime.fromisoformat(context.cursor) if context.cursor else now - LOOKED_BACK
        with ledger.open() as opened:
            ended = [job for job in map(opened.jobs.named, sorted(_ended(opened, since))) if job is not None]
            requests = [request for job in ended for request in _requests(opened, catalog, job)]
        studies = [key for job in ended if (key := _study_key(job)) is not None]
        cursor = (now - OVERLAP).isoformat()
        if not requests:
            context.update_cursor(cursor)
            return dg.SkipReason("no job has ended since the last look")
        return dg.SensorResult(
            run_requests=requests,
            dynamic_partitions_requests=[studies_partitions.build_add_request(studies)] if studies else [],
            cursor=cursor,
        )

    return compare_ended_jobs


def _ended(ledger: Ledger, since: datetime) -> set[str]:
    """The names of the jobs in which something was settled since then, and nothing is open."""
    return ledger.jobs.moving(since) - ledger.jobs.open_names()


def _requests(ledger: Ledger, catalog: Catalog, job: Job) -> Iterator[dg.RunRequest]:
    """One run for the rectangle of models and questions, and one for the study. The same end asks once."""
    counts = ledger.aggregates.counts(job.id)
    end = sha256(repr((job.id, counts)).encode()).hexdigest()[:16]
    cells = ledger.executions.cells_of(job.id)
    asked_models, asked_questions = {cell.model for cell in cells}, {cell.question for cell in cells}
    models = [model.id for model in catalog.models if model.id in asked_models]
    questions = [question.id for question in catalog.questions if question.id in asked_questions]
    if models and questions:
        ends = f"{models[0]}|{questions[0]}", f"{models[-1]}|{questions[-1]}"
        yield dg.RunRequest(
            job_name=COMPARISONS_JOB,
            run_key=f"comparisons:{end}",
            tags={COMPARED_TAG: job.job_name, RANGE_START_TAG: ends[0], RANGE_END_TAG: ends[1]},
        )
    if key := _study_key(job):
        yield dg.RunRequest(
            job_name=FINDINGS_JOB,
            run_key=f"findings:{end}",
            partition_key=key,
            tags={COMPARED_TAG: job.job_name},
        )


def _study_key(job: Job) -> str | None:
    return None if job.study is None else study_key(job.study, job.study_version)
