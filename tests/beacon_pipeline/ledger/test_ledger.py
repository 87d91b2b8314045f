"""The record keeps what it is given, changes status only legally, and loses nothing."""

import itertools
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from unittest import mock

import alembic.command
import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from hypothesis import given
from hypothesis import strategies as st

from beacon_pipeline.ledger import Ledger, LedgerUnavailable
from beacon_pipeline.ledger.database import MIGRATIONS, Database
from beacon_pipeline.ledger.records import CallFacts, Execution, Outcome, Retry, Unsuccessful
from beacon_pipeline.ledger.schema import Base
from beacon_pipeline.ledger.status import Cause, Status
from beacon_pipeline.ledger.transitions import LEGAL_TRANSITIONS, IllegalTransition, require_legal
from beacon_pipeline.ledger.types import escape_exact, unescape_exact
from inference.contract import CallFailure, CallStatus, FailureCode
from tests.beacon_pipeline.asking import CELLS, SUCCEEDED, a_job, a_request_for, completed

FAILED = CallFacts(
    status=CallStatus.FAILED,
    replied=False,
    failure=CallFailure(code=FailureCode.WORKER_LOST, message="gone"),
)


def dispatch(ledger: Ledger, executions: list[Execution]) -> str:
    call = ledger.calls.open(executions, a_request_for, provider="local", actor="test")
    assert call is not None
    return call.id


def statuses(ledger: Ledger, job_id: str) -> list[str]:
    return [execution.status.value for execution in ledger.executions.of_job(job_id)]


def test_asking_twice_makes_one_row_each(ledger: Ledger) -> None:
    first, second = a_job(ledger), a_job(ledger)
    assert first == second
    executions = ledger.executions.of_job(first.id)
    assert [e.cell for e in executions] == CELLS
    for execution in executions:
        assert [
            (t.from_status, t.to_status, t.cause) for t in ledger.executions.transitions(execution.id)
        ] == [(None, Status.PENDING, Cause.ASKED)]


def test_an_answer_is_kept_with_its_path(ledger: Ledger) -> None:
    job = a_job(ledger)
    executions = ledger.executions.of_job(job.id)
    call_id = dispatch(ledger, executions)
    told = [ledger.calls.accept(call_id, provider_call_id) for provider_call_id in ("fc-1", "fc-1", "fc-2")]
    assert told == ["fc-1"] * 3, "the first one is kept"
    outcomes = {e.id: completed("" if n == 0 else "fine") for n, e in enumerate(executions)}
    assert set(ledger.calls.settle(call_id, outcomes, SUCCEEDED, actor="test")) == set(outcomes)
    first = ledger.executions.of_job(job.id)[0]
    assert (first.status, first.answer, first.usable) == (Status.COMPLETED, "", True)
    assert first.prompt == "ask q0"
    assert first.provenance == completed().provenance
    assert first.started_at == completed().started_at
    assert first.newest_call is not None
    assert (first.newest_call.provider_call_id, first.newest_call.status) == ("fc-1", CallStatus.SUCCEEDED)
    assert [t.to_status.value for t in ledger.executions.transitions(first.id)] == [
        "pending",
        "dispatched",
        "completed",
    ]
    counts = ledger.aggregates.counts(job.id)
    assert counts.by_status == {"completed": 3}
    assert counts.by_answer_kind == {"empty": 1, "substantive": 2}


def test_what_the_database_cannot_hold_of_one_answer_costs_no_other(ledger: Ledger) -> None:
    job = a_job(ledger)
    executions = ledger.executions.of_job(job.id)
    call_id = dispatch(ledger, executions)
    outcomes = {e.id: completed("fine") for e in executions}
    outcomes[executions[1].id] = replace(completed("fine"), prompt_tokens=10**25)
    ledger.calls.settle_with(call_id, lambda _: outcomes, SUCCEEDED, actor="test")
    kept, lost, also_kept = ledger.executions.of_job(job.id)
    assert (kept.status, also_kept.status) == (Status.COMPLETED, Status.COMPLETED)
    assert (lost.status, lost.failure_code) == (Status.FAILED, FailureCode.MALFORMED_REPLY)
    assert lost.dead_lettered_at is not None
    assert "the database cannot hold what came" in str(lost.failure_message)
    assert lost.newest_call is not None
    assert lost.newest_call.replied


