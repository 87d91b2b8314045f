"""Partitions with several executions: what Dagster shows of them, what is checked, what heals them."""

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from rich.console import Console, RenderableType

from beacon_pipeline.catalog.partitions import cell_of, key_of, rectangle
from beacon_pipeline.catalog.plan import planned
from beacon_pipeline.cli.common import report_of
from beacon_pipeline.cli.matrix import matrix, question_panel
from beacon_pipeline.defs.assets.status_metrics import take_metrics
from beacon_pipeline.execution.resources import LedgerResource
from beacon_pipeline.jobs.dagster_api import CHECKS_JOB, INFERENCE_JOB
from beacon_pipeline.jobs.job_making import make_job
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Execution, Job
from beacon_pipeline.names import BLOCKS_TAG, INFERENCE, JOB_TAG
from beacon_pipeline.reconciliation.reconcile import Repair
from beacon_pipeline.reconciliation.tick import Cursor, Reconciliation, Tick
from inference.contract import FailureCode, Item, ItemResult
from tests.beacon_pipeline.location import CATALOG, Location, Scripted
from tests.beacon_pipeline.scripted import Behaviour, fails, says

CELLS = CATALOG.cells(questions=["math_basic", "geography_basic"])
RANGE = rectangle(CATALOG, CELLS)
KEYS = {key_of(cell) for cell in CELLS}
DOOMED = "apac:tiny-qwen|math_basic"
PLAN = planned(
    CATALOG,
    CATALOG.models,
    arms=("regional", "neutral"),
    blocks=(1, 2),
    samples=2,
    greedy_probes=1,
    temperature=0.8,
    seed="feedbeef",
)
OF_A_CELL = 2 * (2 * 2 + 1)


class Planned:
    """A job with a plan on a scripted provider: one run for all of it."""

    def __init__(self, instance: dg.DagsterInstance, ledger: Ledger, *script: Behaviour) -> None:
        self.instance, self.ledger = instance, ledger
        self.location = Location(instance, *script)
        self.job: Job = make_job(ledger, CATALOG, "mine", CELLS, source="launch", actor="test", plan=PLAN)

    def run(self) -> dg.DagsterRun:
        return self.location.run(INFERENCE_JOB, RANGE.start, RANGE.end, **{JOB_TAG: "mine"})

    def executions(self, key: str | None = None) -> list[Execution]:
        return self.ledger.executions.of_job(self.job.id, None if key is None else [cell_of(key)])

    def shown(self, key: str) -> dict[str, object]:
        wanted = dg.AssetRecordsFilter(asset_key=INFERENCE, asset_partitions=[key])
        (record,) = self.instance.fetch_materializations(wanted, limit=1).records
        assert record.asset_materialization is not None
        return {name: value.value for name, value in record.asset_materialization.metadata.items()}

    def neighbours_shown(self, key: str, region: str) -> list[str]:
        """The table of other regions with the answers to the same question in a region, as the UI shows it:
        of its newest materialization, or of an observation since."""
        (of_region,) = [other for other in KEYS if other == f"{region}:{key.partition(':')[2]}"]
        wanted = dg.AssetRecordsFilter(asset_key=INFERENCE, asset_partitions=[of_region])
        found = [
            *self.instance.fetch_materializations(wanted, limit=1).records,
            *self.instance.fetch_observations(wanted, limit=1).records,
        ]
        event = max(found, key=lambda record: record.storage_id)
        shown = event.asset_materialization or event.asset_observation
        assert shown is not None
        return str(shown.metadata["other_regions"].value).splitlines()

    def tick(self, after: timedelta = timedelta(hours=1)) -> Tick:
        providers = Scripted(self.location.provider)
        now = datetime.now(UTC) + after
        return Reconciliation(self.ledger, self.instance, CATALOG, providers, now=now).tick(Cursor())

    def mismatches(self) -> tuple[int, int]:
        """As the job's report and as the metrics count them."""
        metrics = take_metrics(self.ledger, self.instance, CATALOG)
        return report_of(self.ledger, self.instance, CATALOG, self.job).mismatches, metrics.mismatches


def as_text(shown: RenderableType) -> str:
    console = Console(record=True, width=200, file=io.StringIO())
    console.print(shown)
    return console.export_text()


@pytest.fixture
def ledger(instance: dg.DagsterInstance) -> Iterator[Ledger]:
    with LedgerResource().open() as opened:
        yield opened


