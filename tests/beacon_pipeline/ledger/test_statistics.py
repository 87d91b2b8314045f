"""What monitoring reads of the ledger is what is in it, on both databases."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path

import pytest
import sqlalchemy as sa

from beacon_pipeline.catalog import load_catalog
from beacon_pipeline.catalog.plan import Plan
from beacon_pipeline.execution.decide import on_record
from beacon_pipeline.ledger import Ledger, LedgerUnavailable, WriteCounts
from beacon_pipeline.ledger.parts.write_counts import keep_write_counts
from beacon_pipeline.ledger.records import CallFacts, Cell, Execution, Unsuccessful
from beacon_pipeline.ledger.status import AnswerKind, Status
from beacon_pipeline.monitoring.metrics import metrics_of
from beacon_pipeline.reconciliation.consistency import mismatch_with_provider
from inference.contract import CallFailure, CallStatus, FailureCode
from tests.beacon_pipeline.asking import MOMENT, a_job, a_request_for, completed
from tests.beacon_pipeline.records import damage

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
CELLS = [Cell(region, "tiny", f"q{n}") for region in ("eu", "us") for n in range(4)]


class Clock:
    """A clock that a test sets; it goes on a second with every look."""

    def __init__(self) -> None:
        self.now = MOMENT

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(database_url: str, clock: Clock) -> Iterator[Ledger]:
    made = Ledger(database_url, clock=clock)
    made.migrate()
    yield made
    made.close()


def answer(ledger: Ledger, executions: list[Execution], *, seconds: float, text: str = "fine") -> None:
    """One call that takes this long to answer them all, in its container as long again."""
    call = ledger.calls.open(executions, a_request_for, provider="modal", actor="test")
    assert call is not None
    ledger.calls.accept(call.id, f"fc-{call.id}")
    dispatched = ledger.executions.with_ids([executions[0].id])[0].dispatched_at
    assert dispatched is not None
    end = dispatched + timedelta(seconds=seconds)
    outcome = replace(completed(text, executions[0].region), started_at=dispatched, completed_at=end)
    facts = CallFacts(
        status=CallStatus.SUCCEEDED,
        replied=True,
        cold_start=executions[0].region == "eu",
        started_at=dispatched,
        finished_at=end,
    )
    ledger.calls.settle(call.id, {e.id: outcome for e in executions}, facts, actor="test")


def fail_falsely(ledger: Ledger, execution: Execution) -> None:
    """The record says failed, the provider's word on record says succeeded: the incident."""
    call = ledger.calls.open([execution], a_request_for, provider="modal", actor="test")
    assert call is not None
    ledger.calls.accept(call.id, f"fc-{call.id}")
    failure = CallFailure(code=FailureCode.PROVIDER_ERROR, message="empty response")
    outcome = Unsuccessful(
        status=Status.FAILED, failure_code=failure.code, message=failure.message, dead_letter=True
    )
    facts = CallFacts(status=CallStatus.SUCCEEDED, replied=False, failure=failure)
    ledger.calls.settle(call.id, {execution.id: outcome}, facts, actor="test")


def counted_as_wrong(ledger: Ledger) -> int:
    read = ledger.aggregates.statistics(since=LONG_AGO, overdue=LONG_AGO)
    return metrics_of(read, load_catalog("demo"), shown_otherwise=0, queued_runs=0).mismatches


def test_a_status_that_another_hand_turned_is_counted_as_wrong(ledger: Ledger, database_url: str) -> None:
    job = a_job(ledger, CELLS)
    answer(ledger, ledger.executions.of_job(job.id)[:2], seconds=1)
    assert counted_as_wrong(ledger) == 0
    columns = ("answer", "answer_kind", "finish_reason", "executed_region", "provenance")
    forgotten = ", ".join(f"{column} = NULL" for column in columns)
    turned = f"UPDATE executions SET status = 'failed', failure_code = 'provider_error', {forgotten}"
    damage(database_url, f"{turned} WHERE question = 'q0' AND region = 'eu'")
    assert counted_as_wrong(ledger) == 1


def test_a_job_with_a_plan_counts_each_of_its_answers(ledger: Ledger) -> None:
    """Two arms in two blocks, two samples each: 8 answers of one cell."""
    plan = Plan(
        arms=("plain", "stern"), prompts={"plain": "p", "stern": "s"}, blocks=(1, 2), samples=2, seed="ab" * 8
    )
    job = ledger.jobs.ensure("planned", source="launch", catalog="demo", catalog_digest="d")
    ledger.executions.ensure(job.id, CELLS[:1], actor="test", slots_of=plan.executions_of)
    executions = ledger.executions.of_job(job.id)
    answer(ledger, executions[:4], seconds=4)
    answer(ledger, executions[4:6], seconds=2, text="")
    read = ledger.aggregates.statistics(since=LONG_AGO, overdue=LONG_AGO)
    assert (read.executions, read.pending) == (8, 2)
    assert read.by_answer_kind == {AnswerKind.SUBSTANTIVE: 4, AnswerKind.EMPTY: 2}
    figures = metrics_of(read, load_catalog("demo"), shown_otherwise=0, queued_runs=0)
    assert (figures.executions, figures.mismatches) == (8, 0)
    assert figures.empty_rate == pytest.approx(2 / 6)
    assert figures.attempts_per_execution == 1


