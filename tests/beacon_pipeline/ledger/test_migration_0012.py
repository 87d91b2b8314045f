"""A ledger as it was before the rules behind an answer's kind were on record opens, and loses nothing."""

from contextlib import closing
from dataclasses import replace

from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.status import AnswerKind
from tests.beacon_pipeline.asking import SUCCEEDED, completed
from tests.beacon_pipeline.ledger.migrated import assert_refused
from tests.beacon_pipeline.ledger.test_migration_0005 import an_old_ledger


def test_old_kinds_are_of_no_version_and_new_ones_name_theirs(database_url: str) -> None:
    an_old_ledger(database_url)
    with closing(Ledger(database_url)) as ledger:
        ledger.migrate()
        ledger.migrate()
        first, second = ledger.executions.of_job("job-1")
        assert (first.answer_kind, first.kind_version) == (AnswerKind.SUBSTANTIVE, None)
        assert first.answer == "fine \\ and dandy"
        refusal = replace(completed("I cannot say"), answer_kind=AnswerKind.REFUSAL, kind_version="4")
        ledger.calls.settle("call-1", {second.id: refusal}, SUCCEEDED, actor="test")
        assert ledger.executions.of_job("job-1")[1].kind_version == "4"
    assert_refused(database_url, "UPDATE executions SET answer_kind = 'bored' WHERE id = 'execution-1'")
