"""What the reconciliation sensor finds and heals, tick by tick, on a real Dagster instance."""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa

from beacon_pipeline.catalog.partitions import cells_between, key_of, partitions_definition
from beacon_pipeline.cli.common import report_of
from beacon_pipeline.cli.report import report_on
from beacon_pipeline.defs.assets.status_metrics import take_metrics
from beacon_pipeline.execution.collect import NEVER_ENDED
from beacon_pipeline.execution.request import request_for
from beacon_pipeline.execution.resources import LedgerResource
from beacon_pipeline.jobs.dagster_api import CHECKS_JOB, INFERENCE_JOB
from beacon_pipeline.jobs.job_making import make_job
from beacon_pipeline.jobs.specification import specification_of
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.database import Database
from beacon_pipeline.ledger.records import Cell, Execution
from beacon_pipeline.ledger.status import Status
from beacon_pipeline.names import (
    BACKFILL_TAG,
    HEALING_REASON_TAG,
    HEALING_TAG,
    INFERENCE,
    JOB_TAG,
    RANGE_END_TAG,
    RANGE_START_TAG,
)
from beacon_pipeline.reconciliation import tick as ticks
from beacon_pipeline.reconciliation.consistency import NOT_ON_RECORD
from beacon_pipeline.reconciliation.reconcile_all import look
from beacon_pipeline.reconciliation.repair_runs import HealingRun
from beacon_pipeline.reconciliation.tick import Cursor, Reconciliation, Tick
from beacon_pipeline.reconciliation.view import newest_materializations, shown_of_unknown
from inference.contract import CallStatus, FailureCode, Request, SubmitUnknown
from tests.beacon_pipeline.asking import a_request_for
from tests.beacon_pipeline.location import CATALOG, KEYS, Location, Scripted
from tests.beacon_pipeline.scripted import (
    PENDING,
    SUCCEEDED,
    UNREACHABLE,
    Behaviour,
    ended,
    says,
)

ALL = [question.id for question in CATALOG.questions]
CELLS = [Cell("eu", "tiny-llama", question) for question in ALL]
LOST_WORKER = ended(CallStatus.FAILED, FailureCode.WORKER_LOST)


class Record:
    """A record with something wrong in it, its provider, and the sensor that heals it."""

    def __init__(self, instance: dg.DagsterInstance, ledger: Ledger, *script: Behaviour) -> None:
        self.instance = instance
        self.ledger = ledger
        self.location = Location(instance, *script)
        self.provider = self.location.provider
        self.cursor = Cursor()

    def ask(self, name: str = "mine") -> None:
        self.location.ask(**{JOB_TAG: name})

    def intend(self, cells: Sequence[Cell] = CELLS, name: str = "mine") -> None:
        """A job whose run never came to do anything."""
        job = self.ledger.jobs.ensure(name, source="launch", catalog="demo", catalog_digest="d")
        self.ledger.executions.ensure(job.id, cells, actor="test")

    def executions(self, name: str = "mine") -> list[Execution]:
        job = self.ledger.jobs.named(name)
        assert job is not None
        return self.ledger.executions.of_job(job.id)

    def statuses(self, name: str = "mine") -> set[Status]:
        return {execution.status for execution in self.executions(name)}

    def tick(self, *, runs_a_tick: int | None = 10, after: timedelta = timedelta(hours=1)) -> Tick:
        """One look, as if so much time had passed."""
        looking = Reconciliation(
            self.ledger,
            self.instance,
            CATALOG,
            Scripted(self.provider),
            now=datetime.now(UTC) + after,
            runs_a_tick=runs_a_tick,
        )
        tick = looking.tick(self.cursor)
        self.cursor = tick.cursor
        return tick

    def heal(self, tick: Tick) -> list[dg.DagsterRun]:
        """Do what the daemon does with the runs that a tick requests."""
        return [self.location.run(INFERENCE_JOB, **run.launch(CATALOG).tags) for run in tick.runs]

    def run(
        self, status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED, tags: Mapping[str, str] | None = None
    ) -> dg.DagsterRun:
        """A run of inference that does nothing, over all questions for this job unless tags say otherwise."""
        definition = self.location.definitions.resolve_job_def(INFERENCE_JOB)
        ranged = {JOB_TAG: "mine", RANGE_START_TAG: KEYS[ALL[0]], RANGE_END_TAG: KEYS[ALL[-1]]}
        return self.instance.create_run_for_job(definition, tags=dict(tags or ranged), status=status)

    def die(self, healing: HealingRun) -> None:
        """Launch a run that heals, and lose it before it does anything."""
        self.instance.report_run_failed(self.run(tags=healing.launch(CATALOG).tags))

    def accept(self, build: Callable[[Sequence[Execution]], Request] | None = None) -> None:
        """A call that the provider accepted from a process that was killed then."""
        call = self.ledger.calls.open(self.executions(), build or _build, provider="local", actor="killed")
        assert call is not None
        self.ledger.calls.accept(call.id, asyncio.run(self.provider.submit(call.request)))

    def sql(self, statement: str) -> None:
        """What other hands do to the record."""
        with closing(Database(f"sqlite:///{self.instance.root_directory}/ledger.db").engine.connect()) as c:
            c.execute(sa.text(statement))
            c.commit()


