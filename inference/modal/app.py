"""The Modal app: two classes for each model in each region, as the manifest says.

    INFERENCE_DEPLOYMENTS=deployments.json modal deploy -m inference.modal.app

`beacon deploy` writes the manifest from the catalog and does that. Modal imports this module again
in every container, where it declares the deployment that the container is of.

The second class is for requests with ``fresh_start``: Modal ends its containers after one call
(``single_use_containers``), so each call has a cold start, with the weights loaded anew, and pays for
that, and for no idle time afterwards. A class that no one asks costs nothing. A `modal.parameter` that
differs with each call would do as much, and make a new function at Modal for every call; an option of
the call (``with_options``) there is none.

The classes are made in a loop, for `with_options` on a single class would leave them without names
of their own and takes no list of GPUs. There is no ``from __future__ import annotations`` here:
Modal reads the annotations of what it decorates.
"""

import sys
from pathlib import Path, PurePosixPath
from typing import Any

import modal
import modal.experimental

from inference.modal.server import ModelServer, load_model
from inference.modal.spec import (
    APP_NAME,
    CACHE_VOLUME,
    OWN_SPEC_VARIABLE,
    REGISTER_NAME,
    WEIGHTS_VOLUME,
    DeploymentSpec,
    class_name,
    declared_deployments,
    fresh_class_name,
    requirements,
)
from inference.runtime.chat_runtime import DeviceLost

WEIGHTS_FOLDER = Path("/weights")
CACHE_FOLDER = Path("/cache")
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"

# vLLM compiles kernels as it starts (FlashInfer, Triton), eager too: it needs CUDA's compiler, of the version
# that its torch is made for, and keeps what it compiled where these say.
CUDA_IMAGE = "nvidia/cuda:13.0.3-devel-ubuntu22.04"
COMPILED = {
    "VLLM_CACHE_ROOT": f"{CACHE_FOLDER}/vllm",
    "TRITON_CACHE_DIR": f"{CACHE_FOLDER}/triton",
    "FLASHINFER_WORKSPACE_BASE": f"{CACHE_FOLDER}/flashinfer",
}

app = modal.App(APP_NAME)


def _base(spec: DeploymentSpec) -> modal.Image:
    if spec.source.engine == "vllm":
        return modal.Image.from_registry(CUDA_IMAGE, add_python=PYTHON).entrypoint([])
    return modal.Image.debian_slim(PYTHON)


def _image(spec: DeploymentSpec) -> modal.Image:
    """Of its engine, with the versions that are pinned for it."""
    image = _base(spec).uv_pip_install(*requirements(spec.source.engine))
    if spec.source.folder is not None:
        # At the path it has here, so that one source names the weights on both sides.
        image = image.add_local_dir(spec.source.folder, spec.source.folder)
    return image


def _environment(spec: DeploymentSpec) -> dict[str, str | None]:
    return {
        OWN_SPEC_VARIABLE: spec.model_dump_json(),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        # A snapshot is taken where there is no GPU: until it is restored, nothing may wake CUDA up,
        # and so the question whether there is one goes to the driver's management library.
        "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
        **(COMPILED if spec.source.engine == "vllm" else {}),
    }


def _volumes(spec: DeploymentSpec) -> dict[str | PurePosixPath, modal.Volume | modal.CloudBucketMount]:
    names = {}
    if spec.source.repository:
        names[WEIGHTS_FOLDER.as_posix()] = WEIGHTS_VOLUME
    if spec.source.engine == "vllm":
        names[CACHE_FOLDER.as_posix()] = CACHE_VOLUME
    return {path: modal.Volume.from_name(name, create_if_missing=True) for path, name in names.items()}


def _claim(request_id: str, call_id: str) -> str:
    """The call that owns a request. Modal's Dicts forget an entry a week after it was last used,
    as Modal forgets the results of calls."""
    register = modal.Dict.from_name(REGISTER_NAME, create_if_missing=True)
    if register.put(request_id, call_id, skip_if_exists=True):
        return call_id
    return str(register.get(request_id, call_id))


def _server_class(spec: DeploymentSpec, name: str) -> type:
    """A class of one deployment. Modal finds it by its name among this module's globals."""

    class Deployed:
        if not spec.gpu_snapshot:

            @modal.enter(snap=True)
            def import_libraries(self) -> None:
                """What takes seconds and needs no GPU: kept in Modal's snapshot of the container's memory.

                Of vLLM no more than what it stands on: it looks for its GPU while it is imported.
                """
                import torch  # noqa: F401
                import transformers  # noqa: F401

        @modal.enter(snap=spec.gpu_snapshot)
        def load(self) -> None:
            cache_dir = WEIGHTS_FOLDER if spec.source.repository else None
            self._server = ModelServer(spec, claim=_claim, load=lambda: load_model(spec, cache_dir))
            self._server.warm_up()

        @modal.method()
        def answer(self, request: dict[str, Any]) -> dict[str, Any]:
            """See `ModelServer.answer`."""
            call_id = modal.current_function_call_id()
            if call_id is None:
                raise RuntimeError("no call id: this runs as a call in a Modal container only")
            try:
                return self._server.answer(request, call_id)
            except DeviceLost:
                modal.experimental.stop_fetching_inputs()  # Modal tries again in another container
                raise

    Deployed.__name__ = Deployed.__qualname__ = name
    Deployed.__module__ = __name__
    return Deployed


def _declare(spec: DeploymentSpec, name: str, *, single_use: bool) -> None:
    declared = app.cls(
        image=_image(spec),
        env=_environment(spec),
        secrets=[modal.Secret.from_name(name) for name in spec.secrets],
        gpu=list(spec.gpu) or None,
        volumes=_volumes(spec),
        cpu=spec.cpu_cores,
        memory=spec.memory_mib,
        region=spec.placement,
        timeout=spec.timeout_seconds,
        startup_timeout=spec.startup_timeout_seconds,
        scaledown_window=spec.scaledown_window_seconds,
        max_containers=spec.max_containers,
        retries=modal.Retries(max_retries=spec.retries, initial_delay=1.0, backoff_coefficient=2.0),
        enable_memory_snapshot=True,
        experimental_options={"enable_gpu_snapshot": True} if spec.gpu_snapshot else None,
        single_use_containers=single_use,
    )(_server_class(spec, name))
    globals()[name] = declared


for declared_spec in declared_deployments():
    _declare(declared_spec, class_name(declared_spec.deployment), single_use=False)
    _declare(declared_spec, fresh_class_name(declared_spec.deployment), single_use=True)
