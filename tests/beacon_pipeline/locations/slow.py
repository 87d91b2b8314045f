"""A code location whose local provider answers one item at a time, in BEACON_TEST_ITEM_SECONDS each."""

import os

import dagster as dg

from beacon_pipeline import environment
from beacon_pipeline.catalog import Catalog
from beacon_pipeline.definitions import build_definitions
from beacon_pipeline.execution.providers import Providers
from beacon_pipeline.execution.resources import ProvidersResource
from inference.local.provider import LocalProvider
from tests.inference.slow import SlowRuntime


class SlowProviders(ProvidersResource):
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds  # of each item

    def open(self, catalog: Catalog) -> Providers:
        return Providers(
            catalog,
            {
                "local": lambda _: LocalProvider(
                    environment.local_call_store(), load=lambda _: SlowRuntime(self.seconds), batch_size=1
                )
            },
        )


@dg.definitions
def definitions() -> dg.Definitions:
    seconds = float(os.environ.get("BEACON_TEST_ITEM_SECONDS") or 0)
    return build_definitions(providers=SlowProviders(seconds))