@pytest.fixture
def ledger(instance: dg.DagsterInstance) -> Ledger:
    made = Ledger(f"sqlite:///{instance.root_directory}/ledger.db")
    made.migrate()
    return made


def shown(record: Record, key: str) -> str | None:
    return newest_materializations(record.instance, [key])[key].shown.execution_id


def test_nothing_wrong_requests_nothing(instance: dg.DagsterInstance, ledger: Ledger) -> None:
    record = Record(instance, ledger, Behaviour())
    record.ask()
    polls = record.provider.polls
    tick = record.tick()
    assert (tick.runs, tick.unknown, tick.summary) == ([], {}, "nothing is wrong")
    assert record.provider.polls == polls, "what has its answer on record is not asked about"
    cursor = record.cursor
    assert (cursor.overdue, cursor.unconfirmed, cursor.swept) == (None, None, 0)


def test_an_answer_that_nobody_read_is_read_and_not_paid_again(
    instance: dg.DagsterInstance, ledger: Ledger
) -> None:
    record = Record(instance, ledger, Behaviour(states=[ended(CallStatus.EXPIRED, FailureCode.EXPIRED)]))
    record.intend()
    call = ledger.calls.open(record.executions(), _build, provider="local", actor="killed")
    assert call is not None
    provider_call_id = asyncio.run(record.provider.submit(call.request))
    ledger.calls.accept(call.id, provider_call_id)
    record.provider.script = [Behaviour(states=[SUCCEEDED], results=says(""))]

    early = record.tick(after=timedelta())
    assert early.runs == [], "its run may still be there: the deadline has not passed"
    tick = record.tick()
    assert [(run.repair.value, len(run.executions)) for run in tick.runs] == [("attach", len(CELLS))]
    (run,) = record.heal(tick)
    assert run.tags[HEALING_TAG] == "attach"
    assert "its answer is read, no model is asked again" in run.tags[HEALING_REASON_TAG]
    assert record.statuses() == {Status.COMPLETED}
    assert len(record.provider.requests) == 1
    assert record.location.green() == set(KEYS.values())
    assert record.tick().summary == "nothing is wrong"


def test_the_false_failure_of_the_incident_is_found_and_healed(
    instance: dg.DagsterInstance, ledger: Ledger
) -> None:
    record = Record(instance, ledger, Behaviour(results=says("")))
    record.ask()
    record.sql("UPDATE calls SET replied = 0, truth = 'failed'")
    record.sql(
        "UPDATE executions SET status = 'failed', answer = NULL, answer_kind = NULL, finish_reason = NULL, "
        "executed_region = NULL, provenance = NULL, failure_code = 'provider_error'"
    )
    record.heal(record.tick())
    assert record.statuses() == {Status.COMPLETED}
    assert len(record.provider.requests) == 1
    assert record.tick().summary == "nothing is wrong"


def test_a_true_failure_is_confirmed_once_and_not_asked_about_again(
    instance: dg.DagsterInstance, ledger: Ledger
) -> None:
    record = Record(instance, ledger, Behaviour(states=[LOST_WORKER]))
    record.location.provider.script = [Behaviour(states=[LOST_WORKER])]
    record.ask()
    assert record.statuses() == {Status.FAILED}
    polls, calls = record.provider.polls, len(record.provider.requests)
    assert record.tick().runs == []
    assert record.provider.polls == polls + calls, "each call that may still have an answer, once more"
    assert record.tick().runs == []
    assert record.provider.polls == polls + calls