def test_a_partition_sums_up_its_executions(instance: dg.DagsterInstance, ledger: Ledger) -> None:
    def answer(item: Item) -> ItemResult:
        return says("" if item.greedy else f"{(item.seed or 0) % 3}")(item)

    planned = Planned(instance, ledger, Behaviour(results=answer))
    run = planned.run()
    assert run.status is dg.DagsterRunStatus.SUCCESS
    assert instance.get_run_by_id(run.run_id).tags[BLOCKS_TAG] == "2"  # type: ignore[union-attr]
    assert planned.location.green() == KEYS, "and nothing that the range holds beside them"
    assert len(planned.location.provider.requests) == 2 * 9
    key = "eu:tiny-llama|math_basic"
    shown = planned.shown(key)
    assert (shown["status"], shown["answer_kind"]) == ("completed", "8 substantive, 2 empty")
    assert (shown["executions"], shown["calls"], shown["attempts"]) == (OF_A_CELL, 2, OF_A_CELL)
    assert shown["execution"] == planned.executions(key)[0].id
    assert shown["plan"] == "2 arms (regional, neutral), 2 blocks, 2 samples, 1 probe, temperature 0.8"
    assert "| regional | You are a helpful AI assistant based in Europe" in str(shown["answers"])
    assert "| neutral | You are a helpful AI assistant" in str(shown["answers"])
    assert "8 substantive, 2 empty" in str(shown["other_regions"])
    assert len(json.dumps(shown)) < 2500

    checks = planned.location.checks(run.run_id)
    assert {partition for _, partition in checks} == KEYS
    empty = checks["non_empty_output", key]
    assert not empty.passed
    assert "2 of 10 executions: the model generated no visible text" in str(empty.metadata["seen"].value)
    assert checks["status_consistency", key].passed
    assert planned.mismatches() == (0, 0)
    assert planned.tick().summary == "nothing is wrong"
    alone = planned.location.run(CHECKS_JOB, key)
    told = planned.location.checks(alone.run_id)
    assert {name: told[name, key].passed for name, _ in told} == {
        "non_empty_output": False,
        "status_consistency": True,
        "executed_region": True,
    }
    report = report_of(ledger, planned.instance, CATALOG, planned.job)
    table = as_text(matrix(report))
    assert "4 substantive" in table
    assert "probe" in table
    assert "by rules" not in table
    with_refusals = replace(
        report, by_answer_kind=report.by_answer_kind | {"refusal": 3}, refusal_rules=(None, "4")
    )
    named = "3 refusal, 36 empty (refusals by rules, versions not on record, 4)"
    assert named in " ".join(as_text(matrix(with_refusals)).split())
    of_question = [e for e in planned.executions() if e.cell == cell_of(key) and not e.is_probe]
    side_by_side = as_text(question_panel(planned.job, of_question))
    assert "tiny-llama (neutral)" in side_by_side
    assert " × " in side_by_side


def test_a_partition_is_green_when_all_its_executions_are_completed(
    instance: dg.DagsterInstance, ledger: Ledger
) -> None:
    planned = Planned(instance, ledger, Behaviour())
    seeds = [e.seed for e in planned.executions(DOOMED) if not e.is_probe]

    def one_fails(item: Item) -> ItemResult:
        doomed = item.seed == seeds[-1]
        return fails(FailureCode.GENERATION_ERROR)(item) if doomed else says("fine")(item)

    planned.location.provider.script = [Behaviour(results=one_fails)]
    run = planned.run()
    assert run.status is dg.DagsterRunStatus.FAILURE
    (failure,) = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    assert failure.dagster_event is not None
    summary = failure.dagster_event.step_failure_data.error_display_string
    assert f"1 of {len(CELLS) * OF_A_CELL} executions have no answer" in summary
    assert planned.location.green() == KEYS - {DOOMED}
    for region in ("us", "eu"):
        (doomed,) = [line for line in planned.neighbours_shown(DOOMED, region) if "[apac]" in line]
        assert f"{OF_A_CELL - 1} substantive, 1 without an answer |" in doomed
    assert planned.mismatches() == (0, 0), "nothing is missing of the completed ones beside a failed one"
    tick = planned.tick()
    assert (tick.runs, tick.unknown) == ([], {})

    planned.location.provider.script = [Behaviour()]
    asked = len(planned.location.provider.requests)
    assert planned.run().status is dg.DagsterRunStatus.SUCCESS
    assert [len(r.items) for r in planned.location.provider.requests[asked:]] == [1], "a person asks it again"
    assert planned.location.green() == KEYS


def test_one_run_heals_a_job_with_a_plan(instance: dg.DagsterInstance, ledger: Ledger) -> None:
    planned = Planned(instance, ledger, Behaviour())
    tick = planned.tick()
    (run,) = tick.runs
    assert (run.repair, len(run.executions)) == (Repair.REDISPATCH, len(CELLS) * OF_A_CELL)
    assert (run.keys.start, run.keys.end) == (RANGE.start, RANGE.end)
    assert planned.run().status is dg.DagsterRunStatus.SUCCESS

    instance.wipe_assets([INFERENCE])
    assert planned.mismatches() == (len(CELLS), len(CELLS))
    (run,) = planned.tick().runs
    assert run.repair is Repair.CORRECT_DAGSTER
    asked = len(planned.location.provider.requests)
    assert planned.run().status is dg.DagsterRunStatus.SUCCESS
    assert len(planned.location.provider.requests) == asked
    assert planned.location.green() == KEYS
    assert planned.mismatches() == (0, 0)