def test_a_lost_connection_is_no_fault_of_an_answer(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """psycopg raises InterfaceError, no OperationalError, for a connection that is closed."""
    job = a_job(ledger)
    executions = ledger.executions.of_job(job.id)
    call_id = dispatch(ledger, executions)
    monkeypatch.setattr("beacon_pipeline.ledger.database.TRIES", 2)

    def judge(_: object) -> dict[str, Outcome]:
        lost = psycopg.InterfaceError("the connection is closed")
        raise sa.exc.InterfaceError("UPDATE", {}, lost, connection_invalidated=True)

    with pytest.raises(LedgerUnavailable, match="the connection is closed"):
        ledger.calls.settle_with(call_id, judge, SUCCEEDED, actor="test")
    assert {e.status for e in ledger.executions.of_job(job.id)} == {Status.DISPATCHED}


def test_late_and_repeated_reports_change_nothing(ledger: Ledger) -> None:
    job = a_job(ledger, CELLS[:1])
    (execution,) = ledger.executions.of_job(job.id)
    call_id = dispatch(ledger, [execution])
    assert ledger.calls.settle(call_id, {execution.id: completed("first")}, SUCCEEDED, actor="test")
    before = ledger.executions.transitions(execution.id)
    failed = Unsuccessful(
        status=Status.FAILED, failure_code=FailureCode.WORKER_LOST, message="", dead_letter=True
    )
    for late in (completed("second"), failed, Retry(failure_code=FailureCode.WORKER_LOST, message="")):
        assert ledger.calls.settle(call_id, {execution.id: late}, FAILED, actor="test") == []
    assert ledger.executions.transitions(execution.id) == before
    (execution,) = ledger.executions.of_job(job.id)
    assert execution.answer == "first"
    assert execution.newest_call is not None
    assert execution.newest_call.status is CallStatus.SUCCEEDED


def test_an_answer_wins_over_a_failure_on_record_and_over_the_next_attempt(ledger: Ledger) -> None:
    job = a_job(ledger, CELLS[:1])
    (execution,) = ledger.executions.of_job(job.id)
    first_call = dispatch(ledger, [execution])
    retry = Retry(failure_code=FailureCode.WORKER_LOST, message="gone")
    ledger.calls.settle(first_call, {execution.id: retry}, FAILED, actor="test")
    assert statuses(ledger, job.id) == ["pending"]
    second_call = dispatch(ledger, ledger.executions.of_job(job.id))
    assert ledger.calls.settle(first_call, {execution.id: completed()}, SUCCEEDED, actor="test")
    (execution,) = ledger.executions.of_job(job.id)
    assert execution.status is Status.COMPLETED
    assert [attempt.settled_at is None for attempt in execution.attempts] == [False, False]
    assert execution.attempts[0].failure_code is None, "its reply has an answer"
    assert ledger.executions.transitions(execution.id)[-1].cause is Cause.REPAIR
    assert ledger.calls.settle(second_call, {execution.id: retry}, FAILED, actor="test") == []


def test_a_call_believed_ended_can_be_found_running(ledger: Ledger) -> None:
    job = a_job(ledger, CELLS[:1])
    (execution,) = ledger.executions.of_job(job.id)
    call_id = dispatch(ledger, [execution])
    lost = Unsuccessful(
        status=Status.FAILED, failure_code=FailureCode.WORKER_LOST, message="x", dead_letter=True
    )
    ledger.calls.settle(call_id, {execution.id: lost}, FAILED, actor="test", cause=Cause.PROVIDER_REPORT)
    (failed,) = ledger.executions.of_job(job.id)
    assert failed.dead_lettered_at is not None
    assert ledger.repairs.reopen(call_id, [execution.id], actor="test") == [execution.id]
    (running,) = ledger.executions.of_job(job.id)
    assert (running.status, running.failure_code, running.dead_lettered_at) == (Status.DISPATCHED, None, None)
    assert [call.id for call in ledger.calls.unsettled()] == [call_id]
    assert ledger.calls.settle(call_id, {execution.id: completed()}, SUCCEEDED, actor="test")
    assert ledger.calls.unsettled() == []


def test_only_what_is_pending_is_claimed(ledger: Ledger) -> None:
    job = a_job(ledger)
    executions = ledger.executions.of_job(job.id)
    dispatch(ledger, executions[:1])
    call_id = dispatch(ledger, executions)
    assert {e.id for e in ledger.executions.on_call(call_id)} == {e.id for e in executions[1:]}
    assert ledger.calls.open(executions, a_request_for, provider="local", actor="test") is None


def claim(url: str, job_id: str) -> list[str]:
    with closing(Ledger(url)) as ledger:
        call = ledger.calls.open(
            ledger.executions.of_job(job_id), a_request_for, provider="local", actor="test"
        )
    return [] if call is None else [item.id for item in call.request.items]


def test_twenty_writers_claim_each_execution_once(ledger: Ledger, database_url: str) -> None:
    job = a_job(ledger)
    spawning = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawning) as pool, ThreadPoolExecutor(18) as threads:
        futures = [pool.submit(claim, database_url, job.id) for _ in range(2)]
        futures += [threads.submit(claim, database_url, job.id) for _ in range(18)]
        claimed = list(itertools.chain.from_iterable(future.result() for future in futures))
    assert sorted(claimed) == sorted(e.id for e in ledger.executions.of_job(job.id))
    assert all(len(e.attempts) == 1 for e in ledger.executions.of_job(job.id))