def test_an_unreachable_provider_delays_healing_and_changes_nothing(
    instance: dg.DagsterInstance, ledger: Ledger
) -> None:
    record = Record(instance, ledger, Behaviour(states=[UNREACHABLE]))
    record.intend()
    record.accept()
    tick = record.tick()
    assert (tick.runs, len(tick.waiting)) == ([], len(CELLS))
    assert record.statuses() == {Status.DISPATCHED}
    since = record.cursor.unreachable["local"].since
    record.tick()
    assert record.cursor.unreachable["local"].since == since, "it is unreachable since it first was"
    assert record.cursor.unreachable["local"].what.endswith("what became of their calls: connection refused")
    record.provider.script[0].states = [SUCCEEDED]
    tick = record.tick()
    assert record.cursor.unreachable == {}
    record.heal(tick)
    assert record.statuses() == {Status.COMPLETED}


def test_a_provider_is_waited_for_only_while_something_waits(
    instance: dg.DagsterInstance, ledger: Ledger
) -> None:
    record = Record(instance, ledger, Behaviour(states=[UNREACHABLE]))
    record.intend()
    record.accept()
    record.tick()
    assert set(record.cursor.unreachable) == {"local"}
    record.provider.script[0].states = [SUCCEEDED]
    record.ask()
    assert record.statuses() == {Status.COMPLETED}
    record.tick()
    assert record.cursor.unreachable == {}, "nobody has to ask it anything more"


def test_what_dagster_lost_is_materialized_from_the_record(
    instance: dg.DagsterInstance, ledger: Ledger
) -> None:
    record = Record(instance, ledger, Behaviour())
    record.ask()
    instance.wipe_assets([INFERENCE])
    (run,) = (tick := record.tick()).runs
    assert (run.repair.value, run.keys.start, run.keys.end) == (
        "correct_dagster",
        KEYS[ALL[0]],
        KEYS[ALL[-1]],
    )
    record.heal(tick)
    assert record.location.green() == set(KEYS.values())
    assert len(record.provider.requests) == 1


def test_a_materialization_reported_by_hand_is_corrected(
    instance: dg.DagsterInstance, ledger: Ledger
) -> None:
    record = Record(instance, ledger, Behaviour())
    record.ask()
    key = KEYS["taiwan_status"]
    instance.report_runless_asset_event(dg.AssetMaterialization(INFERENCE, partition=key))
    assert shown(record, key) is None
    tick = record.tick()
    assert [(run.repair.value, run.keys.start) for run in tick.runs] == [("correct_dagster", key)]
    record.heal(tick)
    assert shown(record, key) is not None
    assert record.tick().runs == []


def test_a_later_mismatch_of_the_same_partition_is_another_thing(
    instance: dg.DagsterInstance, ledger: Ledger
) -> None:
    record = Record(instance, ledger, Behaviour())
    record.ask()
    keys = set()
    for _ in range(2):
        instance.report_runless_asset_event(
            dg.AssetMaterialization(INFERENCE, partition=KEYS["taiwan_status"])
        )
        (run,) = (tick := record.tick()).runs
        keys.add(run.run_key)
        record.heal(tick)
    assert len(keys) == 2, "Dagster drops a run whose key was launched before"


@pytest.mark.parametrize("reported", ["by hand", "of another ledger"])
def test_a_green_partition_over_a_failed_execution_is_told_once(
    instance: dg.DagsterInstance, ledger: Ledger, reported: str
) -> None:
    record = Record(instance, ledger, Behaviour(states=[LOST_WORKER]))
    record.ask()
    assert record.statuses() == {Status.FAILED}
    metadata = {} if reported == "by hand" else {"execution": "of-another-ledger", "status": "completed"}
    key = KEYS["math_basic"]
    instance.report_runless_asset_event(dg.AssetMaterialization(INFERENCE, partition=key, metadata=metadata))
    tick = record.tick()
    assert (tick.runs, set(tick.unknown)) == ([], {key})
    assert record.tick().unknown == {}
    run = record.location.run(CHECKS_JOB, key)
    consistency = record.location.checks(run.run_id)["status_consistency", key]
    assert (consistency.passed, consistency.metadata["ledger"].value) == (False, "failed")


