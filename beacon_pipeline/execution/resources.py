"""What assets, checks and sensors work with, as Dagster resources.

They take no run configuration: a URL may hold a password, and Dagster shows configuration.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from beacon_pipeline import environment
from beacon_pipeline.catalog import Catalog
from beacon_pipeline.execution.providers import SHIPPED, Providers
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.parts.write_counts import keep_write_counts


class LedgerResource:
    """The ledger that the environment names."""

    @contextmanager
    def open(self) -> Iterator[Ledger]:
        """The ledger with its schema up to date. Raises LedgerUnavailable."""
        ledger = Ledger(environment.database_url())
        try:
            ledger.migrate()
            yield ledger
        finally:
            keep_write_counts(ledger.writes, environment.home() / "write_counts")
            ledger.close()


class ProvidersResource:
    """The providers that ship. Subclass it to run on others."""

    def open(self, catalog: Catalog) -> Providers:
        """Providers for one event loop; whoever opens them closes them."""
        return Providers(catalog, SHIPPED)
