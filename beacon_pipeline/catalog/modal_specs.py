"""What of the catalog is to be deployed to Modal, as the values that the Modal app is made of."""

from __future__ import annotations

from collections.abc import Sequence

from beacon_pipeline.catalog import Catalog, Model, ProviderName, Region
from inference.contract import Deployment
from inference.modal.spec import DeploymentSpec


def modal_deployments(catalog: Catalog) -> tuple[DeploymentSpec, ...]:
    """One spec for each region of each model that Modal serves."""
    served = [model for model in catalog.models if model.provider is ProviderName.MODAL]
    return tuple(
        _spec(catalog, region, model)
        for region in catalog.regions
        for model in served
        if region.id in catalog.regions_of(model)
    )


def secrets_of(specs: Sequence[DeploymentSpec]) -> list[str]:
    """The names of the secrets that these deployments need, each once."""
    return sorted({name for spec in specs for name in spec.secrets})


def _spec(catalog: Catalog, region: Region, model: Model) -> DeploymentSpec:
    return DeploymentSpec(
        deployment=Deployment(region=region.id, model=model.id),
        source=catalog.source(model, region.id),
        placement=region.placement,
        gpu=model.gpu,
        cpu_cores=model.cpu_cores,
        memory_mib=model.memory_mib,
        timeout_seconds=model.timeout_seconds,
        startup_timeout_seconds=model.startup_timeout_seconds,
        scaledown_window_seconds=model.scaledown_window_seconds,
        max_containers=region.max_containers,
        retries=model.retries,
        gpu_snapshot=model.gpu_snapshot,
        secrets=model.secrets,
    )