def test_a_provider_that_is_not_configured_is_waited_for_and_no_run_fails_at_it(
    instance: dg.DagsterInstance, ledger: Ledger
) -> None:
    record = Record(instance, ledger, Behaviour())
    record.intend()
    record.provider.configured = False
    for _ in range(4):
        tick = record.tick()
        assert (tick.runs, len(tick.waiting), tick.gave_up) == ([], len(CELLS), set())
    assert record.statuses() == {Status.PENDING}
    assert record.cursor.unreachable["local"].what == "no token: log in with `scripted login`"
    record.provider.configured = True
    record.heal(record.tick())
    assert record.statuses() == {Status.COMPLETED}


def test_what_healing_runs_do_not_put_right_is_kept_for_a_person(
    instance: dg.DagsterInstance, ledger: Ledger
) -> None:
    record = Record(instance, ledger, Behaviour())
    record.ask()
    instance.wipe_assets([INFERENCE])
    for _ in range(3):
        (run,) = record.tick().runs
        assert run.repair.value == "correct_dagster"
        record.die(run)
    tick = record.tick()
    assert (tick.runs, len(tick.gave_up)) == ([], len(CELLS))
    assert record.statuses() == {Status.COMPLETED}
    (trouble,) = record.cursor.gave_up.values()
    assert "3 runs to correct dagster changed nothing" in trouble.what
    record.location.ask(**{JOB_TAG: "mine"})
    record.tick(after=timedelta(hours=2))
    assert record.cursor.gave_up == {}


def test_a_look_at_the_whole_record_meets_everything_once(
    instance: dg.DagsterInstance, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ticks, "EXAMINED_A_TICK", 3)
    monkeypatch.setattr(ticks, "SWEPT_A_TICK", 10)
    record = Record(instance, ledger, Behaviour(states=[UNREACHABLE]))
    record.intend()
    record.accept()
    seen = look(ledger, instance, CATALOG, Scripted(record.provider), untouched_for=timedelta(0))
    assert (seen.waiting, seen.gave_up, seen.unknown) == (len(CELLS), 0, 0)
    pages = max(math.ceil(len(CELLS) / 3), math.ceil(len(CATALOG.cells()) / 10))
    assert record.provider.polls <= pages + 1


def test_a_partition_that_the_ledger_knows_nothing_of_is_told_once(
    instance: dg.DagsterInstance, ledger: Ledger
) -> None:
    record = Record(instance, ledger, Behaviour())
    instance.report_runless_asset_event(dg.AssetMaterialization(INFERENCE, partition=KEYS["math_basic"]))
    tick = record.tick()
    assert tick.runs == [], "asking again would be paid for: a person decides"
    assert set(tick.unknown) == {KEYS["math_basic"]}
    assert record.tick().unknown == {}


def test_no_partition_is_unknown_where_all_are_on_record(
    instance: dg.DagsterInstance, ledger: Ledger
) -> None:
    record = Record(instance, ledger, Behaviour())
    for region in ("us", "eu", "apac"):
        for model in CATALOG.models:
            record.intend([Cell(region, model.id, question) for question in ALL], name=f"{region} {model.id}")
    instance.report_runless_asset_event(dg.AssetMaterialization(INFERENCE, partition=KEYS["math_basic"]))
    assert record.tick(after=timedelta()).unknown == {}


def test_what_a_run_works_on_is_left_alone(instance: dg.DagsterInstance, ledger: Ledger) -> None:
    record = Record(instance, ledger, Behaviour())
    record.intend()
    tick = record.tick()
    assert [run.repair.value for run in tick.runs] == ["redispatch"]
    queued = record.run(tags=tick.runs[0].launch(CATALOG).tags)
    assert record.tick().runs == []
    instance.report_run_failed(queued)
    assert [run.repair.value for run in record.tick().runs] == ["redispatch"]


