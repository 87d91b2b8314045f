"""A code location whose local provider answers one item at a time, each in as many seconds as the
file ``pace`` says; the file is looked at all the time."""

import time
from collections.abc import Sequence

import dagster as dg

from beacon_pipeline import environment
from beacon_pipeline.catalog import Catalog
from beacon_pipeline.definitions import build_definitions
from beacon_pipeline.execution.providers import Providers
from beacon_pipeline.execution.resources import ProvidersResource
from inference.contract import GenerationParameters, Item, ItemAnswer, ItemFailure
from inference.local.provider import LocalProvider
from tests.inference.slow import SlowRuntime


class PacedRuntime(SlowRuntime):
    def answer(
        self, items: Sequence[Item], parameters: GenerationParameters, *, batch_size: int | None = None
    ) -> list[ItemAnswer | ItemFailure]:
        began = time.monotonic()
        while time.monotonic() - began < float((environment.home() / "pace").read_text() or 0):
            time.sleep(0.05)
        return super().answer(items, parameters, batch_size=batch_size)


class PacedProviders(ProvidersResource):
    def open(self, catalog: Catalog) -> Providers:
        folder = environment.local_call_store()
        return Providers(
            catalog,
            {"local": lambda _: LocalProvider(folder, load=lambda _: PacedRuntime(), batch_size=1)},
        )


@dg.definitions
def definitions() -> dg.Definitions:
    return build_definitions(providers=PacedProviders())
