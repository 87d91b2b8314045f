"""The ledger as an asset, and its data tests as the asset's checks: after each job, and every day."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.defs.where import code_and_guide
from beacon_pipeline.escaping import visible
from beacon_pipeline.execution.resources import LedgerResource
from beacon_pipeline.jobs.dagster_api import LEDGER_CHECKS_JOB
from beacon_pipeline.monitoring.data_tests.project import (
    OWN_CHECKS_LOAD,
    ledger_target,
    own_checks,
    shipped_checks,
)
from beacon_pipeline.names import GROUP, INFERENCE, LEDGER, OWNER
from dbt_like_checks import DataTest, Problem, ProjectError
from dbt_like_checks.dagster import Target, build_asset_checks

LOOK_EVERY_SECONDS = 30
# A job is checked when it has been quiet for so long: `beacon run` stops its daemon sooner than that,
# and would take a run of the checks with it.
QUIET = timedelta(seconds=20)
# The data tests read the whole ledger, 25 s at 300,000 executions. After a look that took LONG nothing is
# looked at for so many times as long: a twentieth of one process, however much is on record and asked.
LONG, RESTS_FOR = timedelta(seconds=10), 20


def ledger_asset() -> dg.AssetSpec:
    """The asset ``ledger``: written by inference, materialized by nothing else."""
    return dg.AssetSpec(
        LEDGER,
        deps=[INFERENCE],
        group_name=GROUP,
        owners=[OWNER],
        kinds={"sql"},
        description="The record of jobs, executions, calls and every status change, written by the runs of "
        "`inference`. Its checks are data tests; their failing rows and SQL are in the metadata of each.",
        metadata=code_and_guide(ledger_asset, "data-tests.md"),
    )


def ledger_asset_checks(catalog: Catalog, ledger: LedgerResource) -> list[dg.AssetChecksDefinition]:
    """One check on ``ledger`` for each data test, and one that says whether the catalog's own are among them.

    A fault in those stops no one else's work: what ships is checked, and that check fails.
    """
    own: Sequence[DataTest] = ()
    problems: Sequence[Problem] = ()
    try:
        own = own_checks(catalog)
    except ProjectError as error:
        problems = error.problems

    def target() -> Target:
        with ledger.open():  # brings the schema up to date
            return Target(*ledger_target())

    tests = [*shipped_checks(), *own]
    return [_own_checks_load(problems), *build_asset_checks(tests, resolve=lambda _: LEDGER, target=target)]


def _own_checks_load(problems: Sequence[Problem]) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=LEDGER,
        name=OWN_CHECKS_LOAD,
        description="The data tests in the catalog's checks folder, if there is one, can be read.",
    )
    def own_checks_load() -> dg.AssetCheckResult:
        if not problems:
            return dg.AssetCheckResult(passed=True)
        return dg.AssetCheckResult(
            passed=False,
            metadata={
                "seen": visible("\n".join(map(str, problems))),
                "what_to_do": "mend these lines and reload the code location: until then none of the "
                "catalog's own tests runs. `beacon check` says what is left",
            },
        )

    return own_checks_load


def ledger_checks_schedule() -> dg.ScheduleDefinition:
    """Every day, whether or not anything was asked: a record may be damaged at rest."""
    return dg.ScheduleDefinition(
        name="ledger_checks_daily",
        description="Runs the data tests on the ledger, whether or not anything was asked.",
        job_name=LEDGER_CHECKS_JOB,
        cron_schedule="30 4 * * *",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )


@dg.sensor(
    name="ledger_checks_after_each_job",
    job_name=LEDGER_CHECKS_JOB,
    minimum_interval_seconds=LOOK_EVERY_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Runs the data tests on the ledger when a job has no unsettled execution any more; less "
    "often where they take long.",
)
def ledger_checks_sensor(
    context: dg.SensorEvaluationContext, ledger: dg.ResourceParam[LedgerResource]
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    seen = datetime.fromisoformat(context.cursor) if context.cursor else datetime.min.replace(tzinfo=UTC)
    with ledger.open() as opened:
        settled = opened.jobs.newest_settlement(after=seen, before=datetime.now(UTC) - QUIET)
    if settled is None:
        yield dg.SkipReason("no job was settled since the last look")
        return
    if resting := rests(context.instance, datetime.now(UTC)):
        yield dg.SkipReason(resting)  # the cursor stays: it is looked at then
        return
    context.update_cursor(settled.isoformat())
    # One moment, one run: the same tick twice, after a crash, asks for the same run.
    yield dg.RunRequest(run_key=f"settled-{settled.isoformat()}")


def rests(instance: dg.DagsterInstance, now: datetime) -> str | None:
    """Why the ledger is not looked at again yet, or None: a look is under way, or was long and lately."""
    records = instance.get_run_records(dg.RunsFilter(job_name=LEDGER_CHECKS_JOB), limit=1)
    if not records:
        return None
    run, start, end = records[0].dagster_run, records[0].start_time, records[0].end_time
    if not run.is_finished:
        return f"run {run.run_id} looks at it"
    if start is None or end is None or (took := timedelta(seconds=end - start)) < LONG:
        return None
    until = datetime.fromtimestamp(end, UTC) + RESTS_FOR * took
    if now >= until:
        return None
    return f"the last look took {took.total_seconds():.0f} s: the next one is at {until:%H:%M:%S} UTC"