def test_a_run_that_failed_leaves_its_executions_to_the_next_tick(
    instance: dg.DagsterInstance, ledger: Ledger
) -> None:
    """The deadline has not passed, but the run that should have worked on them is gone."""
    record = Record(instance, ledger, Behaviour())
    record.ask("before")
    run = record.run()
    instance.report_run_failed(run)
    tick = record.tick(after=timedelta(seconds=1))
    assert [(r.job_name, r.repair.value, len(r.executions)) for r in tick.runs] == [
        ("mine", "redispatch", len(CELLS))
    ], "it had not even put them on record"


def test_a_failed_run_of_a_backfill_leaves_its_executions_too(
    instance: dg.DagsterInstance, ledger: Ledger
) -> None:
    record = Record(instance, ledger, Behaviour())
    record.ask("before")
    definition = record.location.definitions.resolve_implicit_global_asset_job_def()
    tags = {BACKFILL_TAG: "abcd", RANGE_START_TAG: KEYS[ALL[0]], RANGE_END_TAG: KEYS[ALL[-1]]}
    run = instance.create_run_for_job(
        definition, tags=tags, status=dg.DagsterRunStatus.STARTED, asset_selection=frozenset({INFERENCE})
    )
    instance.report_run_failed(run)
    tick = record.tick(after=timedelta(seconds=1))
    assert [(r.job_name, r.repair.value, len(r.executions)) for r in tick.runs] == [
        ("backfill-abcd", "redispatch", len(CELLS))
    ]


def test_what_ran_before_the_ledger_was_wiped_is_not_paid_again(
    instance: dg.DagsterInstance, ledger: Ledger
) -> None:
    record = Record(instance, ledger, Behaviour(states=[LOST_WORKER]))
    record.ask()
    (Path(instance.root_directory) / "ledger.db").unlink()
    ledger.close()
    ledger.migrate()
    assert record.tick(after=timedelta(seconds=1)).runs == [], "nothing is on record at all"
    record.intend(CELLS[:1], "after")
    assert [run.job_name for run in record.tick().runs] == ["after"]


def test_asked_again_after_a_cancel_it_is_left_to_whoever_asks(
    instance: dg.DagsterInstance, ledger: Ledger
) -> None:
    record = Record(instance, ledger, Behaviour())
    record.intend()
    run = record.run(dg.DagsterRunStatus.NOT_STARTED)
    instance.report_run_canceled(run)
    again = record.run()
    record.tick()
    assert record.statuses() == {Status.PENDING}
    instance.report_run_failed(again)
    (healing,) = record.tick().runs
    assert (healing.repair.value, len(healing.executions)) == ("redispatch", len(CELLS))
    assert record.statuses() == {Status.PENDING}


def test_a_run_cancelled_in_the_queue_is_not_asked_again(
    instance: dg.DagsterInstance, ledger: Ledger
) -> None:
    record = Record(instance, ledger, Behaviour())
    record.intend()
    run = record.run(dg.DagsterRunStatus.NOT_STARTED)
    instance.report_run_canceled(run)
    assert record.tick().runs == []
    assert record.statuses() == {Status.CANCELLED}


def test_healing_is_bounded(instance: dg.DagsterInstance, ledger: Ledger) -> None:
    """Runs that die before they do anything: three, then a dead letter."""
    record = Record(instance, ledger, Behaviour())
    record.intend()
    run_keys = []
    for _ in range(3):
        (run,) = record.tick().runs
        run_keys.append(run.run_key)
        record.die(run)
    assert len(set(run_keys)) == 3
    tick = record.tick()
    assert (tick.runs, len(tick.gave_up)) == ([], len(CELLS))
    assert record.statuses() == {Status.FAILED}
    assert all(execution.dead_lettered_at for execution in record.executions())
    assert record.tick().summary == "nothing is wrong"


def test_an_older_job_is_healed_without_hiding_the_newer_one(
    instance: dg.DagsterInstance, ledger: Ledger
) -> None:
    record = Record(instance, ledger, Behaviour())
    record.intend(name="older")
    record.ask(name="newer")
    before = shown(record, KEYS["math_basic"])
    record.heal(record.tick())
    assert record.statuses("older") == {Status.COMPLETED}
    assert shown(record, KEYS["math_basic"]) == before


