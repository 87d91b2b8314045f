"""A model is loaded in the engine that it names, or not at all."""

import importlib.util

import pytest

from inference.model_files import ModelUnavailable
from inference.runtime.engines import load_runtime
from inference.runtime.transformers import TransformersRuntime
from tests.inference.runtime.promises import WEIGHTS, source


def test_transformers_is_loaded_unless_another_engine_is_named() -> None:
    assert isinstance(load_runtime(source(WEIGHTS / "tiny-llama")), TransformersRuntime)


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed here")
def test_an_engine_that_is_not_installed_is_never_replaced_by_another() -> None:
    with pytest.raises(
        ModelUnavailable, match=r"its engine is vllm, which is not installed .*`provider: modal`"
    ):
        load_runtime(source(WEIGHTS / "tiny-llama", engine="vllm"))
