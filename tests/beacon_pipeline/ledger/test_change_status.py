"""A status changes only from what it is, whole or not at all, and each change is kept."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.change_status import apply_changes, lock_statuses, note_repairs
from beacon_pipeline.ledger.database import Database
from beacon_pipeline.ledger.records import Execution, Transition
from beacon_pipeline.ledger.status import Cause, Status
from beacon_pipeline.ledger.transitions import Change, IllegalTransition
from tests.beacon_pipeline.asking import MOMENT, a_job


@pytest.fixture
def executions(ledger: Ledger) -> list[Execution]:
    return ledger.executions.of_job(a_job(ledger).id)


@pytest.fixture
def database(ledger: Ledger, database_url: str) -> Iterator[Database]:
    with closing(Database(database_url)) as opened:
        yield opened


def applied(database: Database, *changes: Change) -> list[str]:
    return database.write(lambda c: apply_changes(c, changes, at=MOMENT, actor="me"))


def newest(ledger: Ledger, execution: Execution) -> Transition:
    return ledger.executions.transitions(execution.id)[-1]


def test_a_change_is_made_with_its_values_and_kept_with_its_reason(
    ledger: Ledger, database: Database, executions: list[Execution]
) -> None:
    first, second, third = executions
    changes = [
        Change(
            *(first.id, Status.PENDING, Status.CANCELLED, Cause.CANCEL, "no need"),
            {"failure_code": "cancelled", "failure_message": "by hand"},
        ),
        Change(
            *(second.id, Status.PENDING, Status.FAILED, Cause.REPAIR, None),
            {"failure_code": "rejected", "failure_message": "no", "completed_at": MOMENT},
        ),
        Change("no-such-execution", Status.PENDING, Status.CANCELLED, Cause.CANCEL),
        Change(third.id, Status.DISPATCHED, Status.CANCELLED, Cause.CANCEL),
    ]
    assert applied(database, *changes) == [first.id, second.id]
    after = {execution.id: execution for execution in ledger.executions.of_job(first.job_id)}
    assert [after[e.id].status for e in executions] == [Status.CANCELLED, Status.FAILED, Status.PENDING]
    assert after[first.id].updated_at == after[second.id].updated_at == MOMENT
    assert (after[second.id].failure_message, after[second.id].completed_at) == ("no", MOMENT)
    kept = newest(ledger, first)
    assert (kept.from_status, kept.to_status, kept.at) == (Status.PENDING, Status.CANCELLED, MOMENT)
    assert (kept.cause, kept.actor, kept.detail) == (Cause.CANCEL, "me", "no need")
    assert newest(ledger, second).detail is None
    assert newest(ledger, third).cause is Cause.ASKED, "a change that came late changes nothing"


def test_one_illegal_change_stops_all_before_anything_is_written(
    ledger: Ledger, database: Database, executions: list[Execution]
) -> None:
    first, second, _ = executions
    legal = Change(first.id, Status.PENDING, Status.CANCELLED, Cause.CANCEL)
    with pytest.raises(IllegalTransition):
        applied(database, legal, Change(second.id, Status.COMPLETED, Status.FAILED, Cause.REPAIR))
    assert {e.status for e in ledger.executions.of_job(first.job_id)} == {Status.PENDING}
    assert applied(database) == []


def test_statuses_are_read_of_those_that_there_are(database: Database, executions: list[Execution]) -> None:
    ids = [execution.id for execution in executions[:2]]
    found = database.write(lambda c: lock_statuses(c, [*ids, "no-such-execution"]))
    assert found == dict.fromkeys(ids, Status.PENDING)


def test_a_repair_of_something_else_is_kept_too(
    ledger: Ledger, database: Database, executions: list[Execution]
) -> None:
    first, second, third = executions
    repaired = {first.id: Status.PENDING, second.id: Status.PENDING}
    database.write(lambda c: note_repairs(c, repaired, at=MOMENT, actor="me", detail="set right"))
    for execution in (first, second):
        kept = newest(ledger, execution)
        assert (kept.from_status, kept.to_status, kept.at) == (Status.PENDING, Status.PENDING, MOMENT)
        assert (kept.cause, kept.actor, kept.detail) == (Cause.REPAIR, "me", "set right")
    assert newest(ledger, third).cause is Cause.ASKED
