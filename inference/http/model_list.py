"""Look an endpoint up without asking a model: what it lists under ``/models``."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from inference.contract import Deployment, NotConfigured
from inference.http.endpoint import Endpoint, EndpointStyle
from inference.http.transport import cause_of
from inference.inspection import DeploymentState

DEADLINE_SECONDS = 10.0
NAMED_MODELS = 5  # in a message
# Whose model a server says that it is. TGI names the model itself; gateways say what they like.
STYLE_OF_OWNER: Mapping[str, EndpointStyle] = {"vllm": "vllm", "sglang": "vllm", "llamacpp": "vllm"}
OPENAI_HOST = "api.openai.com"


class _Listed(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    id: str
    owned_by: str | None = None


class _List(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    data: list[_Listed]


async def look_up(client: httpx.AsyncClient, endpoint: Endpoint, deployment: Deployment) -> DeploymentState:
    """Whether the endpoint answers, takes the key, and lists the model.

    Raises NotConfigured when it refuses the key. An endpoint without a list is there all the same.
    """
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            response = await client.get(f"{endpoint.base_url}/models", headers=endpoint.headers)
    except TimeoutError:
        return _not_asked(deployment, f"{endpoint.place} did not answer within {DEADLINE_SECONDS:g} seconds")
    except httpx.TransportError as error:
        return _not_asked(deployment, f"{endpoint.place}: {endpoint.without_key(cause_of(error))}")
    if response.status_code in (401, 403):
        key = (
            f"the key in {endpoint.api_key_variable}"
            if endpoint.api_key_variable
            else "to answer without a key"
        )
        raise NotConfigured(f"{deployment}: {endpoint.place} refuses {key} ({response.status_code})")
    if response.status_code >= 500 or response.status_code == 429:
        return _not_asked(deployment, f"{endpoint.place} answered {response.status_code}")
    served = _served(response)
    if served is not None and endpoint.model not in served:
        listed = endpoint.without_key(", ".join(sorted(served)[:NAMED_MODELS])) or "no model"
        return DeploymentState(
            found=False,
            detail=f"{deployment}: {endpoint.place} lists {listed}, not {endpoint.model!r}: "
            "correct endpoint_model in models.yaml",
        )
    listed = "not reported" if served is None else "listed"
    settings = {"endpoint": endpoint.place, endpoint.model: listed}
    style = _style_of(endpoint, (served or {}).get(endpoint.model))
    if style in (None, endpoint.style):
        return DeploymentState(found=True, settings=settings)
    takes = f"{deployment}: {endpoint.place} takes the fields of the style {style!r}"
    detail = f"{takes}: correct endpoint_style in models.yaml"
    return DeploymentState(found=True, detail=detail, settings=settings)


def _served(response: httpx.Response) -> dict[str, str | None] | None:
    """The names that are listed, each with its owner; None where there is no list."""
    if not response.is_success:
        return None
    try:
        return {model.id: model.owned_by for model in _List.model_validate_json(response.content).data}
    except ValidationError:
        return None


def _style_of(endpoint: Endpoint, owner: str | None) -> EndpointStyle | None:
    """Which fields a server takes, as far as its list of models tells."""
    if urlsplit(endpoint.base_url).hostname == OPENAI_HOST:
        return "openai"
    return "tgi" if owner == endpoint.model else STYLE_OF_OWNER.get(owner or "")


def _not_asked(deployment: Deployment, reason: str) -> DeploymentState:
    return DeploymentState(found=None, detail=f"{deployment} could not be looked up: {reason}")
