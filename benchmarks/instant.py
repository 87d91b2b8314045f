"""The code location on a provider that answers at once, for runs that Dagster's daemon launches."""

import dagster as dg

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.definitions import build_definitions
from beacon_pipeline.execution.providers import Providers
from beacon_pipeline.execution.resources import ProvidersResource
from tests.beacon_pipeline.scripted import Behaviour, ScriptedProvider


class Instant(ProvidersResource):
    """Every call has succeeded when it is first asked about."""

    def open(self, catalog: Catalog) -> Providers:
        return Providers(catalog, {"local": lambda _: ScriptedProvider([Behaviour()])})


@dg.definitions
def definitions() -> dg.Definitions:
    return build_definitions(providers=Instant())
