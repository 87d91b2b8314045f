"""The code location with the provider of `provider.py`, and a record that is looked at often."""

import os

import dagster as dg

from beacon_pipeline import environment
from beacon_pipeline.catalog import Catalog
from beacon_pipeline.definitions import build_definitions
from beacon_pipeline.execution.providers import Providers
from beacon_pipeline.execution.resources import ProvidersResource
from tests.chaos.provider import ChaosProvider

SEED_VARIABLE = "CHAOS_SEED"


class ChaosProviders(ProvidersResource):
    def open(self, catalog: Catalog) -> Providers:
        return Providers(catalog, {"local": lambda _: chaos_provider()})


def chaos_provider() -> ChaosProvider:
    """The provider of the instance that the environment names."""
    return ChaosProvider(environment.home() / "provider.db", int(os.environ[SEED_VARIABLE]))


@dg.definitions
def definitions() -> dg.Definitions:
    return build_definitions(providers=ChaosProviders(), healing_interval_seconds=2)
