"""A ledger as it was before thoughts and rendered prompts were kept opens, and loses nothing."""

import json
from contextlib import closing
from dataclasses import replace

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.database import MIGRATIONS, Database
from beacon_pipeline.ledger.status import AnswerKind, Status
from tests.beacon_pipeline.asking import SUCCEEDED, completed
from tests.beacon_pipeline.ledger.migrated import assert_refused

NOW = "2026-01-01 00:00:00.000000+00:00"
REQUEST = (
    '{"id":"call-1","deployment":{"region":"eu","model":"m"},"model":{"id":"m","repository":"o/m",'
    '"folder":null,"revision":"r","dtype":"float32","context_tokens":64,"engine":"transformers"},'
    '"parameters":{"max_new_tokens":8,"temperature":0.0,"top_p":1.0,"seed":0},'
    '"items":[{"id":"execution-1","system_prompt":"","prompt":"?"},'
    '{"id":"execution-2","system_prompt":"","prompt":"?"}]}'
)
PROVENANCE = {
    "model_revision": "r",
    "weights_sha256": "w",
    "tokenizer_sha256": "t",
    "dtype": "float32",
    "device": "cpu",
    "engine": "transformers",
    "libraries": {"torch": "2"},
    "batch_size": 8,
}
COMPLETED = {
    "answer": "fine \\\\ and dandy",
    "answer_kind": "substantive",
    "finish_reason": "stop",
    "executed_region": "eu",
    "provenance": json.dumps(PROVENANCE),
}


def an_old_ledger(url: str) -> None:
    """Two executions on one call, one of them answered, as the schema of 0004 held them."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    executions = [
        {"id": "execution-1", "question": "q1", "status": "completed", **COMPLETED},
        {"id": "execution-2", "question": "q2", "status": "dispatched"},
    ]
    rows = [
        ("jobs", {"id": "job-1", "jobspec_id": "old", "source": "launch", "catalog": "c"}),
        (
            "calls",
            {"id": "call-1", "job_id": "job-1", "region": "eu", "model": "m", "provider": "local"}
            | {"request": REQUEST.replace("\\", "\\\\"), "replied": False, "created_at": NOW},
        ),
    ]
    rows[0][1].update({"catalog_digest": "d", "created_at": NOW})
    for execution in executions:
        common = {"job_id": "job-1", "region": "eu", "model": "m", "queued_at": NOW, "updated_at": NOW}
        rows.append(("executions", common | execution))
        attempt = {"id": f"attempt-{execution['id']}", "execution_id": execution["id"], "call_id": "call-1"}
        rows.append(("attempts", attempt | {"number": 1}))

    def make(connection: sa.Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("CREATE SCHEMA IF NOT EXISTS beacon")
        config.attributes["connection"] = connection
        command.upgrade(config, "0004")
        for table, values in rows:
            names = ", ".join(values)
            bound = ", ".join(f":{name}" for name in values)
            connection.execute(sa.text(f"INSERT INTO {table} ({names}) VALUES ({bound})"), values)

    with closing(Database(url)) as database:
        database.write_uncounted(make)


def test_an_old_ledger_is_read_and_goes_on(empty_database_url: str) -> None:
    an_old_ledger(empty_database_url)
    with closing(Ledger(empty_database_url)) as ledger:
        ledger.migrate()
        ledger.migrate()
        first, second = ledger.executions.of_job("job-1")
        assert (first.answer, first.answer_kind) == ("fine \\ and dandy", AnswerKind.SUBSTANTIVE)
        assert (first.rendered_prompt, first.reasoning) == (None, None)
        assert first.provenance is not None
        assert first.provenance.model_dump(mode="json") == PROVENANCE
        assert second.newest_call is not None
        assert second.newest_call.request.model_dump_json() == REQUEST
        outcome = replace(
            completed(""), answer_kind=AnswerKind.UNFINISHED, reasoning="hm", rendered_prompt="<|user|>?"
        )
        ledger.calls.settle("call-1", {second.id: outcome}, SUCCEEDED, actor="test")
        second = ledger.executions.of_job("job-1")[1]
        assert (second.status, second.answer_kind) == (Status.COMPLETED, AnswerKind.UNFINISHED)
        assert (second.answer, second.reasoning, second.rendered_prompt) == ("", "hm", "<|user|>?")


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE executions SET answer_kind = 'bored' WHERE id = 'execution-1'",
        "UPDATE executions SET answer = NULL WHERE id = 'execution-1'",
        "UPDATE executions SET failure_code = 'because' WHERE id = 'execution-2'",
        "UPDATE executions SET question = 'q2' WHERE id = 'execution-1'",
        "UPDATE executions SET job_id = 'nowhere' WHERE id = 'execution-1'",
        "DELETE FROM executions WHERE id = 'execution-1'",
    ],
)
def test_what_the_schema_refused_it_refuses_still(empty_database_url: str, damage: str) -> None:
    an_old_ledger(empty_database_url)
    with closing(Ledger(empty_database_url)) as ledger:
        ledger.migrate()
    assert_refused(empty_database_url, damage)
