"""Studies on record: added, never changed; an old ledger takes them."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.status import Evidence
from tests.beacon_pipeline.ledger.migrated import assert_refused
from tests.beacon_pipeline.ledger.test_migration_0005 import an_old_ledger


def test_a_changed_content_is_the_next_version_and_the_same_is_the_same(ledger: Ledger) -> None:
    first = ledger.studies.register("s", '{"a":"\\u0000é\\\\"}')
    second = ledger.studies.register("s", "{}")
    other = ledger.studies.register("t", "{}")
    assert ledger.studies.register("s", first.content) == first
    assert [r.version for r in (first, second, other)] == [1, 2, 1]
    assert (first.content, first.hash != second.hash, second.hash == other.hash) == (
        '{"a":"\\u0000é\\\\"}',
        True,
        True,
    )
    assert ledger.studies.versions("s") == [first, second]
    assert ledger.studies.versions() == [first, second, other]
    assert ledger.studies.versions("unknown") == []


def test_of_each_kind_of_evidence_the_first_stays(ledger: Ledger) -> None:
    ledger.studies.register("s", "{}")
    kept = ledger.studies.add_evidence("s", 1, Evidence.PUBLIC_VALUE, b"12 34")
    again = ledger.studies.add_evidence("s", 1, Evidence.PUBLIC_VALUE, b"56 78")
    both = ledger.studies.add_evidence("s", 1, Evidence.TIMESTAMP, b"\x00\xff")
    assert again == kept
    found = both.of_kind(Evidence.TIMESTAMP)
    assert found is not None
    assert found.content == b"\x00\xff"
    assert len(found.sha256) == 64
    assert both.of_kind(Evidence.PUBLIC_VALUE) == kept.evidence[0]
    assert ledger.studies.versions("s") == [both]


def test_many_that_register_at_once_get_one_number_each(ledger: Ledger) -> None:
    contents = [str(number % 4) for number in range(12)]
    with ThreadPoolExecutor(4) as pool:
        records = list(pool.map(lambda content: ledger.studies.register("s", content), contents))
    assert len({(record.content, record.version) for record in records}) == 4
    assert sorted({record.version for record in records}) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE studies SET version = 0",
        "INSERT INTO studies SELECT study, 2, hash, content, registered_at FROM studies",
        "INSERT INTO study_evidence SELECT study, 2, 'timestamp', '', '', registered_at FROM studies",
        "INSERT INTO study_evidence SELECT study, version, 'hearsay', '', '', registered_at FROM studies",
    ],
)
def test_an_old_ledger_takes_studies_and_no_nonsense(empty_database_url: str, damage: str) -> None:
    an_old_ledger(empty_database_url)
    with closing(Ledger(empty_database_url)) as ledger:
        ledger.migrate()
        assert len(ledger.executions.of_job("job-1")) == 2
        ledger.studies.register("s", "{}")
    assert_refused(empty_database_url, damage)
