"""Which object runs inference for a model: one provider for each name, made when first needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec

from beacon_pipeline import environment
from beacon_pipeline.catalog import Catalog, Model, ProviderName
from inference.contract import Deployment, NotConfigured, Provider

Factory = Callable[[Catalog], Provider]


class Providers:
    """Providers by name. They belong to the event loop that first uses them, and `async with` closes them."""

    def __init__(self, catalog: Catalog, factories: Mapping[str, Factory]) -> None:
        self._catalog = catalog
        self._factories = factories
        self._made: dict[str, Provider] = {}

    def for_model(self, model: Model) -> Provider:
        """The provider that serves a model. Raises NotConfigured."""
        return self.named(model.provider.value)

    def named(self, name: str) -> Provider:
        """The provider of this name, as a call on record has it. Raises NotConfigured."""
        if name not in self._made:
            if name not in self._factories:
                raise NotConfigured(f"no provider {name!r}: known are {', '.join(sorted(self._factories))}")
            self._made[name] = self._factories[name](self._catalog)
        return self._made[name]

    def is_durable(self, name: str) -> bool:
        """Whether this provider keeps calls when the process that made them is gone."""
        try:
            return self.named(name).durable
        except NotConfigured:
            return True  # nothing is known of it: so nothing is given up

    async def __aenter__(self) -> Providers:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Give back what the providers hold; calls go on."""
        for provider in self._made.values():
            await provider.close()
        self._made.clear()


def _local(_catalog: Catalog) -> Provider:
    if find_spec("torch") is None or find_spec("transformers") is None:
        raise NotConfigured(
            "models cannot run in this process, torch or transformers is not installed: "
            "pip install 'beacon-pipeline[local]', or choose a catalog whose models run elsewhere"
        )
    from inference.local.provider import LocalProvider

    return LocalProvider(environment.local_call_store())


def _modal(catalog: Catalog) -> Provider:
    try:
        from inference.modal.provider import ModalProvider
    except Exception as error:
        # The SDK reads its file of settings when it is imported; its exceptions cannot be imported then.
        if type(error).__module__ != "modal.exception":
            raise
        reason = " ".join(str(error).split())
        raise NotConfigured(f"the Modal settings of this machine cannot be used: {reason}") from error
    return ModalProvider(
        start_seconds={
            deployment: float(catalog.model(deployment.model).startup_timeout_seconds)
            for deployment in catalog.deployments()
        }
    )


def _http(catalog: Catalog) -> Provider:
    from inference.http.endpoint import Endpoint
    from inference.http.provider import HttpProvider

    return HttpProvider(
        {
            Deployment(region=region, model=model.id): Endpoint(
                base_url=url,
                model=model.endpoint_model or "",  # the catalog has one, or it was refused
                model_aliases=model.endpoint_model_aliases,
                style=model.endpoint_style,
                api_key=environment.secret(model.api_key_variable) if model.api_key_variable else None,
                api_key_variable=model.api_key_variable,
                region_header=model.region_header,
                timeout_seconds=model.timeout_seconds,
            )
            for model in catalog.models
            if model.provider is ProviderName.HTTP
            for region, url in model.endpoints.items()
        }
    )


SHIPPED: Mapping[str, Factory] = {
    ProviderName.LOCAL.value: _local,
    ProviderName.MODAL.value: _modal,
    ProviderName.HTTP.value: _http,
}
