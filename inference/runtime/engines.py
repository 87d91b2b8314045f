"""Which runtime a model's engine is."""

from __future__ import annotations

from pathlib import Path

from inference.contract import ModelSource
from inference.runtime.chat_runtime import Runtime


def load_runtime(source: ModelSource, *, device: str = "cpu", cache_dir: Path | None = None) -> Runtime:
    """The model in the engine that it names. ``device`` is "cpu" or "cuda". Raises ModelUnavailable."""
    if source.engine == "vllm":
        from inference.runtime.vllm import VllmRuntime

        return VllmRuntime(source, device=device, cache_dir=cache_dir)
    from inference.runtime.transformers import TransformersRuntime

    return TransformersRuntime(source, device=device, cache_dir=cache_dir)
