"""A ledger as it was before a cell could have several answers opens, loses nothing, and takes more."""

from contextlib import closing

import pytest

from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Cell, Slot
from tests.beacon_pipeline.ledger.migrated import assert_refused
from tests.beacon_pipeline.ledger.test_migration_0005 import an_old_ledger

BIG_SEED = 2**53 - 1


def two_samples(cell: Cell) -> list[Slot]:
    return [Slot(cell), Slot(cell, "neutral", 2, 1, BIG_SEED)]


def test_an_old_ledger_keeps_its_rows_and_takes_more_samples(empty_database_url: str) -> None:
    an_old_ledger(empty_database_url)
    with closing(Ledger(empty_database_url)) as ledger:
        ledger.migrate()
        before = ledger.executions.of_job("job-1")
        assert [(e.arm, e.block, e.sample, e.seed) for e in before] == [("regional", 1, 1, None)] * 2
        assert before[0].answer == "fine \\ and dandy"
        assert before[0].attempts[0].call.id == "call-1"
        job = ledger.jobs.latest()
        assert job is not None
        assert (job.plan, ledger.jobs.catalog_content(job.catalog_digest)) == (None, None)

        ledger.executions.ensure(
            "job-1", [Cell("eu", "m", "q1")], actor="test", slots_of=two_samples
        )  # the first of them is there
        after = ledger.executions.of_job("job-1", [Cell("eu", "m", "q1")])
        assert [e.slot for e in after] == [Slot(after[1].cell, "neutral", 2, 1, BIG_SEED), before[0].slot]
        assert after[1] == before[0]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE executions SET question = 'q2' WHERE id = 'execution-1'",  # one answer twice
        "UPDATE executions SET block = 0 WHERE id = 'execution-1'",
        "UPDATE executions SET sample = 0 WHERE id = 'execution-1'",
        "UPDATE executions SET arm = NULL WHERE id = 'execution-1'",
    ],
)
def test_what_can_never_be_of_a_sample_is_refused(empty_database_url: str, damage: str) -> None:
    an_old_ledger(empty_database_url)
    with closing(Ledger(empty_database_url)) as ledger:
        ledger.migrate()
    assert_refused(empty_database_url, damage)


def test_a_job_keeps_its_plan_and_what_its_catalog_held(ledger: Ledger) -> None:
    kept = {"source": "s", "catalog": "c", "catalog_digest": "d", "catalog_content": {"regions": ["é\0"]}}
    first = ledger.jobs.ensure("first", **kept, plan={"samples": 2})
    again = ledger.jobs.ensure("first", **kept | {"catalog_content": {}}, plan={"samples": 3})
    assert (first.plan, again) == ({"samples": 2}, first)
    assert ledger.jobs.catalog_content("d") == {"regions": ["é\0"]}
    assert ledger.jobs.catalog_content("other") is None
