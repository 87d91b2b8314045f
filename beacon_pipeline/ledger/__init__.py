"""The database of jobs, executions, calls, attempts and every status change, on SQLite or PostgreSQL."""

from beacon_pipeline.ledger.database import LedgerUnavailable, WriteCounts
from beacon_pipeline.ledger.ledger import Ledger

__all__ = ["Ledger", "LedgerUnavailable", "WriteCounts"]