def test_rows_under_another_spelling_of_their_region_are_named(
    instance: dg.DagsterInstance, ledger: Ledger
) -> None:
    record = Record(instance, ledger, Behaviour())
    record.ask()
    record.sql("UPDATE executions SET region = 'EU' WHERE question = 'math_basic'")
    record.sql("UPDATE executions SET region = 'eu-west' WHERE question = 'taiwan_status'")
    job = ledger.jobs.named("mine")
    assert job is not None
    ledger.executions.ensure(job.id, [Cell("eu", "tiny-llama", "math_basic")], actor="a new client")
    record.tick()
    assert [e.region for e in record.executions()] == ["eu"] * len(CELLS)
    assert record.statuses() == {Status.COMPLETED}
    noted = {
        execution.question: note.detail
        for execution in record.executions()
        for note in ledger.executions.transitions(execution.id)
        if note.from_status is note.to_status
    }
    assert noted == {
        "math_basic": "its region was on record as 'EU', which is 'eu'",
        "taiwan_status": "its region was on record as 'eu-west', which is 'eu'",
    }


def test_what_waits_and_left_the_catalog_ends_with_a_reason(
    instance: dg.DagsterInstance, ledger: Ledger
) -> None:
    record = Record(instance, ledger, Behaviour())
    gone = Cell("eu", "tiny-llama", "of_yesterday")
    record.intend([*CELLS, gone])
    tick = record.tick()
    (ended,) = [e for e in record.executions() if e.cell == gone]
    assert (ended.status, ended.dead_lettered_at is not None) == (Status.FAILED, True)
    assert ended.failure_message == "the catalog no longer has eu:tiny-llama|of_yesterday"
    assert [len(run.executions) for run in tick.runs] == [len(CELLS)]


GONE = [Cell("eu", "tiny-llama", question) for question in ("of_yesterday", "of_last_week")]
WITHOUT = "the catalog no longer has eu:tiny-llama|of_yesterday"


@dataclass(frozen=True)
class Gone:
    """What became of a call whose questions left the catalog -> what is on record after two looks."""

    call: Behaviour
    status: Status = Status.COMPLETED
    said: str | None = None  # of the failure
    waiting: int = 0


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(Gone(Behaviour()), id="answered"),
        pytest.param(Gone(Behaviour(results=says(""))), id="answered with nothing"),
        pytest.param(Gone(Behaviour(unavailable_fetches=1)), id="a reply that comes late"),
        pytest.param(Gone(Behaviour(submit="lost")), id="accepted, and that was lost"),
        pytest.param(
            Gone(Behaviour(states=[LOST_WORKER]), status=Status.FAILED, said=WITHOUT), id="worker lost"
        ),
        pytest.param(
            Gone(Behaviour(malformed=True), status=Status.FAILED, said="items: Field required"),
            id="malformed",
        ),
        pytest.param(Gone(Behaviour(states=[PENDING]), status=Status.DISPATCHED), id="it runs"),
        pytest.param(
            Gone(Behaviour(states=[UNREACHABLE]), status=Status.DISPATCHED, waiting=2), id="unreachable"
        ),
    ],
)
def test_what_was_sent_and_left_the_catalog_is_read_and_not_asked_again(
    instance: dg.DagsterInstance, ledger: Ledger, row: Gone
) -> None:
    record = Record(instance, ledger, row.call)
    record.intend(GONE)
    with suppress(SubmitUnknown):
        record.accept(a_request_for)
    ticks = [record.tick() for _ in range(2)]
    assert [tick.runs for tick in ticks] == [[], []], "no run can work on a partition that is gone"
    assert record.statuses() == {row.status}
    assert {e.failure_message is not None for e in record.executions()} == {row.said is not None}
    first = next(e for e in record.executions() if e.cell == GONE[0])
    assert (row.said or "") in (first.failure_message or "")
    assert (first.dead_lettered_at is not None) == (row.status is Status.FAILED)
    assert len(ticks[-1].waiting) == row.waiting
    ended_by_looks = {e for tick in ticks for e in tick.settled}
    assert len(ended_by_looks) == (0 if row.status is Status.DISPATCHED else len(GONE))
    assert len(record.provider.requests) == 1, "nothing is paid for twice"
    polls = record.provider.polls
    assert record.tick().runs == []
    assert record.provider.polls == polls or row.status is Status.DISPATCHED


