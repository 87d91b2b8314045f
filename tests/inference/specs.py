"""Small deployments and requests for the tests of what runs on Modal."""

from inference.contract import Deployment, GenerationParameters, Item, ModelSource, Request
from inference.modal.spec import DeploymentSpec

REVISION = "a" * 64


def a_source(**changes: object) -> ModelSource:
    values: dict[str, object] = {
        "id": "tiny",
        "folder": "/models/tiny",
        "revision": REVISION,
        "dtype": "float32",
        "context_tokens": 64,
    }
    return ModelSource.model_validate(values | changes)


def a_spec(region: str = "eu", **changes: object) -> DeploymentSpec:
    values: dict[str, object] = {
        "deployment": Deployment(region=region, model="tiny"),
        "source": a_source(),
        "placement": region,
        "memory_mib": 1024,
        "timeout_seconds": 60,
        "startup_timeout_seconds": 60,
        "scaledown_window_seconds": 60,
        "max_containers": 2,
        "retries": 1,
    }
    return DeploymentSpec.model_validate(values | changes)


def a_request(
    region: str = "eu", model: str = "tiny", items: int = 2, id: str = "request-1", **source: object
) -> Request:
    return Request(
        id=id,
        deployment=Deployment(region=region, model=model),
        model=a_source(**source),
        parameters=GenerationParameters(max_new_tokens=8),
        items=tuple(Item(id=f"item-{n}", system_prompt="s", prompt=f"ask {n}") for n in range(items)),
    )
