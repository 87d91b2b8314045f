"""The ledger as an asset, and its data tests as the asset's checks: after each job, and every day."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.defs.where import code_and_guide
from beacon_pipeline.escaping import visible
from beacon_pipeline.execution.resources import LedgerResource
from beacon_pipeline.monitoring.data_tests.project import (
    OWN_CHECKS_LOAD,
    ledger_target,
    own_checks,
    shipped_checks,
)
from beacon_pipeline.names import GROUP, INFERENCE, LEDGER, OWNER
from dbt_like_checks import DataTest, Problem, ProjectError
from dbt_like_checks.dagster import Target, build_asset_checks

LEDGER_CHECKS_JOB = "ledger_checks_job"
LOOK_EVERY_SECONDS = 30
# A job is checked when it has been quiet for so long: `beacon run` stops its daemon sooner than that,
# and would take a run of the checks with it.
QUIET = timedelta(seconds=20)


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
    description="Runs the data tests on the ledger when a job has no unsettled execution any more.",
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
    context.update_cursor(settled.isoformat())
    # One moment, one run: the same tick twice, after a crash, asks for the same run.
    yield dg.RunRequest(run_key=f"settled-{settled.isoformat()}")