@pytest.mark.parametrize("answer", ["a\x00b", "\ud800 \udfff", "\\u0000 \\", "line\r\n\t😀", "x" * 1_000_000])
def test_any_text_comes_back_as_it_was(ledger: Ledger, answer: str) -> None:
    job = a_job(ledger, CELLS[:1])
    (execution,) = ledger.executions.of_job(job.id)
    ledger.calls.settle(
        dispatch(ledger, [execution]), {execution.id: completed(answer)}, SUCCEEDED, actor="test"
    )
    assert ledger.executions.of_job(job.id)[0].answer == answer


@given(st.text(st.characters(exclude_categories=[])))
def test_escaped_text_is_storable_and_reversible(text: str) -> None:
    escaped = escape_exact(text)
    assert unescape_exact(escaped) == text
    assert "\x00" not in escaped
    escaped.encode("utf-8")


def test_a_naive_time_is_refused(database_url: str) -> None:
    with closing(Ledger(database_url, clock=lambda: datetime(2026, 1, 1))) as ledger:  # noqa: DTZ001
        ledger.migrate()
        with pytest.raises(sa.exc.StatementError, match="naive"):
            ledger.jobs.ensure("j", source="launch", catalog="c", catalog_digest="d")


def test_the_schema_refuses_illegal_rows(ledger: Ledger, database_url: str) -> None:
    job = a_job(ledger)
    illegal = [
        "UPDATE executions SET status = 'complete'",
        "UPDATE executions SET status = 'completed'",
        "UPDATE executions SET answer = 'Response extraction failed'",
        "UPDATE executions SET status = 'failed'",
        "UPDATE executions SET answer_kind = 'empty'",
        "UPDATE executions SET failure_code = 'worker_lost'",
        "INSERT INTO executions (id, job_id, region, model, question, status, queued_at, updated_at) "
        "SELECT 'other', job_id, region, model, question, 'pending', queued_at, updated_at FROM executions",
    ]
    engine = Database(database_url).engine
    for statement in illegal:
        with pytest.raises(sa.exc.IntegrityError), engine.begin() as connection:
            connection.execute(sa.text(statement))
    engine.dispose()
    assert statuses(ledger, job.id) == ["pending"] * 3


def test_a_second_open_attempt_cannot_be_written(ledger: Ledger, database_url: str) -> None:
    job = a_job(ledger, CELLS[:1])
    dispatch(ledger, ledger.executions.of_job(job.id))
    engine = Database(database_url).engine
    with pytest.raises(sa.exc.IntegrityError), engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO attempts (id, execution_id, call_id, number) "
                "SELECT 'second', execution_id, call_id, 2 FROM attempts"
            )
        )
    engine.dispose()


