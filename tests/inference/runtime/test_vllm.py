"""vLLM keeps what every runtime promises, and answers as transformers does. `make test-vllm` runs this."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from inference.contract import (
    Batching,
    FailureCode,
    GenerationParameters,
    ItemFailure,
)
from inference.model_files import ModelUnavailable
from inference.runtime.chat_runtime import DeviceLost
from inference.runtime.engines import load_runtime
from inference.runtime.transformers import TransformersRuntime
from inference.runtime.vllm import SAMPLER, VllmRuntime
from tests.inference.runtime.promises import (
    GREEDY,
    NAMES,
    WEIGHTS,
    RuntimeOf,
    RuntimePromises,
    answers,
    digests,
    items,
    source,
)

pytest.importorskip("vllm", reason="its own environment has it: make test-vllm")


@pytest.fixture(scope="module")
def runtime_of() -> Iterator[RuntimeOf]:
    """Loads a model where it is not the one that is loaded: a process has one engine."""
    loaded: dict[str, VllmRuntime] = {}

    def load(name: str) -> VllmRuntime:
        if name not in loaded:
            for other in loaded.values():
                other.close()
            loaded.clear()
            loaded[name] = VllmRuntime(source(WEIGHTS / name, engine="vllm"))
        return loaded[name]

    yield load
    for last in loaded.values():
        last.close()


class TestVllm(RuntimePromises):
    pass


@pytest.mark.parametrize("name", NAMES)
def test_it_answers_as_transformers_does(runtime_of: RuntimeOf, name: str) -> None:
    ours = TransformersRuntime(source(WEIGHTS / name)).answer(items(), GREEDY, batch_size=24)
    results = runtime_of(name).answer(items(), GREEDY)
    assert digests(results) == digests(ours)
    assert {answer.batching for answer in answers(results)} == {Batching.CONTINUOUS}
    assert [a.rendered_prompt for a in answers(results)] == [a.rendered_prompt for a in answers(ours)]


def test_what_it_does_not_take_fails_each_item_with_the_reason(runtime_of: RuntimeOf) -> None:
    hot = GenerationParameters(max_new_tokens=4, temperature=3.0)
    runtime = runtime_of("tiny-llama")
    asked = [items()[0], items()[1].model_copy(update={"greedy": True})]
    refused, greedy = runtime.answer(asked, hot)
    assert isinstance(refused, ItemFailure)
    assert refused.code is FailureCode.REJECTED
    assert "temperature" in refused.message
    assert answers([greedy])


def test_what_made_an_answer_is_on_record(runtime_of: RuntimeOf) -> None:
    provenance = runtime_of("tiny-llama").provenance(8)
    assert (provenance.engine, provenance.sampler, provenance.device) == ("vllm", SAMPLER, "cpu")
    assert (provenance.batch_size, provenance.batch_invariant) == (None, False)
    assert {"torch", "transformers"} < set(provenance.libraries)
    assert any(name.startswith("vllm") for name in provenance.libraries)
    ours = TransformersRuntime(source(WEIGHTS / "tiny-llama")).provenance(8)
    alike = {"model_revision", "weights_sha256", "tokenizer_sha256", "chat_template_sha256", "end_token_ids"}
    assert provenance.model_dump(include=alike) == ours.model_dump(include=alike)


def test_a_process_has_one_engine_of_it_for_the_device_it_was_built_for(runtime_of: RuntimeOf) -> None:
    runtime_of("tiny-llama")
    with pytest.raises(ModelUnavailable, match="has an engine of vLLM already"):
        load_runtime(source(WEIGHTS / "tiny-qwen", engine="vllm"))


def test_an_engine_that_breaks_off_says_nothing_of_its_items(
    runtime_of: RuntimeOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = runtime_of("tiny-llama")
    assert isinstance(runtime, VllmRuntime)

    def broken() -> None:
        raise RuntimeError("CUDA error: device-side assert triggered")

    with monkeypatch.context() as patched:
        patched.setattr(runtime._engine, "step", broken)
        with pytest.raises(DeviceLost, match="vLLM broke off: RuntimeError: CUDA error"):
            runtime.answer(items()[:2], GREEDY)
    assert answers(runtime.answer(items()[:2], GREEDY))
