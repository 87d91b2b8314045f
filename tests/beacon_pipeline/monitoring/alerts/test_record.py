"""What the ledger says is wrong: missing, over time, given up, behind; on both databases."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from beacon_pipeline.catalog import Settings
from beacon_pipeline.ledger import Ledger, LedgerUnavailable
from beacon_pipeline.ledger.records import Cell, Execution, Outcome, Unsuccessful
from beacon_pipeline.ledger.status import Status
from beacon_pipeline.monitoring.alerts.causes import (
    DEAD_LETTERED,
    MISSING,
    REGION_IMBALANCE,
    RUN_FAILED,
    TIMED_OUT,
)
from beacon_pipeline.monitoring.alerts.grouping import Failing, JobHealed, Snapshot
from beacon_pipeline.monitoring.alerts.sources.ledger import imbalance_of, read_record
from beacon_pipeline.monitoring.metrics import completion_rates
from inference.contract import FailureCode
from tests.beacon_pipeline.asking import SUCCEEDED, a_job, a_request_for, completed

SETTINGS = Settings(deadline_seconds=300, region_imbalance=0.1)
SOON, LATER = timedelta(minutes=1), timedelta(minutes=6)
CELLS = [Cell(region, "m", f"q{n}") for region in ("eu", "us") for n in range(3)]


def ended(status: Status, message: str = "<b>it broke") -> Unsuccessful:
    code = FailureCode.TIMED_OUT if status is Status.TIMED_OUT else FailureCode.GENERATION_ERROR
    return Unsuccessful(status=status, failure_code=code, message=message, dead_letter=True)


def settle(ledger: Ledger, executions: list[Execution], outcomes: Mapping[Cell, Outcome]) -> None:
    """Every execution gets its outcome, or an answer, in a call of its region."""
    for region in sorted({execution.region for execution in executions}):
        some = [execution for execution in executions if execution.region == region]
        call = ledger.calls.open(some, a_request_for, provider="local", actor="test")
        assert call is not None
        found = {e.id: outcomes.get(e.cell, completed(region=region)) for e in some}
        ledger.calls.settle(call.id, found, SUCCEEDED, actor="test")


def wrong(
    ledger: Ledger, after: timedelta = SOON, failed_jobs: tuple[str, ...] = ()
) -> dict[str, list[Failing]]:
    """What is wrong now, by cause."""
    read = read_record(ledger, SETTINGS, failed_jobs, datetime.now(UTC) + after)
    return {level.cause: list(level.found) for level in read if isinstance(level, Snapshot)}


def subjects(found: list[Failing]) -> list[str]:
    return sorted(failing.subject for failing in found)


def test_executions_without_an_answer_past_the_deadline(ledger: Ledger) -> None:
    job = a_job(ledger, CELLS)
    assert wrong(ledger)[MISSING] == []
    assert len(wrong(ledger, LATER)[MISSING]) == len(CELLS)
    ledger.calls.open(ledger.executions.of_job(job.id)[:2], a_request_for, provider="local", actor="test")
    found = wrong(ledger, LATER)[MISSING]
    assert len(found) == len(CELLS)
    assert {f.detail.split()[0] for f in found} == {"pending", "dispatched"}
    assert found[0].job == "job-1"


def test_waiting_for_its_turn_in_a_job_at_work_is_not_missing(database_url: str) -> None:
    now = datetime.now(UTC)
    clock = [now - LATER]
    ledger = Ledger(database_url, clock=lambda: clock[0])
    ledger.migrate()
    job = a_job(ledger, CELLS)
    executions = ledger.executions.of_job(job.id)
    stuck = ledger.calls.open(executions[:1], a_request_for, provider="local", actor="test")
    assert stuck is not None
    clock[0] = now
    settle(ledger, executions[1:2], {})
    read = read_record(ledger, SETTINGS, [], now)
    ledger.close()
    (level,) = [level for level in read if isinstance(level, Snapshot) and level.cause == MISSING]
    assert [failing.subject for failing in level.found] == ["eu:m|q0"]


def test_over_their_time_and_given_up_and_healed_by_an_answer(ledger: Ledger) -> None:
    job = a_job(ledger, CELLS)
    late, broken = CELLS[0], CELLS[4]
    settle(
        ledger,
        ledger.executions.of_job(job.id),
        {late: ended(Status.TIMED_OUT), broken: ended(Status.FAILED, "no <@U1> \x1b[31m" + "x" * 999)},
    )
    found = wrong(ledger)
    assert subjects(found[TIMED_OUT]) == ["eu:m|q0"]
    (dead,) = found[DEAD_LETTERED]
    assert (dead.subject, dead.job) == ("us:m|q1", "job-1")
    assert dead.link == "/assets/inference?view=partitions&partition=us%3Am%7Cq1"
    assert dead.detail.startswith("generation_error: no ‹＠U1› \\u{1b}[31mxxx")
    assert len(dead.detail) < 250

    unsuccessful = [e for e in ledger.executions.of_job(job.id) if e.status is not Status.COMPLETED]
    ledger.repairs.retry([e.id for e in unsuccessful], actor="test")
    settle(ledger, ledger.executions.of_job(job.id, [late, broken]), {})
    read = read_record(ledger, SETTINGS, ["job-1", "never heard of"], datetime.now(UTC) + SOON)
    assert [level.found for level in read if isinstance(level, Snapshot)] == [(), (), (), ()]
    assert [o for o in read if isinstance(o, JobHealed)] == [JobHealed(RUN_FAILED, "job-1")]


def test_a_region_behind_the_others_in_a_finished_job_only(ledger: Ledger) -> None:
    job = a_job(ledger, CELLS)
    executions = ledger.executions.of_job(job.id)
    settle(ledger, executions[:5], {CELLS[0]: ended(Status.FAILED)})
    assert wrong(ledger)[REGION_IMBALANCE] == []
    settle(ledger, executions[5:], {})
    (behind,) = wrong(ledger)[REGION_IMBALANCE]
    assert (behind.subject, behind.job) == ("eu", "job-1")
    assert behind.detail == "67% completed, the best region 100%"


DONE, FAILED, CANCELLED = Status.COMPLETED, Status.FAILED, Status.CANCELLED


@pytest.mark.parametrize(
    ("regions", "behind"),
    [
        ({"eu": {DONE: 10}, "us": {DONE: 10}}, []),
        ({"eu": {DONE: 9, FAILED: 1}, "us": {DONE: 10}}, []),
        ({"eu": {DONE: 8, FAILED: 2}, "us": {DONE: 10}, "apac": {FAILED: 1}}, ["apac", "eu"]),
        ({"eu": {DONE: 5, CANCELLED: 5}, "us": {DONE: 10}}, []),
        ({"eu": {CANCELLED: 5}, "us": {DONE: 10}}, []),
        ({"eu": {FAILED: 5}, "us": {FAILED: 5}}, []),
    ],
)
def test_how_far_behind_is_behind(regions: dict[str, dict[Status, int]], behind: list[str]) -> None:
    level = imbalance_of({"j": regions}, 0.1, datetime.now(UTC))
    assert [failing.subject for failing in level.found] == behind
    assert level.undecided == frozenset()
    unfinished = {"j": regions | {"extra": {Status.PENDING: 1}}}
    assert imbalance_of(unfinished, 0.1, datetime.now(UTC)) == Snapshot(
        REGION_IMBALANCE, undecided=frozenset({"j"})
    )


def test_a_rate_is_of_what_was_not_cancelled() -> None:
    assert completion_rates({"eu": {DONE: 1, FAILED: 1, CANCELLED: 8}, "us": {CANCELLED: 1}}) == {"eu": 0.5}


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_ledger_that_can_only_be_read_is_not_to_be_used(database_url: str) -> None:
    ledger = Ledger(database_url)
    ledger.migrate()
    read_record(ledger, SETTINGS, [], datetime.now(UTC))
    ledger.close()
    name = database_url.partition("?")[0].rpartition("/")[2]
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    assert ledger.jobs.newest() == []
    with pytest.raises(LedgerUnavailable, match=r"cannot be written: .*read-only"):
        read_record(ledger, SETTINGS, [], datetime.now(UTC))
    ledger.close()
