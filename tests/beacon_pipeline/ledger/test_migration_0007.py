"""A ledger as it was before a provider's filter had a finish reason of its own opens, and loses nothing."""

from contextlib import closing
from dataclasses import replace

import pytest

from beacon_pipeline.ledger import Ledger
from inference.contract import FinishReason
from tests.beacon_pipeline.asking import SUCCEEDED, completed
from tests.beacon_pipeline.ledger.migrated import assert_refused
from tests.beacon_pipeline.ledger.test_migration_0005 import an_old_ledger


@pytest.mark.parametrize("reason", [FinishReason.CONTENT_FILTER, FinishReason.UNREPORTED])
def test_an_old_ledger_takes_the_new_reasons(empty_database_url: str, reason: FinishReason) -> None:
    an_old_ledger(empty_database_url)
    with closing(Ledger(empty_database_url)) as ledger:
        ledger.migrate()
        first, second = ledger.executions.of_job("job-1")
        assert (first.answer, first.finish_reason) == ("fine \\ and dandy", FinishReason.STOP)
        outcome = replace(completed("It is"), finish_reason=reason)
        ledger.calls.settle("call-1", {second.id: outcome}, SUCCEEDED, actor="test")
        assert ledger.executions.of_job("job-1")[1].finish_reason is reason


def test_an_unknown_reason_is_refused_still(empty_database_url: str) -> None:
    an_old_ledger(empty_database_url)
    with closing(Ledger(empty_database_url)) as ledger:
        ledger.migrate()
    damage = "UPDATE executions SET finish_reason = 'bored' WHERE id = 'execution-1'"
    assert_refused(empty_database_url, damage)