def test_only_legal_transitions() -> None:
    for source, target in itertools.product([None, *Status], Status):
        if target in LEGAL_TRANSITIONS[source]:
            require_legal(source, target)
        else:
            with pytest.raises(IllegalTransition):
                require_legal(source, target)
    assert not LEGAL_TRANSITIONS[Status.COMPLETED]


def test_the_migrations_make_the_models(ledger: Ledger, database_url: str) -> None:
    engine = Database(database_url).engine
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    engine.dispose()


def test_a_newest_schema_is_opened_without_the_lock_of_those_who_migrate(
    ledger: Ledger, database_url: str
) -> None:
    """Each command and each run opens the ledger: Alembic, its lock and its look at all rows are for few."""
    newest = ScriptDirectory(str(MIGRATIONS)).get_current_head()
    assert ledger.schema_versions() == (newest, newest)
    with mock.patch.object(alembic.command, "upgrade", side_effect=AssertionError("nothing is to be done")):
        ledger.migrate()
    engine = Database(database_url).engine
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0000'")
    engine.dispose()
    with pytest.raises(LedgerUnavailable, match="has schema 0000, unknown to this version"):
        ledger.migrate()


def test_nine_first_starts_at_once(empty_database_url: str) -> None:
    def first_start(_: int) -> None:
        with closing(Ledger(empty_database_url)) as starting:
            starting.migrate()

    with ThreadPoolExecutor(9) as threads:
        list(threads.map(first_start, range(9)))
    with closing(Ledger(empty_database_url)) as ledger:
        assert a_job(ledger).job_name == "job-1"


def test_the_ledger_lives_beside_dagsters_tables_in_one_database(empty_database_url: str) -> None:
    """Dagster's storage has a table called `jobs` and Alembic's bookkeeping too."""
    if empty_database_url.startswith("sqlite"):
        pytest.skip("on SQLite each has its own file")
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE public.jobs (id text)")
        connection.execute("CREATE TABLE public.alembic_version (version_num text)")
        connection.execute("INSERT INTO public.alembic_version VALUES ('29b539ebc72a')")
    with closing(Ledger(empty_database_url)) as ledger:
        ledger.migrate()
        assert a_job(ledger).job_name == "job-1"


def test_a_passing_lock_is_waited_for_and_nothing_is_half_written(ledger: Ledger, database_url: str) -> None:
    if not database_url.startswith("sqlite"):
        pytest.skip("SQLite's single writer")
    engine = sa.create_engine(database_url)
    with engine.connect() as blocker:
        blocker.exec_driver_sql("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(1) as threads:
            job = threads.submit(a_job, ledger)
            assert ledger.jobs.latest() is None
            blocker.exec_driver_sql("ROLLBACK")
            assert job.result().job_name == "job-1"
    engine.dispose()


def test_a_killed_connection_is_retried_whole(ledger: Ledger, database_url: str) -> None:
    if database_url.startswith("sqlite"):
        pytest.skip("PostgreSQL's connections")
    job = a_job(ledger)
    executions = ledger.executions.of_job(job.id)
    killer = sa.create_engine(
        database_url.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT"
    )
    killed = []

    def build(claimed: list[Execution]) -> object:
        if not killed:
            with killer.connect() as connection:
                found = connection.execute(
                    sa.text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
                )
                killed.append(found.rowcount)
        return a_request_for(claimed)

    call = ledger.calls.open(executions, build, provider="local", actor="test")  # type: ignore[arg-type]
    killer.dispose()
    assert killed
    assert call is not None
    assert [len(e.attempts) for e in ledger.executions.of_job(job.id)] == [1, 1, 1]
    assert [len(ledger.executions.transitions(e.id)) for e in executions] == [2, 2, 2]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mysql://u:secret@h/d", "not on 'mysql'"),
        ("not a url secret", "not a database URL"),
        ("postgresql://u:secret@127.0.0.1:1/d", "cannot be used"),
    ],
)
def test_an_unusable_database_is_one_clear_line_without_the_password(
    url: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("beacon_pipeline.ledger.database.TRIES", 1)
    with pytest.raises(LedgerUnavailable, match=reason) as caught, closing(Ledger(url)) as ledger:
        ledger.migrate()
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
