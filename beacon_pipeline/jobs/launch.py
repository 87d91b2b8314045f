"""Ask: make or continue a job, launch its runs on the Dagster instance, and follow them."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from beacon_pipeline import environment
from beacon_pipeline.catalog import Catalog
from beacon_pipeline.catalog.partitions import key_ranges, rectangle
from beacon_pipeline.catalog.plan import DEFAULT_PLAN, Plan
from beacon_pipeline.errors import BeaconError
from beacon_pipeline.execution.preflight import (
    check_configured,
    check_ready,
    deployments_of,
    deployments_to_ask,
)
from beacon_pipeline.execution.providers import Providers
from beacon_pipeline.instance.run_queue import longest_run_seconds
from beacon_pipeline.instance.storage import check_writable
from beacon_pipeline.jobs.dagster_api import CATALOG_JOB, INFERENCE_JOB, Launch, launch_runs, run_tags
from beacon_pipeline.jobs.job_making import make_job
from beacon_pipeline.jobs.job_of_run import unfinished_job
from beacon_pipeline.jobs.runs import all_ended
from beacon_pipeline.jobs.specification import specified_cells
from beacon_pipeline.jobs.waiting import Patience
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.parts.jobs import JOBS_LOOKED_AT
from beacon_pipeline.ledger.records import Cell, Counts, Job
from beacon_pipeline.names import CATALOG_DIGEST, JOB_TAG, MODELS, QUESTIONS

FOLLOW_SECONDS = 0.5


@dataclass(frozen=True)
class LaunchedJob:
    """A job and the Dagster runs that were launched for it."""

    job: Job
    continued: bool
    run_ids: tuple[str, ...]


def check_can_ask(
    ledger: Ledger,
    catalog: Catalog,
    providers: Providers,
    cells: Sequence[Cell],
    *,
    new_job: bool,
    plan: Plan = DEFAULT_PLAN,
    same_seed: bool = False,
) -> None:
    """Raises NotConfigured when what `ask` would launch could not ask anybody, and SettingsError or
    InstanceError where the environment or Dagster's files keep its runs from starting."""
    environment.check_launchable()
    check_writable(environment.home())
    unfinished = None if new_job else _goes_on(ledger, cells, plan, same_seed)
    deployments = (
        deployments_of(cells)
        if unfinished is None
        else deployments_to_ask(ledger.executions.of_job(unfinished.id, cells))
    )

    async def check() -> None:
        async with providers:
            check_configured(catalog, providers, deployments_of(cells))
            await check_ready(catalog, providers, deployments)

    asyncio.run(check())


def ask(
    ledger: Ledger,
    instance: dg.DagsterInstance,
    catalog: Catalog,
    cells: Sequence[Cell],
    *,
    new_job: bool,
    plan: Plan = DEFAULT_PLAN,
    same_seed: bool = False,
    actor: str = "beacon run",
) -> LaunchedJob:
    """Launch runs that bring these cells to their true state.

    Goes on with the newest recent job that has not settled some of them, unless ``new_job`` or that one has
    another plan; with ``same_seed``, another seed is another plan. The executions are on record as pending
    before the first run is launched. Raises LaunchError.
    """
    unfinished = None if new_job else _goes_on(ledger, cells, plan, same_seed)
    if unfinished is None:
        job = make_job(ledger, catalog, new_job_name(), cells, source="launch", actor=actor, plan=plan)
    else:
        job = unfinished
        ledger.executions.ensure(job.id, cells, actor=actor, slots_of=Plan.of(job.plan).executions_of)
    return LaunchedJob(job, unfinished is not None, launch_job(instance, catalog, job, cells))


def asked_with_seed(ledger: Ledger, seed: str) -> tuple[Plan, tuple[Cell, ...]] | None:
    """How the newest job with this seed asked, as a plan of no study, and which cells; None without one."""
    job = next((job for job in ledger.jobs.newest(JOBS_LOOKED_AT) if Plan.of(job.plan).seed == seed), None)
    if job is None:
        return None
    plan = Plan.of(job.plan).model_copy(update={"study": None, "version": None})
    return plan, tuple(specified_cells(job.specification) or ())


