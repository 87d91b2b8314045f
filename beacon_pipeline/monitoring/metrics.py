"""How well the pipeline does, as figures, and whether they are good enough. Pure.

The figures are of what was asked in the last `WINDOW`; a figure that nothing was measured for is None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from beacon_pipeline.catalog import Catalog, ProviderName, Settings
from beacon_pipeline.execution.decide import CallStage, ExecutionState
from beacon_pipeline.ledger.statistics import DeploymentUsage, Statistics, StatusCount
from beacon_pipeline.ledger.status import AnswerKind, Status
from beacon_pipeline.reconciliation.checks import CheckOutcome
from beacon_pipeline.reconciliation.consistency import contradicts

WINDOW = timedelta(hours=24)
HOURS = WINDOW // timedelta(hours=1)

# What the incident report asks for.
MISMATCH_RATE = 0.0
P95_SECONDS = 60.0
WRITE_SUCCESS_RATE = 0.999


class MetricCheck(StrEnum):
    """The checks on the figures."""

    STATUS_MISMATCH = "status_mismatch"
    EXECUTION_TIME = "execution_time"
    LEDGER_WRITES = "ledger_writes"
    REGION_BALANCE = "region_balance"


@dataclass(frozen=True)
class Metrics:
    """All figures. Rates are between 0 and 1, times in seconds, the cost in the currency of the
    catalog's prices.

    ``mismatches`` are wrong now, by what is on record: the provider's last word known, and what
    Dagster shows; their rate is to be zero. ``mismatches_healed`` were wrong, and have been set right
    by what the provider reported when it was asked again. ``gpu_seconds`` and ``cost_estimate`` are of the
    calls that say when they ran; ``unpriced_gpu_seconds`` of those whose GPU has no price in the catalog.
    """

    executions: int
    mismatches: int
    mismatches_healed: int
    status_mismatch_rate: float | None
    execution_seconds: Mapping[int, float]  # by percentile
    ledger_writes: int
    ledger_write_retries: int
    ledger_write_success_rate: float | None
    completion_rate_by_region: Mapping[str, float]
    region_imbalance: float | None
    empty_rate: float | None
    refusal_rate: float | None
    attempts_per_execution: float | None
    pending: int
    dispatched: int
    queued_runs: int
    calls: int
    measured_calls: int
    cold_starts: int
    gpu_seconds: float
    unpriced_gpu_seconds: float
    cost_estimate: float


def metrics_of(
    statistics: Statistics, catalog: Catalog, *, shown_otherwise: int, queued_runs: int
) -> Metrics:
    """The figures. ``shown_otherwise`` counts the executions of which Dagster shows something else than
    the ledger has, and that the provider's word does not contradict; ``queued_runs`` the Dagster runs
    that wait for their turn."""
    contradicted = sum(
        count.executions
        for count in statistics.agreements
        if contradicts(_state_of(count), answered=count.answered)
    )
    mismatches = contradicted + shown_otherwise
    answers = statistics.by_answer_kind
    completed = sum(answers.values())
    writes = statistics.writes
    rates = completion_rates(statistics.due_by_region)
    gpu_seconds, unpriced, cost = _cost(statistics.computed, catalog)
    return Metrics(
        executions=statistics.executions,
        mismatches=mismatches,
        mismatches_healed=statistics.repaired,
        status_mismatch_rate=_part(mismatches, statistics.executions),
        execution_seconds=statistics.seconds,
        ledger_writes=writes.committed + writes.failed,
        ledger_write_retries=writes.retried,
        ledger_write_success_rate=_part(writes.committed, writes.committed + writes.failed),
        completion_rate_by_region=rates,
        region_imbalance=max(rates.values()) - min(rates.values()) if rates else None,
        empty_rate=_part(answers.get(AnswerKind.EMPTY, 0), completed),
        refusal_rate=_part(answers.get(AnswerKind.REFUSAL, 0), completed),
        attempts_per_execution=_part(statistics.attempts, statistics.attempted),
        pending=statistics.pending,
        dispatched=statistics.dispatched,
        queued_runs=queued_runs,
        calls=sum(computed.calls for computed in statistics.computed),
        measured_calls=sum(computed.measured_calls for computed in statistics.computed),
        cold_starts=sum(computed.cold_starts for computed in statistics.computed),
        gpu_seconds=gpu_seconds,
        unpriced_gpu_seconds=unpriced,
        cost_estimate=cost,
    )


def _state_of(count: StatusCount) -> ExecutionState:
    """What the decision table looks at of executions that are counted together, on record."""
    if count.status is Status.DISPATCHED or count.call_status is None:
        stage = CallStage.ACCEPTED
    else:
        stage = CallStage.REFUSED if count.refused else CallStage.ENDED
    return ExecutionState(count.status, stage, count.call_status, attempts=1, budget=1)


def _part(some: int, of: int) -> float | None:
    return some / of if of else None


def completion_rates(regions: Mapping[str, Mapping[Status, int]]) -> dict[str, float]:
    """Which part each region completed of its executions; those that a person cancelled count for nothing."""
    rates = {}
    for region, statuses in regions.items():
        asked = sum(count for status, count in statuses.items() if status is not Status.CANCELLED)
        if asked:
            rates[region] = statuses.get(Status.COMPLETED, 0) / asked
    return rates


def _cost(computed: Iterable[DeploymentUsage], catalog: Catalog) -> tuple[float, float, float]:
    """GPU seconds, those without a price among them, and the cost of the others.

    A model is taken to have run on the GPU it prefers; starting up and idling are not in it.
    """
    gpus = {model.id: model.gpu for model in catalog.models if model.provider is not ProviderName.LOCAL}
    prices, factor = catalog.settings.gpu_prices_per_second, catalog.settings.region_price_factor
    total = unpriced = cost = 0.0
    for deployment in computed:
        preferred = next(iter(gpus.get(deployment.model, ())), None)
        if preferred is None:
            continue
        name, _, number = preferred.partition(":")
        seconds = deployment.seconds * (int(number) if number.isdigit() else 1)
        total += seconds
        if name in prices:
            cost += seconds * prices[name] * factor
        else:
            unpriced += seconds
    return total, unpriced, cost


def judge(metrics: Metrics, settings: Settings) -> dict[MetricCheck, CheckOutcome]:
    """Whether the figures are good enough. What was not measured fails nothing."""
    return {name: check(metrics, settings) for name, check in _CHECKS.items()}


def _status_mismatch(metrics: Metrics, _settings: Settings) -> CheckOutcome:
    rate = metrics.status_mismatch_rate
    seen = (
        f"{metrics.mismatches} of {metrics.executions} executions: provider, ledger and Dagster differ now; "
        f"{metrics.mismatches_healed} healed in the last {HOURS} hours"
    )
    return _finding(
        rate is None or rate <= MISMATCH_RATE,
        seen,
        "reconciliation heals them; `beacon status` names them, `beacon show` has the path of each",
    )


def _execution_time(metrics: Metrics, _settings: Settings) -> CheckOutcome:
    p95 = metrics.execution_seconds.get(95)
    if p95 is None:
        return CheckOutcome(True, "nothing completed")
    return _finding(
        p95 < P95_SECONDS,
        f"95 of 100 executions took at most {p95:.1f} s; the limit is {P95_SECONDS:g} s",
        "look at cold starts and the queue depth: keep deployments warm, or raise max_containers",
    )


def _ledger_writes(metrics: Metrics, _settings: Settings) -> CheckOutcome:
    rate = metrics.ledger_write_success_rate
    if rate is None:
        return CheckOutcome(True, "nothing was written")
    return _finding(
        rate > WRITE_SUCCESS_RATE,
        f"{rate:.4%} of {metrics.ledger_writes} writes succeeded, "
        f"after {metrics.ledger_write_retries} repeated tries",
        "look at the ledger's database: nothing was lost, the runs that could not write have failed",
    )


def _region_balance(metrics: Metrics, settings: Settings) -> CheckOutcome:
    rates = ", ".join(f"{region} {rate:.1%}" for region, rate in metrics.completion_rate_by_region.items())
    imbalance = metrics.region_imbalance
    return _finding(
        imbalance is None or imbalance <= settings.region_imbalance,
        f"completed: {rates or 'nothing due'}; they may differ by {settings.region_imbalance:.0%}",
        "look at the failures of the region that is behind: `beacon status` shows them by region",
    )


def _finding(passed: bool, seen: str, remedy: str) -> CheckOutcome:
    return CheckOutcome(True, seen) if passed else CheckOutcome(False, seen, remedy)


_CHECKS: Mapping[MetricCheck, Callable[[Metrics, Settings], CheckOutcome]] = {
    MetricCheck.STATUS_MISMATCH: _status_mismatch,
    MetricCheck.EXECUTION_TIME: _execution_time,
    MetricCheck.LEDGER_WRITES: _ledger_writes,
    MetricCheck.REGION_BALANCE: _region_balance,
}


@dataclass(frozen=True)
class Refresh:
    """When figures are taken: after which status change, which materialization, and at what time."""

    transition: int = 0
    materialization: int = 0  # of inference: what Dagster shows changes without the ledger, too
    at: float = 0.0  # seconds since the epoch

    def is_due(self, now: Refresh, *, unsettled: int, while_busy: float) -> bool:
        """Whether to take them again now: when a job has ended or what Dagster shows of it has changed,
        now and then while one goes on, and when all that they were taken of is older than their window."""
        if unsettled:
            return now.at - self.at >= while_busy
        out_of_date = self.at and now.at - self.at >= WINDOW.total_seconds()
        return bool(out_of_date) or (now.transition, now.materialization) != (
            self.transition,
            self.materialization,
        )
