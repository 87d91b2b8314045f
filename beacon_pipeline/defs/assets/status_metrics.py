"""The asset ``status_metrics``: figures that Dagster plots over time, and checks of the figures.

They are taken in a run, which a person can start, and without one: by the sensor, and by the shell
when the runs it followed have ended.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import dagster as dg

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.catalog.partitions import key_of
from beacon_pipeline.defs.where import code_and_guide
from beacon_pipeline.execution.decide import on_record
from beacon_pipeline.execution.resources import LedgerResource
from beacon_pipeline.jobs.runs import cells_under_way
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Execution
from beacon_pipeline.ledger.status import Status
from beacon_pipeline.monitoring.metrics import HOURS, WINDOW, MetricCheck, Metrics, judge, metrics_of
from beacon_pipeline.names import GROUP, LEDGER, OWNER, STATUS_METRICS
from beacon_pipeline.reconciliation.consistency import (
    MaterializedState,
    by_cell,
    mismatch_with_dagster,
    mismatch_with_provider,
    shown_of,
)
from beacon_pipeline.reconciliation.view import (
    Known,
    materializations_since,
    newest_materializations,
    shown_of_unknown,
)

SEVERITIES: Mapping[MetricCheck, dg.AssetCheckSeverity] = {
    MetricCheck.STATUS_MISMATCH: dg.AssetCheckSeverity.ERROR,
    MetricCheck.EXECUTION_TIME: dg.AssetCheckSeverity.WARN,
    MetricCheck.LEDGER_WRITES: dg.AssetCheckSeverity.ERROR,
    MetricCheck.REGION_BALANCE: dg.AssetCheckSeverity.WARN,
}
DESCRIPTIONS: Mapping[MetricCheck, str] = {
    MetricCheck.STATUS_MISMATCH: f"No execution of the last {HOURS} hours is wrong now. Compared are the "
    "status on record with the provider's last word on record, and, where no newer job asks the same and no "
    "run is at work, with what Dagster shows of the partition. What a provider would say today is "
    "reconciliation's to ask: what it set right by that counts as healed, and fails nothing.",
    MetricCheck.EXECUTION_TIME: "95 of 100 executions took less than a minute.",
    MetricCheck.LEDGER_WRITES: "More than 99.9 % of the writes to the ledger succeeded.",
    MetricCheck.REGION_BALANCE: "Every region completes about the same part of what it is asked.",
}


DECIMALS = 4
# Each figure's unit and meaning, as the asset's page shows it.
MEANINGS: Mapping[str, str] = {
    "executions": "asked in the window",
    "status_mismatches": "executions that are wrong now: provider, ledger and Dagster disagree",
    "status_mismatches_healed": "executions set right in the window",
    "status_mismatch_rate": "share of executions, 0 to 1",
    "execution_seconds_p50 / p95 / p99": "seconds from dispatch to completion",
    "ledger_writes, ledger_write_retries": "transactions",
    "ledger_write_success_rate": "share of transactions, 0 to 1",
    "completion_rate_REGION": "share of ended executions with an answer, 0 to 1",
    "region_imbalance": "difference between the best and the worst region's completion rate",
    "empty_rate, refusal_rate": "share of completed executions, 0 to 1; refusals by rules, a label rate",
    "attempts_per_execution": "calls that an execution took, on average",
    "queue_pending_executions, queue_dispatched_executions, queue_dagster_runs": "counts now",
    "calls, calls_with_times, cold_starts": "calls to providers in the window",
    "gpu_seconds, gpu_seconds_without_price": "seconds of generation by GPUs",
    "cost_estimate": "US dollars, by the prices in the catalog's settings.yaml",
}
FIGURES_IN_WORDS = "\n".join(f"- `{name}`: {meaning}" for name, meaning in MEANINGS.items())


def metrics_asset(catalog: Catalog) -> dg.AssetsDefinition:
    """The asset ``status_metrics``, with its checks."""

    @dg.asset(
        key=STATUS_METRICS,
        # Of the record, not of `inference`: with an upstream that is materialized, the UI calls it
        # unsynced after every answer.
        deps=[LEDGER],
        group_name=GROUP,
        owners=[OWNER],
        kinds={"metrics"},
        description=f"How well it goes: figures of what was asked in the last {HOURS} hours.\n\n"
        + FIGURES_IN_WORDS,
        metadata=code_and_guide(metrics_asset, "looking.md"),
        check_specs=[
            dg.AssetCheckSpec(name.value, asset=STATUS_METRICS, description=DESCRIPTIONS[name])
            for name in MetricCheck
        ],
    )
    def status_metrics(
        context: dg.AssetExecutionContext, ledger: dg.ResourceParam[LedgerResource]
    ) -> Iterator[dg.MaterializeResult[None]]:
        with ledger.open() as opened:
            metrics = take_metrics(opened, context.instance, catalog)
        yield dg.MaterializeResult(
            metadata=metadata_of(metrics),
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


def take_metrics(
    ledger: Ledger, instance: dg.DagsterInstance, catalog: Catalog, known: Known | None = None
) -> Metrics:
    """Read what the figures are made of, from the ledger and from Dagster. Raises LedgerUnavailable."""
    now = datetime.now(UTC)
    overdue = now - timedelta(seconds=catalog.settings.deadline_seconds)
    queued = instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]))
    shown_otherwise = _shown_otherwise(
        ledger, instance, catalog, now - WINDOW, {} if known is None else known
    )
    statistics = ledger.aggregates.statistics(since=now - WINDOW, overdue=overdue)
    return metrics_of(statistics, catalog, shown_otherwise=shown_otherwise, queued_runs=queued)


def _shown_otherwise(
    ledger: Ledger, instance: dg.DagsterInstance, catalog: Catalog, since: datetime, known: Known
) -> int:
    """How many cells that were asked since then show something else than their newest execution.

    Not counted while a run works on the cell: an answer is on record before Dagster shows it. Nor
    where the provider's word on record contradicts the ledger: that counts by itself. A partition that
    shows an execution which is not on record counts too.
    """
    under_way = cells_under_way(instance, catalog)  # looked at first: what ends meanwhile is shown
    cells = ledger.executions.cells_since(since).intersection(catalog.cells()) - under_way
    newest = ledger.executions.newest(sorted(cells))
    materialized = newest_materializations(instance, [key_of(execution.cell) for execution in newest], known)
    budget = catalog.settings.attempt_budget
    otherwise = set()
    for cell, of_cell in by_cell(newest).items():
        partition = materialized.get(key_of(cell))
        shown = partition.shown if partition else None
        if any(_is_shown_otherwise(e, shown_of(e, of_cell, shown), budget) for e in of_cell):
            otherwise.add(key_of(cell))
    recent = materializations_since(instance, since, known)
    at_rest = {key_of(cell) for cell in catalog.cells()} - {key_of(cell) for cell in under_way}
    return len(otherwise | (shown_of_unknown(ledger, recent).keys() & at_rest))


def _is_shown_otherwise(execution: Execution, shown: MaterializedState | None, budget: int) -> bool:
    if mismatch_with_provider(execution, on_record, budget=budget):
        return False
    # It is the newest of its partition: an answer that is not shown there is shown nowhere.
    hidden = execution.status is Status.COMPLETED and shown is not None and shown.execution_id != execution.id
    return hidden or mismatch_with_dagster(execution, shown, on_record, budget=budget) is not None


def metrics_events(
    ledger: Ledger, instance: dg.DagsterInstance, catalog: Catalog, known: Known | None = None
) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    """The figures and their checks as events that need no run."""
    metrics = take_metrics(ledger, instance, catalog, known)
    yield dg.AssetMaterialization(STATUS_METRICS, metadata=metadata_of(metrics))
    for name, finding in judge(metrics, catalog.settings).items():
        yield dg.AssetCheckEvaluation(
            asset_key=STATUS_METRICS,
            check_name=name.value,
            passed=finding.passed,
            severity=SEVERITIES[name],
            metadata={"seen": finding.seen, "what_to_do": finding.remedy},
        )


def report_metrics(
    ledger: Ledger, instance: dg.DagsterInstance, catalog: Catalog, known: Known | None = None
) -> None:
    """Take the figures now and put them on Dagster's record."""
    for event in metrics_events(ledger, instance, catalog, known):
        instance.report_runless_asset_event(event)


def metadata_of(metrics: Metrics) -> dict[str, dg.MetadataValue]:
    """Every figure that was measured, each a number, so that Dagster plots it."""
    figures: dict[str, int | float | None] = {
        "executions": metrics.executions,
        "status_mismatches": metrics.mismatches,
        "status_mismatches_healed": metrics.mismatches_healed,
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
        name: dg.MetadataValue.int(value)
        if isinstance(value, int)
        else dg.MetadataValue.float(round(value, DECIMALS))
        for name, value in figures.items()
        if value is not None
    }
