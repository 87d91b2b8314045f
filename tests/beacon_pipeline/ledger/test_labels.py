"""Labels on record: added, never changed; an old ledger takes them."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.database import Database
from beacon_pipeline.ledger.parts.labels import LabelsDiffer
from beacon_pipeline.ledger.records import ADJUDICATION, Drawn, Label
from beacon_pipeline.ledger.schema import Base
from beacon_pipeline.ledger.status import LabelKind, LabelMethod
from tests.beacon_pipeline.ledger.test_migration_0005 import an_old_ledger

RULES = Label("execution-1", LabelKind.REFUSAL, LabelMethod.RULES, "1", "rules", reason="en/inability")
ANNA = Label("execution-1", LabelKind.EVASIVE, LabelMethod.PEOPLE, "1", "anna \x00", chance=0.25)
BERT = replace(ANNA, labeller="bert", kind=LabelKind.REFUSAL, reason=ADJUDICATION)


def test_labels_are_added_once_and_read_back(empty_database_url: str) -> None:
    an_old_ledger(empty_database_url)
    with closing(Ledger(empty_database_url)) as ledger:
        ledger.migrate()
        assert ledger.labels.of_job("job-1") == []
        assert ledger.labels.add([RULES, ANNA, RULES]) == 2
        assert ledger.labels.add([ANNA, BERT]) == 1
        found = ledger.labels.of_job("job-1")
        assert [replace(label, at=None) for label in found] == [RULES, ANNA, BERT]
        assert all(label.at for label in found)
        assert ledger.labels.of_executions(["execution-1"]) == found
        assert ledger.labels.of_executions(["execution-2"]) == []

        changed = replace(ANNA, kind=LabelKind.COMPLETE)
        with pytest.raises(LabelsDiffer, match=r"anna \x00 labelled it evasive on .*, not complete"):
            ledger.labels.add([replace(BERT, version="2"), changed])
        assert ledger.labels.of_job("job-1") == found  # nothing half-written
        assert ledger.labels.add([replace(changed, version="2")]) == 1


def test_a_draw_is_kept_once(empty_database_url: str) -> None:
    an_old_ledger(empty_database_url)
    drawn = [Drawn("execution-1", ("m", "regional", "eu", "refusal"), 0.5)]
    with closing(Ledger(empty_database_url)) as ledger:
        ledger.migrate()
        assert ledger.labels.add_draw("one", drawn)
        assert not ledger.labels.add_draw("one", [replace(drawn[0], chance=1.0)])
        assert ledger.labels.draw("one") == drawn
        assert ledger.labels.draw("two") == []
        assert ledger.labels.draws() == ["one"]
        assert ledger.labels.chances(["execution-1", "execution-2"]) == {"execution-1": 0.5}
        assert ledger.labels.add_draw("two", [replace(drawn[0], chance=1.0)])
        assert ledger.labels.chances(["execution-1"]) == {"execution-1": 1.0}


def test_many_that_add_at_once_add_each_label_once(empty_database_url: str) -> None:
    an_old_ledger(empty_database_url)
    with closing(Ledger(empty_database_url)) as ledger:
        ledger.migrate()
        with ThreadPoolExecutor(4) as pool:
            added = list(pool.map(lambda _: ledger.labels.add([RULES, ANNA]), range(8)))
        assert sum(added) == 2


DAMAGES = (
    "UPDATE labels SET kind = 'denial'",
    "UPDATE labels SET method = 'guess'",
    "UPDATE labels SET version = ''",
    "UPDATE labels SET labeller = ''",
    "UPDATE labels SET chance = 0.5 WHERE method = 'rules'",
    "UPDATE labels SET chance = 0",
    "UPDATE labels SET chance = 1.5 WHERE method = 'people'",
    "UPDATE labels SET execution_id = 'nowhere'",
    "INSERT INTO labels (execution_id, kind, method, version, labeller, at) "
    "SELECT execution_id, 'complete', method, version, labeller, at FROM labels",
)


def test_what_can_never_be_of_a_label_is_refused(empty_database_url: str) -> None:
    an_old_ledger(empty_database_url)
    with closing(Ledger(empty_database_url)) as ledger:
        ledger.migrate()
        ledger.labels.add([RULES, ANNA])
    with closing(Database(empty_database_url)) as database:
        for damage in DAMAGES:
            with pytest.raises(sa.exc.IntegrityError):
                database.write(lambda connection, text=damage: connection.exec_driver_sql(text))
        difference = database.read(lambda c: compare_metadata(MigrationContext.configure(c), Base.metadata))
        assert difference == []
