"""Can these deployments be asked at all? Looked at before anything is recorded as dispatched."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import structlog

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.catalog.modal_specs import secrets_of
from beacon_pipeline.execution.providers import Providers
from beacon_pipeline.ledger.records import Cell, Execution
from beacon_pipeline.ledger.status import Status
from inference.contract import Deployment, NotConfigured, Provider
from inference.inspection import DeploymentState, Inspectable, Remote
from inference.modal.spec import DeploymentSpec

LOOKUPS_AT_ONCE = 16

log = structlog.get_logger()


def check_configured(catalog: Catalog, providers: Providers, deployments: Iterable[Deployment]) -> None:
    """Raises NotConfigured when a provider lacks what these deployments need. Makes no request."""
    for deployment in deployments:
        providers.for_model(catalog.model(deployment.model)).check_configured(deployment)


async def check_ready(catalog: Catalog, providers: Providers, deployments: Iterable[Deployment]) -> None:
    """Raises NotConfigured, with the way out, when a provider or a deployment is not there.

    A deployment that could not be looked up passes: that is found out, and waited for, on asking.
    """
    wanted = list(dict.fromkeys(deployments))
    check_configured(catalog, providers, wanted)
    slots = asyncio.Semaphore(LOOKUPS_AT_ONCE)

    async def look(deployment: Deployment) -> DeploymentState | None:
        provider = providers.for_model(catalog.model(deployment.model))
        if not isinstance(provider, Inspectable):
            return None
        async with slots:
            return await provider.inspect(deployment)

    found = await asyncio.gather(*(look(deployment) for deployment in wanted))
    states = [state for state in found if state is not None]
    for unseen in (state.detail for state in states if state.found is None):
        log.warning("a deployment may be away: it is asked all the same, and waited for", reason=unseen)
    missing = [state.detail for state in states if state.found is False]
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise NotConfigured(missing[0] + more)


async def check_deployable(provider: Provider, specs: Sequence[DeploymentSpec]) -> None:
    """Raises NotConfigured, with the way out, when deploying would fail for what is not there."""
    provider.check_configured()
    if not isinstance(provider, Remote):
        return
    try:
        if why := await provider.why_unreachable():
            raise NotConfigured(why)
        if missing := await provider.missing_secrets(secrets_of(specs)):
            raise NotConfigured("\n".join(missing))
    finally:
        await provider.close()


def deployments_to_ask(executions: Sequence[Execution]) -> list[Deployment]:
    """The deployments that may have to be asked for these executions.

    What is dispatched may have its answer already, whatever became of its deployment since.
    """
    settled_or_sent = (Status.COMPLETED, Status.DISPATCHED)
    return deployments_of([e.cell for e in executions if e.status not in settled_or_sent])


def deployments_of(cells: Iterable[Cell]) -> list[Deployment]:
    """The deployments of these cells, each once."""
    return list(dict.fromkeys(cell.deployment for cell in cells))