def test_the_figures_are_what_is_in_the_ledger(ledger: Ledger) -> None:
    job = a_job(ledger, CELLS)
    eu, us = ledger.executions.of_job(job.id)[:4], ledger.executions.of_job(job.id)[4:]
    answer(ledger, eu[:2], seconds=10)
    answer(ledger, eu[2:3], seconds=70, text="")
    answer(ledger, us[:1], seconds=2)
    fail_falsely(ledger, us[1])
    ledger.repairs.cancel_pending([us[2].id], actor="test")
    told = ledger.aggregates.statistics(since=LONG_AGO, overdue=LONG_AGO)
    assert told.executions == 8
    assert told.by_answer_kind == {AnswerKind.SUBSTANTIVE: 3, AnswerKind.EMPTY: 1}
    assert (told.pending, told.dispatched) == (2, 0)
    assert (told.attempts, told.attempted) == (5, 5)
    assert told.due_by_region == {
        "eu": {Status.COMPLETED: 3},
        "us": {Status.COMPLETED: 1, Status.FAILED: 1, Status.CANCELLED: 1},
    }

    executions = ledger.executions.of_job(job.id)
    taken = sorted(e.seconds for e in executions if e.status is Status.COMPLETED and e.seconds is not None)
    by_rank = {p: taken[ceil(p / 100 * len(taken)) - 1] for p in (50, 95, 99)}
    assert {p: round(seconds, 3) for p, seconds in told.seconds.items()} == by_rank

    wrong = [e for e in executions if mismatch_with_provider(e, on_record, budget=3)]
    assert [e.status for e in wrong] == [Status.FAILED]
    assert counted_as_wrong(ledger) == 1

    by_region = {computed.region: computed for computed in told.computed}
    assert (by_region["eu"].calls, by_region["eu"].cold_starts, by_region["eu"].measured_calls) == (2, 2, 2)
    assert by_region["eu"].seconds == pytest.approx(80, abs=0.01)
    assert (by_region["us"].calls, by_region["us"].measured_calls) == (2, 1)


def test_a_repair_counts_where_a_false_status_was_set_right(ledger: Ledger, clock: Clock) -> None:
    job = a_job(ledger, CELLS[:3])
    found_running, answered_late, given_up = ledger.executions.of_job(job.id)

    def call_of(execution: Execution) -> str:
        (found,) = ledger.executions.with_ids([execution.id])
        assert found.newest_call is not None
        return found.newest_call.id

    fail_falsely(ledger, found_running)
    fail_falsely(ledger, answered_late)
    ledger.repairs.dead_letter([given_up.id], actor="test", detail="the attempt budget is spent")
    assert ledger.aggregates.statistics(since=LONG_AGO, overdue=LONG_AGO).repaired == 0, (
        "giving up sets nothing right"
    )
    ledger.repairs.reopen(call_of(found_running), [found_running.id], actor="test")
    facts = CallFacts(status=CallStatus.SUCCEEDED, replied=True)
    for execution in (found_running, answered_late):
        ledger.calls.settle(call_of(execution), {execution.id: completed()}, facts, actor="test")
    assert ledger.aggregates.statistics(since=LONG_AGO, overdue=LONG_AGO).repaired == 2
    clock.now += timedelta(days=2)
    assert ledger.aggregates.statistics(since=clock.now, overdue=LONG_AGO).repaired == 0


def test_old_executions_do_not_count_and_overdue_ones_do(ledger: Ledger, clock: Clock) -> None:
    a_job(ledger, CELLS[:1], "old")
    clock.now += timedelta(days=2)
    now = clock.now
    a_job(ledger, CELLS[:2], "new")
    assert ledger.aggregates.statistics(since=now, overdue=LONG_AGO).executions == 2
    assert ledger.aggregates.statistics(since=now, overdue=LONG_AGO).due_by_region == {}
    late = ledger.aggregates.statistics(since=now, overdue=now + timedelta(hours=1))
    assert late.due_by_region == {"eu": {Status.PENDING: 2}}
    assert late.pending == 3
    assert (late.seconds, late.computed) == ({}, ())


def test_every_write_is_counted_and_added_up_by_the_hour(ledger: Ledger, tmp_path: Path) -> None:
    a_job(ledger)
    with pytest.raises(sa.exc.IntegrityError):
        ledger.executions.ensure("no such job", CELLS[:1], actor="test")
    keep_write_counts(ledger.writes, tmp_path)
    keep_write_counts(ledger.writes, tmp_path)
    a_job(ledger, name="another")
    keep_write_counts(ledger.writes, tmp_path)
    kept = ledger.aggregates.statistics(since=LONG_AGO, overdue=LONG_AGO).writes
    assert kept == WriteCounts(committed=4, failed=1)


def test_counts_that_cannot_be_written_wait_for_the_next_process(tmp_path: Path) -> None:
    broken = Ledger(f"sqlite:///{tmp_path / 'broken.db'}")
    with pytest.raises(LedgerUnavailable):
        broken.jobs.ensure("a", source="s", catalog="c", catalog_digest="d")
    waiting = tmp_path / "waiting"
    keep_write_counts(broken.writes, waiting)
    broken.close()
    (kept,) = waiting.iterdir()
    assert json.loads(kept.read_text())["failed"] == 1

    sound = Ledger(f"sqlite:///{tmp_path / 'sound.db'}")
    sound.migrate()
    keep_write_counts(sound.writes, waiting)
    assert list(waiting.iterdir()) == []
    assert sound.aggregates.statistics(since=LONG_AGO, overdue=LONG_AGO).writes == WriteCounts(failed=1)
    sound.close()
