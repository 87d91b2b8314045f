"""A code location on the local provider with a quick runtime, unreachable while a file says so."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg

from beacon_pipeline import settings
from beacon_pipeline.catalog import Catalog
from beacon_pipeline.definitions import build_definitions
from beacon_pipeline.providers import Providers
from beacon_pipeline.resources import ProvidersResource
from inference.contract import CallState, ProviderTruth, Reply, ReplyUnavailable, Request, SubmitUnknown
from inference.providers.local import LocalProvider
from tests.inference.slow import SlowRuntime

SECONDS_FOR_AN_ITEM = 0.05


def outage_file() -> Path:
    """While it exists, the provider cannot be reached."""
    return settings.home() / "unreachable"


class Unsteady(LocalProvider):
    """Accepts a call and loses its answer, or says nothing at all, while it is unreachable."""

    async def submit(self, request: Request) -> str:
        call_id = await super().submit(request)
        if outage_file().exists():
            raise SubmitUnknown("the connection was lost after the request was accepted")
        return call_id

    async def poll(self, call_id: str) -> CallState:
        if outage_file().exists():
            return CallState(truth=ProviderTruth.UNREACHABLE, detail="connection refused")
        return await super().poll(call_id)

    async def fetch(self, call_id: str, request: Request) -> Reply:
        if outage_file().exists():
            raise ReplyUnavailable("connection refused")
        return await super().fetch(call_id, request)


class UnsteadyProviders(ProvidersResource):
    def open(self, catalog: Catalog) -> Providers:
        make: Callable[[Catalog], Unsteady] = lambda _: Unsteady(  # noqa: E731
            settings.local_call_store(), load=lambda _: SlowRuntime(seconds=SECONDS_FOR_AN_ITEM)
        )
        return Providers(catalog, {"local": make})


@dg.definitions
def definitions() -> dg.Definitions:
    return build_definitions(providers=UnsteadyProviders())
