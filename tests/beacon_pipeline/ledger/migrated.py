"""What holds of every ledger that was migrated, whatever it came from."""

from contextlib import closing

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from beacon_pipeline.ledger.database import Database
from beacon_pipeline.ledger.schema import Base


def assert_refused(database_url: str, damage: str) -> None:
    """The schema refuses this statement, and is the one that the code has."""
    with closing(Database(database_url)) as database:
        with pytest.raises(sa.exc.IntegrityError):
            database.write(lambda connection: connection.exec_driver_sql(damage))
        difference = database.read(lambda c: compare_metadata(MigrationContext.configure(c), Base.metadata))
        assert difference == []