def _goes_on(ledger: Ledger, cells: Sequence[Cell], plan: Plan, same_seed: bool) -> Job | None:
    """The unfinished job that asks these cells by this plan; a plan's cells exactly."""
    job = unfinished_job(ledger, cells)
    if job is None or not Plan.of(job.plan).asks_as(plan):
        return None
    if same_seed and Plan.of(job.plan).seed != plan.seed:
        return None
    exactly = plan.is_default or specified_cells(job.specification) == sorted(set(cells))
    return job if exactly else None


class JobNameTaken(BeaconError, ValueError):
    """A submitted job has the name of one that was asked for other cells."""


def submit(
    ledger: Ledger, instance: dg.DagsterInstance, catalog: Catalog, name: str | None, cells: Sequence[Cell]
) -> LaunchedJob:
    """Launch the runs of exactly these cells, as the job of this name or as a new one.

    Submitting a name again goes on with its job: nothing that has an answer is asked again.
    Raises JobNameTaken, LaunchError.
    """
    existing = ledger.jobs.named(name) if name else None
    if existing is not None and specified_cells(existing.specification) != sorted(set(cells)):
        raise JobNameTaken(f"job {name!r} is on record with other executions: give the file another name")
    job = make_job(
        ledger, catalog, name or new_job_name("submit"), cells, source="submit", actor="beacon submit"
    )
    return LaunchedJob(job, existing is not None, launch_job(instance, catalog, job, cells))


def launch_job(
    instance: dg.DagsterInstance, catalog: Catalog, job: Job, cells: Sequence[Cell]
) -> tuple[str, ...]:
    """Queue a job's runs over these cells; the ids of all its runs.

    One for each range of partitions of one deployment; but one for all where the job has a plan, so that its
    blocks are asked at the same time in all regions. Where the catalog changed since Dagster showed it, the
    run that shows it goes first. Raises LaunchError.
    """
    launches = [] if _catalog_is_shown(instance, catalog) else [Launch(CATALOG_JOB, {JOB_TAG: job.job_name})]
    plan = Plan.of(job.plan)
    ranges = key_ranges(catalog, cells) if plan.is_default else [rectangle(catalog, cells)]
    launches += [Launch(INFERENCE_JOB, run_tags(catalog, job.job_name, keys)) for keys in ranges]
    return tuple(launch_runs(instance, launches))


def record_catalog(instance: dg.DagsterInstance, catalog: Catalog) -> None:
    """Launch the run that records the catalog, unless Dagster shows it as it is now."""
    if not _catalog_is_shown(instance, catalog):
        launch_runs(instance, [Launch(CATALOG_JOB, {})])


def _catalog_is_shown(instance: dg.DagsterInstance, catalog: Catalog) -> bool:
    for asset in (QUESTIONS, MODELS):
        event = instance.get_latest_materialization_event(asset)
        shown = event.asset_materialization if event else None
        if shown is None or shown.metadata.get(CATALOG_DIGEST) != dg.MetadataValue.text(catalog.digest):
            return False
    return True


def new_job_name(prefix: str = "ask", now: datetime | None = None) -> str:
    """A name for a fresh job that sorts by time."""
    return f"{prefix}-{now or datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def follow(
    asked: LaunchedJob,
    ledger: Ledger,
    instance: dg.DagsterInstance,
    catalog: Catalog,
    progress: Callable[[Counts, str | None], None],
) -> None:
    """Wait until every run of this asking has ended.

    Reports the job's counts meanwhile, and what is waited for where nothing changes. Raises
    NothingMoves instead of waiting for what cannot come.
    """
    patience = Patience(instance, asked.run_ids, longest_run_seconds(catalog))
    while True:
        ended = all_ended(instance, asked.run_ids)
        counts = ledger.aggregates.counts(asked.job.id)
        progress(counts, None if ended else patience.look(tuple(sorted(counts.by_status.items()))))
        if ended:
            return
        time.sleep(FOLLOW_SECONDS)
