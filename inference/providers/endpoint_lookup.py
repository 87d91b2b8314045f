"""Does an endpoint answer, and serve the model? ``GET /models``: host and key of inference, and free."""

from __future__ import annotations

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from inference.contract import NotConfigured
from inference.inspection import DeploymentState
from inference.providers.endpoint import Endpoint

LOOKUP_SECONDS = 10.0
LISTED_LIMIT = 5  # names of other models told


class _Listed(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    id: str


class _Models(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    data: list[_Listed]


async def look_up(client: httpx.AsyncClient, endpoint: Endpoint) -> DeploymentState:
    """What the endpoint says of its model.

    Only a refused key raises NotConfigured. Not every endpoint lists its models, or all of them: what
    it does not list may be served all the same, and is told as not known.
    """
    key = endpoint.api_key
    headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
    try:
        response = await client.get(f"{endpoint.base_url}/models", headers=headers, timeout=LOOKUP_SECONDS)
    except httpx.HTTPError as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        return DeploymentState(found=None, detail=f"{endpoint.place} cannot be asked: {reason}")
    if response.status_code in (401, 403):
        named = endpoint.api_key_variable or "no key is named in the catalog"
        raise NotConfigured(f"{endpoint.place} refuses the key ({named}): {response.status_code}")
    if not response.is_success:
        detail = f"{endpoint.place} answers, but lists no models: {response.status_code}"
        return DeploymentState(found=None, detail=detail)
    try:
        listed = [model.id for model in _Models.model_validate_json(response.content).data]
    except ValidationError:
        return DeploymentState(found=None, detail=f"{endpoint.place} answers, but not with a list of models")
    if endpoint.model in listed:
        return DeploymentState(found=True, settings={"endpoint": endpoint.place, "model": endpoint.model})
    others = ", ".join(sorted(listed)[:LISTED_LIMIT]) or "none"
    detail = f"{endpoint.place} does not list model {endpoint.model!r}; it lists {others}"
    return DeploymentState(found=None, detail=detail)