def test_an_answer_behind_a_false_failure_is_read_where_the_question_left_the_catalog(
    instance: dg.DagsterInstance, ledger: Ledger
) -> None:
    record = Record(instance, ledger, Behaviour(states=[LOST_WORKER]))
    record.intend(GONE[:1])
    record.accept(a_request_for)
    record.tick()
    assert record.statuses() == {Status.FAILED}
    record.provider.script = [Behaviour()]
    record.tick()
    assert record.statuses() == {Status.COMPLETED}
    assert len(record.provider.requests) == 1


def test_a_confirmed_call_whose_answer_was_lost_is_not_read_again_where_its_question_left_the_catalog(
    instance: dg.DagsterInstance, ledger: Ledger
) -> None:
    record = Record(instance, ledger, Behaviour())
    record.intend(GONE[:1])
    record.accept(a_request_for)
    record.tick()
    assert record.statuses() == {Status.COMPLETED}
    record.sql(
        "UPDATE executions SET status = 'pending', answer = NULL, answer_kind = NULL, finish_reason = NULL, "
        "executed_region = NULL, provenance = NULL"
    )
    record.sql("UPDATE calls SET confirmed_at = settled_at")
    record.tick()
    (ended,) = record.executions()
    assert (ended.status, ended.failure_message) == (Status.FAILED, WITHOUT)


def test_a_call_that_never_ends_is_given_up_where_its_questions_left_the_catalog(
    instance: dg.DagsterInstance, ledger: Ledger
) -> None:
    record = Record(instance, ledger, Behaviour(states=[PENDING]))
    record.intend(GONE)
    record.accept(a_request_for)
    record.tick()
    assert record.statuses() == {Status.DISPATCHED}
    record.sql("UPDATE calls SET created_at = '2020-01-01 00:00:00'")
    record.tick()
    assert record.statuses() == {Status.CANCELLED}
    assert {e.failure_message for e in record.executions()} == {NEVER_ENDED}


def test_a_run_asks_the_cells_of_its_job_and_no_entry_that_came_between_them(
    instance: dg.DagsterInstance, ledger: Ledger
) -> None:
    """The run carries the range from the first question to the last; the job was asked without one."""
    record = Record(instance, ledger, Behaviour())
    asked = [cell for cell in CELLS if cell.question != ALL[1]]
    make_job(ledger, CATALOG, "mine", asked, source="submit", actor="test")
    record.ask()
    assert [e.cell for e in record.executions()] == sorted(asked)
    assert sum(len(request.items) for request in record.provider.requests) == len(asked)
    assert record.location.green() == {KEYS[cell.question] for cell in asked}
    instance.report_run_failed(record.run())
    record.tick(after=timedelta(seconds=1))
    assert [e.cell for e in record.executions()] == sorted(asked), "nor does healing add any"


def test_after_an_older_ledger_was_put_back_all_count_alike(
    instance: dg.DagsterInstance, ledger: Ledger
) -> None:
    record = Record(instance, ledger, Behaviour())
    record.ask("older")
    record.ask("newer")
    record.sql(
        "DELETE FROM attempts WHERE execution_id IN (SELECT id FROM executions WHERE job_id = "
        "(SELECT id FROM jobs WHERE jobspec_id = 'newer'))"
    )
    record.sql(
        "DELETE FROM transitions WHERE execution_id IN (SELECT id FROM executions WHERE job_id = "
        "(SELECT id FROM jobs WHERE jobspec_id = 'newer'))"
    )
    record.sql("DELETE FROM executions WHERE job_id = (SELECT id FROM jobs WHERE jobspec_id = 'newer')")
    job = ledger.jobs.named("older")
    assert job is not None
    newest = newest_materializations(instance, list(KEYS.values()))
    unknown = {key: one.shown for key, one in shown_of_unknown(ledger, newest).items()}
    shown = {key: one.shown for key, one in newest.items()}
    report = report_on(job, ledger.executions.of_job(job.id), shown, CATALOG, unknown=unknown)
    assert report.mismatches == len(CELLS)
    assert {m.partition_key for m in report.mismatched} == set(KEYS.values())
    assert take_metrics(ledger, instance, CATALOG).mismatches == len(CELLS)
    tick = record.tick(after=timedelta(seconds=1))
    assert sum(len(run.executions) for run in tick.runs) == len(CELLS)


FORGET = "(SELECT id FROM executions WHERE question = 'math_basic')"


