"""The figures of monitoring, from counts to verdicts, and how Dagster shows them."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from beacon_pipeline.catalog import Settings, load_catalog
from beacon_pipeline.catalog.partitions import key_of
from beacon_pipeline.definitions import build_definitions
from beacon_pipeline.defs.assets.status_metrics import MEANINGS, metadata_of, take_metrics
from beacon_pipeline.defs.sensors.metrics import metrics_sensor
from beacon_pipeline.execution.resources import LedgerResource
from beacon_pipeline.jobs.dagster_api import INFERENCE_JOB
from beacon_pipeline.ledger import WriteCounts
from beacon_pipeline.ledger.records import Cell
from beacon_pipeline.ledger.statistics import DeploymentUsage, Statistics, StatusCount
from beacon_pipeline.ledger.status import AnswerKind, Status
from beacon_pipeline.monitoring.metrics import MetricCheck, Refresh, judge, metrics_of
from beacon_pipeline.names import INFERENCE, JOB_TAG, RANGE_END_TAG, RANGE_START_TAG, STATUS_METRICS
from beacon_pipeline.reconciliation.view import materialization_of
from inference.contract import CallStatus, FailureCode
from tests.beacon_pipeline.asking import a_job
from tests.beacon_pipeline.location import KEYS, Location
from tests.beacon_pipeline.scripted import Behaviour, ended, fails
from tests.instance_template import copied_instance

CATALOG = load_catalog("production")
DEMO = load_catalog("demo")
SOUND = Statistics(
    executions=100,
    due_by_region={"us": {Status.COMPLETED: 50}, "eu": {Status.COMPLETED: 49, Status.FAILED: 1}},
    by_answer_kind={AnswerKind.SUBSTANTIVE: 89, AnswerKind.EMPTY: 6, AnswerKind.REFUSAL: 4},
    agreements=(
        StatusCount(Status.COMPLETED, CallStatus.SUCCEEDED, True, True, 99),
        StatusCount(Status.FAILED, CallStatus.FAILED, False, False, 1),
    ),
    attempts=110,
    attempted=100,
    pending=0,
    dispatched=0,
    seconds={50: 12.0, 95: 45.0, 99: 59.0},
    computed=(
        DeploymentUsage("us", "mistral-7b", "modal", 10, 2, 10, 100.0),
        DeploymentUsage("eu", "llama3.2-1b", "modal", 10, 1, 8, 50.0),
    ),
    writes=WriteCounts(committed=10_000, retried=3, failed=0),
    repaired=0,
)
NOTHING = Statistics(0, {}, {}, (), 0, 0, 0, 0, {}, (), WriteCounts(), 0)


def failing(
    statistics: Statistics, *, shown_otherwise: int = 0, settings: Settings = CATALOG.settings
) -> set[str]:
    metrics = metrics_of(statistics, CATALOG, shown_otherwise=shown_otherwise, queued_runs=0)
    return {name.value for name, finding in judge(metrics, settings).items() if not finding.passed}


def test_the_figures() -> None:
    metrics = metrics_of(SOUND, CATALOG, shown_otherwise=0, queued_runs=3)
    assert (metrics.mismatches, metrics.status_mismatch_rate) == (0, 0.0)
    assert metrics.completion_rate_by_region == {"us": 1.0, "eu": 0.98}
    assert metrics.region_imbalance == pytest.approx(0.02)
    assert metrics.empty_rate == pytest.approx(6 / 99)
    assert metrics.refusal_rate == pytest.approx(4 / 99)
    assert metrics.attempts_per_execution == pytest.approx(1.1)
    assert (metrics.calls, metrics.measured_calls, metrics.cold_starts) == (20, 18, 3)
    assert metrics.gpu_seconds == 150.0
    assert metrics.unpriced_gpu_seconds == 0.0
    assert metrics.cost_estimate == pytest.approx((100 * 0.000542 + 50 * 0.000222) * 1.5)
    assert metrics.queued_runs == 3


def test_what_was_not_measured_is_no_figure_and_fails_nothing() -> None:
    metrics = metrics_of(NOTHING, CATALOG, shown_otherwise=0, queued_runs=0)
    unmeasured = (
        metrics.status_mismatch_rate,
        metrics.ledger_write_success_rate,
        metrics.region_imbalance,
        metrics.empty_rate,
        metrics.attempts_per_execution,
    )
    assert unmeasured == (None,) * 5
    assert failing(NOTHING) == set()


def test_local_models_cost_nothing_and_a_gpu_without_a_price_is_said() -> None:
    local = replace(SOUND, computed=(DeploymentUsage("us", "tiny-qwen", "local", 5, 5, 5, 100.0),))
    metrics = metrics_of(local, DEMO, shown_otherwise=0, queued_runs=0)
    assert (metrics.gpu_seconds, metrics.cost_estimate) == (0.0, 0.0)
    unpriced = CATALOG.model_copy(update={"settings": Settings()})
    metrics = metrics_of(SOUND, unpriced, shown_otherwise=0, queued_runs=0)
    assert (metrics.gpu_seconds, metrics.unpriced_gpu_seconds, metrics.cost_estimate) == (150.0, 150.0, 0.0)


FALSE_FAILURE = StatusCount(Status.FAILED, CallStatus.SUCCEEDED, False, False, 1)
FAR_BEHIND = {"us": {Status.COMPLETED: 50}, "eu": {Status.COMPLETED: 25, Status.FAILED: 25}}
CANCELLED = {"us": {Status.COMPLETED: 50}, "eu": {Status.COMPLETED: 25, Status.CANCELLED: 25}}
MISSING = {"us": {Status.COMPLETED: 50}, "eu": {Status.PENDING: 50}}


@pytest.mark.parametrize(
    ("statistics", "shown_otherwise", "expected"),
    [
        (SOUND, 0, set()),
        (replace(SOUND, agreements=(*SOUND.agreements, FALSE_FAILURE)), 0, {"status_mismatch"}),
        (SOUND, 1, {"status_mismatch"}),
        (replace(SOUND, repaired=3), 0, set()),  # healed: nothing is wrong now
        (replace(SOUND, seconds={50: 1.0, 95: 60.0, 99: 60.0}), 0, {"execution_time"}),
        (replace(SOUND, seconds={50: 1.0, 95: 59.9, 99: 400.0}), 0, set()),
        (replace(SOUND, writes=WriteCounts(committed=999, failed=1)), 0, {"ledger_writes"}),
        (replace(SOUND, writes=WriteCounts(committed=1999, failed=1)), 0, set()),
        (replace(SOUND, writes=WriteCounts(committed=10, retried=90)), 0, set()),
        (replace(SOUND, due_by_region=FAR_BEHIND), 0, {"region_balance"}),
        (replace(SOUND, due_by_region=MISSING), 0, {"region_balance"}),
        (replace(SOUND, due_by_region=CANCELLED), 0, set()),
    ],
)
def test_the_incidents_thresholds(statistics: Statistics, shown_otherwise: int, expected: set[str]) -> None:
    assert failing(statistics, shown_otherwise=shown_otherwise) == expected


def test_what_is_wrong_now_and_what_has_healed_are_told_apart() -> None:
    metrics = metrics_of(replace(SOUND, repaired=3), CATALOG, shown_otherwise=1, queued_runs=0)
    assert (metrics.mismatches, metrics.mismatches_healed) == (1, 3)
    assert metrics.status_mismatch_rate == pytest.approx(0.01)
    seen = judge(metrics, CATALOG.settings)[MetricCheck.STATUS_MISMATCH].seen
    assert "1 of 100 executions" in seen
    assert "3 healed" in seen


def test_each_figure_is_rounded_and_its_meaning_is_said() -> None:
    shown = metadata_of(metrics_of(SOUND, CATALOG, shown_otherwise=0, queued_runs=0))
    assert (shown["empty_rate"].value, shown["execution_seconds_p95"].value) == (0.0606, 45.0)
    explained = set(re.findall(r"\w+", " ".join(MEANINGS)))
    figures = {re.sub("_p[0-9]+$", "_p50", re.sub("rate_(us|eu)$", "rate_REGION", name)) for name in shown}
    assert figures <= explained


def test_the_imbalance_that_is_tolerated_is_the_catalogs() -> None:
    behind = replace(SOUND, due_by_region=FAR_BEHIND)
    assert failing(behind, settings=Settings(region_imbalance=0.5)) == set()


@pytest.mark.parametrize(
    ("newest", "unsettled", "seconds_later", "due"),
    [
        ((7, 3), 0, 1, False),  # nothing happened since
        ((8, 3), 0, 1, True),  # a job ended
        ((7, 4), 0, 1, True),  # Dagster shows something else
        ((8, 4), 5, 1, False),  # one goes on
        ((8, 4), 5, 300, True),
        ((7, 3), 5, 300, True),  # it stands still: all the more
        ((7, 3), 0, 10_000, False),
        ((7, 3), 0, 86_400, True),  # nothing of what they say is of the last day
    ],
)
def test_when_figures_are_taken_again(
    newest: tuple[int, int], unsettled: int, seconds_later: float, due: bool
) -> None:
    last = Refresh(transition=7, materialization=3, at=1000.0)
    now = Refresh(*newest, at=1000.0 + seconds_later)
    assert last.is_due(now, unsettled=unsettled, while_busy=300) is due
    assert not Refresh().is_due(Refresh(at=now.at + 86_400), unsettled=0, while_busy=300), "nothing is there"


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.delenv("BEACON_DATABASE_URL", raising=False)
    with copied_instance(tmp_path) as made:
        yield made


def figures(instance: dg.DagsterInstance) -> dict[str, object]:
    event = instance.get_latest_materialization_event(STATUS_METRICS)
    assert event is not None
    assert event.asset_materialization is not None
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}


def test_a_run_puts_the_figures_and_their_checks_on_record(instance: dg.DagsterInstance) -> None:
    with LedgerResource().open() as ledger:
        a_job(ledger, [Cell("eu", "tiny-qwen", "math_basic")])
    job = build_definitions(DEMO).resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(instance=instance, asset_selection=[STATUS_METRICS])
    assert result.success
    told = figures(instance)
    assert told["executions"] == 1
    assert told["queue_pending_executions"] == 1
    assert told["ledger_writes"] == 2
    assert told["ledger_write_success_rate"] == 1.0
    assert "empty_rate" not in told
    assert all(isinstance(value, int | float) for value in told.values())
    evaluations = result.get_asset_check_evaluations()
    assert {e.check_name for e in evaluations} == {name.value for name in MetricCheck}
    assert all(e.passed for e in evaluations)


def tick(instance: dg.DagsterInstance, cursor: str | None) -> dg.SensorResult | dg.SkipReason:
    context = dg.build_sensor_context(
        instance=instance, cursor=cursor, resources={"ledger": LedgerResource()}
    )
    told = metrics_sensor(DEMO)(context)
    assert isinstance(told, dg.SensorResult | dg.SkipReason)
    return told


def passed(result: dg.SensorResult, name: MetricCheck) -> bool:
    (verdict,) = [
        event.passed
        for event in result.asset_events
        if isinstance(event, dg.AssetCheckEvaluation) and event.check_name == name.value
    ]
    return verdict


def test_the_sensor_takes_them_without_a_run_and_only_when_something_ended(
    instance: dg.DagsterInstance,
) -> None:
    assert isinstance(tick(instance, None), dg.SkipReason), "nothing was ever asked"
    with LedgerResource().open() as ledger:
        job = a_job(ledger, [Cell("eu", "tiny-qwen", "math_basic")])
        ledger.repairs.cancel_pending([e.id for e in ledger.executions.of_job(job.id)], actor="test")
    first = tick(instance, None)
    assert isinstance(first, dg.SensorResult)
    assert [type(event) for event in first.asset_events].count(dg.AssetMaterialization) == 1
    assert [type(event) for event in first.asset_events].count(dg.AssetCheckEvaluation) == 4
    assert isinstance(tick(instance, first.cursor), dg.SkipReason)


def mismatches(instance: dg.DagsterInstance) -> int:
    with LedgerResource().open() as ledger:
        return take_metrics(ledger, instance, DEMO).mismatches


def test_an_answer_that_dagster_does_not_show_is_a_mismatch(instance: dg.DagsterInstance) -> None:
    Location(instance, Behaviour()).ask()
    assert mismatches(instance) == 0
    instance.wipe_assets([INFERENCE])
    assert mismatches(instance) == 8
    instance.create_run_for_job(
        build_definitions(DEMO).resolve_job_def(INFERENCE_JOB),
        tags={RANGE_START_TAG: KEYS["math_basic"], RANGE_END_TAG: KEYS["math_basic"]},
        status=dg.DagsterRunStatus.STARTED,
    )
    assert mismatches(instance) == 7, "a run is about to show one"


def test_a_partition_that_shows_something_else_is_a_mismatch(instance: dg.DagsterInstance) -> None:
    location = Location(instance, Behaviour())
    location.ask()
    with LedgerResource().open() as ledger:
        job = ledger.jobs.latest()
        assert job is not None
        first, second, third, *_ = ledger.executions.of_job(job.id)
    told = [
        materialization_of([replace(first, status=Status.FAILED)], job),
        dg.AssetMaterialization(INFERENCE, partition=key_of(second.cell)),  # as by hand, in the UI
        materialization_of([replace(third, id="of-an-older-job")], job),
    ]
    for wrong, materialization in enumerate(told, start=1):
        instance.report_runless_asset_event(materialization)
        assert mismatches(instance) == wrong
    location.ask(**{JOB_TAG: job.job_name})
    assert mismatches(instance) == 0


def test_an_older_answer_may_be_shown_while_the_newest_has_none_but_nothing_made_by_hand(
    instance: dg.DagsterInstance,
) -> None:
    Location(instance, Behaviour()).ask()
    Location(instance, Behaviour(results=fails(FailureCode.GENERATION_ERROR))).ask()
    assert mismatches(instance) == 0
    by_hand = dg.AssetMaterialization(INFERENCE, partition=KEYS["math_basic"])
    instance.report_runless_asset_event(by_hand)
    assert mismatches(instance) == 1


def test_the_incident_is_counted_once_it_has_healed(instance: dg.DagsterInstance) -> None:
    """A failure on record that the provider never reported: seen only by asking it."""
    location = Location(instance, Behaviour(states=[ended(CallStatus.FAILED, FailureCode.WORKER_LOST)]))
    location.ask(**{JOB_TAG: "mine"})
    with LedgerResource().open() as ledger:
        assert take_metrics(ledger, instance, DEMO).mismatches_healed == 0
        location.provider.script = [Behaviour()]
        location.ask(**{JOB_TAG: "mine"})
        metrics = take_metrics(ledger, instance, DEMO)
    assert (metrics.mismatches, metrics.mismatches_healed) == (0, 8)


def test_the_figures_are_taken_again_when_dagster_has_changed(instance: dg.DagsterInstance) -> None:
    location = Location(instance, Behaviour())
    location.ask(**{JOB_TAG: "mine"})
    first = tick(instance, None)
    assert isinstance(first, dg.SensorResult)
    assert isinstance(tick(instance, first.cursor), dg.SkipReason)
    instance.wipe_assets([INFERENCE])
    wrong = tick(instance, first.cursor)
    assert isinstance(wrong, dg.SensorResult)
    assert passed(wrong, MetricCheck.STATUS_MISMATCH) is False
    location.ask(**{JOB_TAG: "mine"})  # nothing changes in the ledger
    healed = tick(instance, wrong.cursor)
    assert isinstance(healed, dg.SensorResult)
    assert passed(healed, MetricCheck.STATUS_MISMATCH) is True
