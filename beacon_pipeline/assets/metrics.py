"""The asset ``status_metrics``: figures that Dagster plots over time, and checks of the figures.

They are taken in a run, which a person can start, and without one: by the sensor, and by the shell
when the runs it followed have ended.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import dagster as dg

from beacon_pipeline.assets import INFERENCE, STATUS_METRICS
from beacon_pipeline.catalog import Catalog
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.metrics import WINDOW, MetricCheck, Metrics, judge, metrics_of
from beacon_pipeline.partitions import cell_of
from beacon_pipeline.resources import LedgerResource
from beacon_pipeline.runs import UNFINISHED
from beacon_pipeline.tags import JOB_TAG

SEVERITIES: Mapping[MetricCheck, dg.AssetCheckSeverity] = {
    MetricCheck.STATUS_MISMATCH: dg.AssetCheckSeverity.ERROR,
    MetricCheck.EXECUTION_TIME: dg.AssetCheckSeverity.WARN,
    MetricCheck.LEDGER_WRITES: dg.AssetCheckSeverity.ERROR,
    MetricCheck.REGION_BALANCE: dg.AssetCheckSeverity.WARN,
}
DESCRIPTIONS: Mapping[MetricCheck, str] = {
    MetricCheck.STATUS_MISMATCH: "No execution on which provider, ledger and Dagster differ.",
    MetricCheck.EXECUTION_TIME: "95 of 100 executions took less than a minute.",
    MetricCheck.LEDGER_WRITES: "More than 99.9 % of the writes to the ledger succeeded.",
    MetricCheck.REGION_BALANCE: "Every region completes about the same part of what it is asked.",
}


def metrics_asset(catalog: Catalog) -> dg.AssetsDefinition:
    """The asset ``status_metrics``, with its checks."""

    @dg.asset(
        key=STATUS_METRICS,  # no upstream asset: with one, the UI calls it unsynced after every answer
        group_name="monitoring",
        kinds={"metrics"},
        description=f"How well it goes: figures of what was asked in the last {WINDOW.days * 24} hours.",
        check_specs=[
            dg.AssetCheckSpec(name.value, asset=STATUS_METRICS, description=DESCRIPTIONS[name])
            for name in MetricCheck
        ],
    )
    def status_metrics(
        context: dg.AssetExecutionContext, ledger: dg.ResourceParam[LedgerResource]
    ) -> Iterator[dg.MaterializeResult[None]]:
        with ledger.open() as opened:
            metrics = take_metrics(context.instance, opened, catalog)
        yield dg.MaterializeResult(
            metadata=_metadata(metrics),
            check_results=[
                dg.AssetCheckResult(
                    check_name=name.value,
                    passed=finding.passed,
                    severity=SEVERITIES[name],
                    metadata={"seen": finding.seen, "what_to_do": finding.remedy},
                )
                for name, finding in judge(metrics, catalog.settings).items()
            ],
        )

    return status_metrics


def take_metrics(instance: dg.DagsterInstance, ledger: Ledger, catalog: Catalog) -> Metrics:
    """Read what the figures are made of, from the ledger and from Dagster. Raises LedgerUnavailable."""
    now = datetime.now(UTC)
    overdue = now - timedelta(seconds=catalog.settings.deadline_seconds)
    queued = instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]))
    not_shown = _not_shown(instance, ledger, catalog, now - WINDOW)
    statistics = ledger.statistics(since=now - WINDOW, overdue=overdue)
    return metrics_of(statistics, catalog, not_shown=not_shown, queued_runs=queued)


def _not_shown(instance: dg.DagsterInstance, ledger: Ledger, catalog: Catalog, since: datetime) -> int:
    """How many cells have an answer on record and no materialization.

    Not counted while a run works for the job: an answer is on record before Dagster is told of it.
    """
    working = instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))
    jobs = {run.tags[JOB_TAG] for run in working if JOB_TAG in run.tags}
    answered = ledger.completed_cells(since, besides=jobs) & set(catalog.cells())
    if not answered:
        return 0
    shown = {cell_of(key) for key in instance.get_materialized_partitions(INFERENCE)}
    return len(answered - shown)


def metrics_events(
    instance: dg.DagsterInstance, ledger: Ledger, catalog: Catalog
) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    """The figures and their checks as events that need no run."""
    metrics = take_metrics(instance, ledger, catalog)
    yield dg.AssetMaterialization(STATUS_METRICS, metadata=_metadata(metrics))
    for name, finding in judge(metrics, catalog.settings).items():
        yield dg.AssetCheckEvaluation(
            asset_key=STATUS_METRICS,
            check_name=name.value,
            passed=finding.passed,
            severity=SEVERITIES[name],
            metadata={"seen": finding.seen, "what_to_do": finding.remedy},
        )


def report_metrics(instance: dg.DagsterInstance, ledger: Ledger, catalog: Catalog) -> None:
    """Take the figures now and put them on Dagster's record."""
    for event in metrics_events(instance, ledger, catalog):
        instance.report_runless_asset_event(event)


def _metadata(metrics: Metrics) -> dict[str, dg.MetadataValue]:
    """Every figure that was measured, each a number, so that Dagster plots it."""
    figures: dict[str, int | float | None] = {
        "executions": metrics.executions,
        "status_mismatches": metrics.mismatches,
        "status_mismatch_rate": metrics.status_mismatch_rate,
        **{f"execution_seconds_p{p}": seconds for p, seconds in metrics.execution_seconds.items()},
        "ledger_writes": metrics.ledger_writes,
        "ledger_write_retries": metrics.ledger_write_retries,
        "ledger_write_success_rate": metrics.ledger_write_success_rate,
        **{f"completion_rate_{region}": rate for region, rate in metrics.completion_rate_by_region.items()},
        "region_imbalance": metrics.region_imbalance,
        "empty_rate": metrics.empty_rate,
        "refusal_rate": metrics.refusal_rate,
        "attempts_per_execution": metrics.attempts_per_execution,
        "queue_pending_executions": metrics.pending,
        "queue_dispatched_executions": metrics.dispatched,
        "queue_dagster_runs": metrics.queued_runs,
        "calls": metrics.calls,
        "calls_with_times": metrics.measured_calls,
        "cold_starts": metrics.cold_starts,
        "gpu_seconds": metrics.gpu_seconds,
        "gpu_seconds_without_price": metrics.unpriced_gpu_seconds,
        "cost_estimate": metrics.cost_estimate,
    }
    return {
        name: dg.MetadataValue.int(value) if isinstance(value, int) else dg.MetadataValue.float(value)
        for name, value in figures.items()
        if value is not None
    }
