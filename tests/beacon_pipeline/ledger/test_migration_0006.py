"""A ledger as it was before it knew whose calls they are opens, and loses nothing."""

from __future__ import annotations

from contextlib import closing

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext

from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.database import MIGRATIONS, Database
from beacon_pipeline.ledger.records import CallFacts, Unsuccessful
from beacon_pipeline.ledger.schema import Base
from beacon_pipeline.ledger.status import Cause, Status
from inference.contract import CallFailure, CallStatus, FailureCode

NOW = "2026-01-01 00:00:00.000000+00:00"
REQUEST = (
    '{"id":"call-1","deployment":{"region":"eu","model":"m"},"model":{"id":"m","repository":"o/m",'
    '"revision":"r","dtype":"float32","context_tokens":64},"parameters":{"max_new_tokens":8},'
    '"items":[{"id":"execution-1","system_prompt":"","prompt":"?"}]}'
)


def an_old_ledger(url: str) -> None:
    """One execution, dispatched and accepted, as the schema of 0004 held it."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    rows: list[tuple[str, dict[str, object]]] = [
        (
            "jobs",
            {"id": "job-1", "jobspec_id": "old", "source": "launch", "catalog": "c", "catalog_digest": "d"}
            | {"created_at": NOW},
        ),
        (
            "calls",
            {"id": "call-1", "job_id": "job-1", "region": "eu", "model": "m", "provider": "modal"}
            | {"request": REQUEST, "replied": False, "created_at": NOW}
            | {"provider_call_id": "fc-1", "accepted_at": NOW},
        ),
        (
            "executions",
            {"id": "execution-1", "job_id": "job-1", "region": "eu", "model": "m", "question": "q"}
            | {"status": "dispatched", "queued_at": NOW, "updated_at": NOW},
        ),
        (
            "attempts",
            {"id": "attempt-1", "execution_id": "execution-1", "call_id": "call-1", "number": 1},
        ),
    ]

    def make(connection: sa.Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("CREATE SCHEMA IF NOT EXISTS beacon")
        config.attributes["connection"] = connection
        command.upgrade(config, "0004")
        for table, values in rows:
            names, bound = ", ".join(values), ", ".join(f":{name}" for name in values)
            connection.execute(sa.text(f"INSERT INTO {table} ({names}) VALUES ({bound})"), values)

    with closing(Database(url)) as database:
        database.write_uncounted(make)


def test_an_old_ledger_is_read_and_goes_on(empty_database_url: str) -> None:
    an_old_ledger(empty_database_url)
    with closing(Ledger(empty_database_url)) as ledger:
        ledger.migrate()
        (execution,) = ledger.executions.of_job("job-1")
        call = execution.newest_call
        assert call is not None
        assert (call.provider_call_id, call.workspace, call.environment) == ("fc-1", None, None)
        failure = CallFailure(code=FailureCode.START_FAILED, message="the container could not start")
        outcome = Unsuccessful(
            status=Status.FAILED, failure_code=failure.code, message=failure.message, dead_letter=True
        )
        facts = CallFacts(status=CallStatus.FAILED, replied=False, failure=failure)
        ledger.calls.settle(
            "call-1", {execution.id: outcome}, facts, actor="test", cause=Cause.PROVIDER_REPORT
        )
        (execution,) = ledger.executions.of_job("job-1")
        assert (execution.status, execution.failure_code) == (Status.FAILED, FailureCode.START_FAILED)
    with closing(Database(empty_database_url)) as database:
        difference = database.read(lambda c: compare_metadata(MigrationContext.configure(c), Base.metadata))
        assert difference == []