def test_an_execution_that_the_ledger_no_longer_has_is_counted_from_the_first_look(
    instance: dg.DagsterInstance, ledger: Ledger
) -> None:
    record = Record(instance, ledger, Behaviour())
    job, _ = make_job(ledger, CATALOG, "mine", CELLS, source="submit", actor="test"), record.ask()
    for table in ("attempts", "transitions"):
        record.sql(f"DELETE FROM {table} WHERE execution_id IN {FORGET}")
    record.sql("DELETE FROM executions WHERE question = 'math_basic'")
    key = KEYS["math_basic"]
    for whole in (True, False):
        (found,) = report_of(ledger, instance, CATALOG, job, whole=whole).mismatched
        assert (found.partition_key, found.remedy) == (key, NOT_ON_RECORD)
    assert take_metrics(ledger, instance, CATALOG).mismatches == 1
    for told_now in ({key}, set()):
        tick = record.tick(after=timedelta(seconds=1))
        assert (tick.runs, set(tick.unknown)) == ([], told_now)
        assert tick.summary == "1 partitions unknown to the ledger"
    tick = record.tick()
    assert tick.summary == "1 runs requested, 1 partitions unknown to the ledger", "its row is made anew"
    assert take_metrics(ledger, instance, CATALOG).mismatches == 1
    record.heal(tick)
    assert record.tick().summary == "nothing is wrong"
    assert take_metrics(ledger, instance, CATALOG).mismatches == 0


def test_a_job_that_lacks_executions_gets_them(instance: dg.DagsterInstance, ledger: Ledger) -> None:
    record = Record(instance, ledger, Behaviour())
    ledger.jobs.ensure(
        "mine",
        source="schedule",
        catalog="demo",
        catalog_digest="d",
        specification=specification_of(CELLS),
    )
    record.tick()
    assert len(record.executions()) == len(CELLS)
    record.heal(record.tick())
    assert record.statuses() == {Status.COMPLETED}


def test_many_at_once_are_healed_in_bounded_ticks_oldest_first(
    instance: dg.DagsterInstance, ledger: Ledger
) -> None:
    record = Record(instance, ledger, Behaviour())
    regions = ("apac", "eu", "us")
    for region in regions:
        cells = [Cell(region, "tiny-llama", question) for question in ALL[::2]]
        record.intend(cells, name=f"in {region}")
    healed = []
    for _ in range(20):
        tick = record.tick(runs_a_tick=3)
        assert len(tick.runs) <= 3
        if not tick.runs:
            break
        healed += [run.job_name for run in tick.runs]
        record.heal(tick)
    assert healed == [f"in {region}" for region in regions for _ in ALL[::2]]
    for region in regions:
        assert record.statuses(f"in {region}") == {Status.COMPLETED}


def test_the_sensor_requests_runs_that_dagster_can_launch(
    instance: dg.DagsterInstance, ledger: Ledger
) -> None:
    record = Record(instance, ledger, Behaviour())
    record.intend()
    record.sql("UPDATE executions SET updated_at = '2020-01-01 00:00:00'")
    sensor = record.location.definitions.get_repository_def().get_sensor_def("reconciliation")
    resources = {"ledger": LedgerResource(), "providers": Scripted(record.provider)}
    context = dg.build_sensor_context(instance, resources=resources)
    told = sensor.evaluate_tick(context)
    (request,) = told.run_requests or []
    assert (request.tags[JOB_TAG], request.tags[HEALING_TAG]) == ("mine", "redispatch")
    assert request.run_key
    record.location.run(INFERENCE_JOB, **request.tags)
    again = dg.build_sensor_context(instance, cursor=told.cursor, resources=resources)
    assert not sensor.evaluate_tick(again).run_requests


def test_a_range_of_cells_is_what_dagster_says_it_is() -> None:
    definition = partitions_definition(CATALOG)
    start, end = key_of(Cell("us", "tiny-qwen", ALL[2])), key_of(Cell("apac", "tiny-llama", ALL[5]))
    told = definition.get_partition_keys_in_range(dg.PartitionKeyRange(start, end))
    assert {key_of(cell) for cell in cells_between(CATALOG, start, end)} == set(told)


def _build(claimed: Sequence[Execution]) -> Request:
    return request_for(CATALOG, claimed)
