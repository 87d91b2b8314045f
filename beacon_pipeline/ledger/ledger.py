"""The ledger: jobs, executions, calls, attempts and every status change, on SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import sqlalchemy as sa

from beacon_pipeline.ledger.database import Database, LedgerUnavailable
from beacon_pipeline.ledger.parts.aggregates import Aggregates
from beacon_pipeline.ledger.parts.calls import Calls
from beacon_pipeline.ledger.parts.executions import Executions
from beacon_pipeline.ledger.parts.jobs import Jobs
from beacon_pipeline.ledger.parts.judge_calls import JudgeCalls
from beacon_pipeline.ledger.parts.labels import Labels
from beacon_pipeline.ledger.parts.overdue import Overdue
from beacon_pipeline.ledger.parts.pages import Pages
from beacon_pipeline.ledger.parts.repairs import Repairs
from beacon_pipeline.ledger.parts.studies import Studies
from beacon_pipeline.ledger.parts.write_counts import Writes
from beacon_pipeline.ledger.rows import jobs_table
from dbt_like_checks.database.secrets import reason_of


def _now() -> datetime:
    return datetime.now(UTC)


class Ledger:
    """The record, in parts that share one database. Every method of a part is one transaction.

    All methods raise LedgerUnavailable when the database cannot be used; then nothing was written.
    """

    def __init__(self, url: str, *, clock: Callable[[], datetime] = _now) -> None:
        self.database = Database(url)
        self.jobs = Jobs(self.database, clock)
        self.executions = Executions(self.database, clock)
        self.calls = Calls(self.database, clock)
        self.repairs = Repairs(self.database, clock)
        self.overdue = Overdue(self.database, clock)
        self.studies = Studies(self.database, clock)
        self.labels = Labels(self.database, clock)
        self.judge_calls = JudgeCalls(self.database, clock)
        self.pages = Pages(self.database, clock)
        self.aggregates = Aggregates(self.database, clock)
        self.writes = Writes(self.database, clock)

    def __repr__(self) -> str:
        return f"Ledger({self.database!r})"

    def close(self) -> None:
        """Give the connections back."""
        self.database.close()

    @property
    def place(self) -> str:
        """Where the ledger is, for messages: no password."""
        return self.database.place

    def schema_versions(self) -> tuple[str | None, str | None]:
        """The schema's version in the database, None while it has none, and the newest there is."""
        return self.database.schema_versions()

    def migrate(self) -> None:
        """Bring the schema to the newest version."""
        self.database.migrate()

    def check_writable(self) -> None:
        """Write nothing, as a write: raises LedgerUnavailable where a real one would."""
        nothing = sa.update(jobs_table).where(sa.false()).values(source=jobs_table.c.source)
        try:
            self.database.write_uncounted(lambda c: c.execute(nothing))
        except sa.exc.InternalError as error:  # what PostgreSQL says of a server that only reads
            raise LedgerUnavailable(f"the ledger cannot be written: {reason_of(error)}") from None
