"""Generation by transformers on small models: exact, and steered by nothing we did not say."""

import functools
import hashlib
import json
import shutil
from pathlib import Path

import pytest

from inference.contract import (
    Batching,
    FailureCode,
    FinishReason,
    GenerationParameters,
    Item,
    ItemAnswer,
    ItemFailure,
    ModelSource,
)
from inference.model_files import folder_revision, weight_files
from inference.runtime.transformers import DeviceLost, ModelUnavailable, TransformersRuntime
from tests.inference.runtime.promises import (
    GREEDY,
    NAMES,
    TINY,
    WEIGHTS,
    RuntimeOf,
    RuntimePromises,
    answers,
    digests,
    expected,
    items,
    seeded,
    source,
)


@pytest.fixture(scope="module")
def runtime_of() -> RuntimeOf:
    return functools.cache(lambda name: TransformersRuntime(source(WEIGHTS / name)))


class TestTransformers(RuntimePromises):
    pass


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny-llama"
    shutil.copytree(WEIGHTS / "tiny-llama", folder)
    return folder


def test_a_repositorys_generation_config_has_no_say(copied: Path) -> None:
    clean = TransformersRuntime(source(copied))
    wanted = answers(clean.answer(items(), GREEDY))
    leaking = {
        "do_sample": True,
        "temperature": 5.0,
        "top_k": 3,
        "repetition_penalty": 9.0,
        "no_repeat_ngram_size": 1,
        "suppress_tokens": list(range(5, 300)),
        "forced_eos_token_id": 1,
        "min_new_tokens": 30,
        "max_length": 20,
        "num_beams": 4,
    }
    path = copied / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | leaking))
    got = answers(TransformersRuntime(source(copied)).answer(items(), GREEDY))
    assert [a.output_token_sha256 for a in got] == [a.output_token_sha256 for a in wanted]


def test_results_come_one_by_one_in_the_order_asked(copied: Path) -> None:
    runtime = TransformersRuntime(source(copied))
    seen: list[str] = []
    results = runtime.answer(items()[:5], GREEDY, batch_size=2, on_result=lambda r: seen.append(r.id))
    assert seen == [r.id for r in results] == [i.id for i in items()[:5]]


def test_provenance_says_what_made_the_answers(copied: Path) -> None:
    provenance = TransformersRuntime(source(copied)).provenance(8)
    for told, file in (
        (provenance.weights_sha256, "model.safetensors"),
        (provenance.tokenizer_sha256, "tokenizer.json"),
        (provenance.chat_template_sha256, "chat_template.jinja"),
    ):
        assert told == hashlib.sha256((copied / file).read_bytes()).hexdigest()
    assert provenance.model_revision == folder_revision(copied)
    assert (provenance.attention, provenance.end_token_ids) == ("sdpa", (1,))
    assert (provenance.cuda, provenance.driver) == (None, None)
    assert (provenance.dtype, provenance.device, provenance.batch_size) == ("float32", "cpu", 8)
    assert {"torch", "transformers"} <= set(provenance.libraries)


def test_other_weights_than_the_pinned_are_refused(copied: Path) -> None:
    with pytest.raises(ModelUnavailable, match="not the pinned 0000"):
        TransformersRuntime(source(copied, revision="0" * 64))


def test_pickled_weights_are_not_loaded(copied: Path) -> None:
    pinned = source(copied)
    (copied / "model.safetensors").rename(copied / "pytorch_model.bin")
    with pytest.raises(ModelUnavailable, match="no safetensors weights"):
        TransformersRuntime(pinned)


def test_a_model_without_a_chat_template_is_refused(copied: Path) -> None:
    (copied / "chat_template.jinja").unlink()
    with pytest.raises(ModelUnavailable, match="no chat template"):
        TransformersRuntime(source(copied))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    absent = ModelSource(
        id="absent", folder=str(tmp_path / "no"), revision="r", dtype="float32", context_tokens=8
    )
    with pytest.raises(ModelUnavailable, match="absent: no folder"):
        TransformersRuntime(absent)


def test_the_manifest_and_the_weights_agree() -> None:
    manifest = json.loads((TINY / "manifest.json").read_text(encoding="utf-8"))
    assert set(NAMES) < set(manifest), "and the models of the demo study"
    assert manifest == {folder.name: folder_revision(folder) for folder in WEIGHTS.iterdir()}
    files = [path for path in (TINY / "weights").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 6_000_000


@pytest.mark.parametrize("name", NAMES)
def test_continuous_batching_gives_exactly_what_a_batch_gives(name: str) -> None:
    asked = items()
    plain = TransformersRuntime(source(WEIGHTS / name))
    batched = answers(plain.answer(asked, GREEDY, batch_size=len(asked)))
    runtime = TransformersRuntime(source(WEIGHTS / name, engine="transformers-continuous"))
    told: list[str] = []
    continuous = answers(runtime.answer(asked, GREEDY, on_result=lambda result: told.append(result.id)))
    assert [a.id for a in continuous] == [i.id for i in asked]
    assert [a.output_token_sha256 for a in continuous] == [a.output_token_sha256 for a in batched]
    assert [(a.text, a.finish_reason, a.prompt_tokens) for a in continuous] == [
        (a.text, a.finish_reason, a.prompt_tokens) for a in batched
    ]
    assert sorted(told) == sorted(i.id for i in asked)
    assert runtime.provenance(8).engine == "transformers-continuous"
    assert runtime.provenance(8).batch_size is None


def test_continuous_batching_again_cut_short_and_between_samplings() -> None:
    plain = TransformersRuntime(source(WEIGHTS / "tiny-llama"))
    runtime = TransformersRuntime(source(WEIGHTS / "tiny-llama", engine="transformers-continuous"))
    asked = items()[:3]
    sampling = GenerationParameters(max_new_tokens=16, temperature=0.8, top_p=0.9, seed=3)
    for parameters in (GREEDY, sampling, GenerationParameters(max_new_tokens=4), GREEDY):
        got, wanted = answers(runtime.answer(asked, parameters)), answers(plain.answer(asked, parameters))
        assert [(a.output_token_sha256, a.finish_reason) for a in got] == [
            (a.output_token_sha256, a.finish_reason) for a in wanted
        ]
    mixed = [seeded(item, n, greedy=n == 1) for n, item in enumerate(asked)]
    assert digests(runtime.answer(mixed, sampling)) == digests(plain.answer(mixed, sampling))
    too_long = Item(id="long", system_prompt="", prompt="word " * 600)
    failed, answered = runtime.answer([too_long, asked[0]], GREEDY)
    assert isinstance(failed, ItemFailure)
    assert isinstance(answered, ItemAnswer)


@pytest.mark.parametrize("steps_that_fail", [{3}, set(range(3, 1000))])
def test_a_fault_in_continuous_batching_costs_no_answer_but_where_it_stays(steps_that_fail: set[int]) -> None:
    from torch.nn.modules.module import register_module_forward_pre_hook

    runtime = TransformersRuntime(source(WEIGHTS / "tiny-llama", engine="transformers-continuous"))
    asked = items()[:3]
    steps: list[object] = []

    def run_out_of_memory(module: object, _arguments: object) -> None:
        if type(module).__name__ == "LlamaModel":
            steps.append(module)
            if len(steps) in steps_that_fail:
                raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")

    hook = register_module_forward_pre_hook(run_out_of_memory)
    try:
        results = runtime.answer(asked, GREEDY)
    finally:
        hook.remove()
    if len(steps_that_fail) > 1:
        assert [(r.id, r.code) for r in results if isinstance(r, ItemFailure)] == [
            (item.id, FailureCode.OUT_OF_MEMORY) for item in asked
        ]
        results = runtime.answer(asked, GREEDY)
    assert [a.text for a in answers(results)] == [expected("tiny-llama", item.id) for item in asked]


def failing_on(runtime: TransformersRuntime, word: str, error: Exception) -> list[int]:
    """Let the model raise whenever a prompt with this word is in the batch; returns its batch sizes."""
    model, sizes = runtime._model, []
    generate = model.generate

    def raising(**arguments: object) -> object:
        ids = arguments["input_ids"]
        sizes.append(len(ids))
        if any(word in text for text in runtime._tokenizer.batch_decode(ids)):
            raise error
        return generate(**arguments)

    model.generate = raising
    return sizes


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RuntimeError("shapes cannot be multiplied"), FailureCode.GENERATION_ERROR),
        (TypeError("unexpected keyword"), FailureCode.GENERATION_ERROR),
        (ValueError("input length"), FailureCode.GENERATION_ERROR),
        (MemoryError(), FailureCode.OUT_OF_MEMORY),
        (RuntimeError("CUDA error: out of memory"), FailureCode.OUT_OF_MEMORY),
    ],
)
@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_an_item_that_cannot_be_generated_fails_alone_with_its_reason(
    error: Exception, code: FailureCode, temperature: float
) -> None:
    runtime = TransformersRuntime(source(WEIGHTS / "tiny-llama"))
    asked = [Item(id=f"item-{n}", system_prompt="", prompt=f"What is {n} times 8?") for n in range(6)]
    failing_on(runtime, "3 times", error)
    parameters = GenerationParameters(max_new_tokens=4, temperature=temperature)
    results = runtime.answer(asked, parameters, batch_size=6)
    [failure] = [result for result in results if isinstance(result, ItemFailure)]
    assert (failure.id, failure.code) == ("item-3", code)
    assert str(error) in failure.message
    assert type(error).__name__ in failure.message
    others = [result for result in results if isinstance(result, ItemAnswer)]
    assert {answer.batching for answer in others} == {Batching.DIVIDED}
    # 6 are asked as 3 and 3; those with the bad one as 1 and 2, and so on.
    assert {answer.batch_size for answer in others} == {2, 3}


def test_a_gpu_that_fails_says_nothing_of_its_items() -> None:
    import torch

    runtime = TransformersRuntime(source(WEIGHTS / "tiny-llama"))
    failing_on(runtime, "times", torch.AcceleratorError("CUDA error: device-side assert triggered"))
    with pytest.raises(DeviceLost, match="device-side assert"):
        runtime.answer([Item(id="a", system_prompt="", prompt="What is 7 times 8?")], GREEDY)


def test_a_text_that_ends_an_answer_is_not_part_of_it() -> None:
    runtime = TransformersRuntime(source(WEIGHTS / "tiny-llama"))
    continuous = TransformersRuntime(source(WEIGHTS / "tiny-llama", engine="transformers-continuous"))
    asked = items()[:8]
    whole = answers(runtime.answer(asked, GREEDY))
    parameters = GREEDY.model_copy(update={"stop": (" the", "ar")})
    cut = answers(runtime.answer(asked, parameters))
    for full, answer in zip(whole, cut, strict=True):
        end = min((at for word in parameters.stop if (at := full.text.find(word)) >= 0), default=None)
        assert answer.text == full.text[:end]
        assert answer.finish_reason is FinishReason.STOP
        assert (answer.output_tokens or 0) <= (full.output_tokens or 0)
    alone = [answers(runtime.answer([item], parameters))[0] for item in asked]
    for others in (alone, answers(continuous.answer(asked, parameters))):
        assert [a.output_token_sha256 for a in others] == [a.output_token_sha256 for a in cut]


@pytest.mark.parametrize(
    "change",
    [
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "tokenizer_config.json",
        "tokenizer.json",
    ],
)
def test_a_folders_revision_covers_all_that_makes_an_answer(copied: Path, change: str) -> None:
    pinned = source(copied)
    (copied / "README.md").write_text("notes change nothing")
    assert folder_revision(copied) == pinned.revision
    path = copied / change
    path.write_text(path.read_text() + "\n")
    with pytest.raises(ModelUnavailable, match=f"have revision {folder_revision(copied)}, not the pinned"):
        TransformersRuntime(pinned)


def test_a_context_beyond_the_models_own_is_refused(copied: Path) -> None:
    with pytest.raises(ModelUnavailable, match="context_tokens 513 is beyond the model's own 512: write"):
        TransformersRuntime(source(copied, context_tokens=513))


def test_weights_that_are_cut_off_are_refused_and_not_asked_for_again(copied: Path) -> None:
    weights = copied / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(ModelUnavailable, match="tiny-llama: SafetensorError"):
        TransformersRuntime(source(copied))


def test_weights_in_pieces_are_those_that_the_index_lists(copied: Path) -> None:
    whole = TransformersRuntime(source(copied))
    asked = items()[:3]
    wanted = answers(whole.answer(asked, GREEDY))
    whole._model.save_pretrained(copied / "pieces", max_shard_size="200KB")
    (copied / "model.safetensors").rename(copied / "consolidated.safetensors")
    for file in (copied / "pieces").glob("model*"):
        file.rename(copied / file.name)
    assert len(weight_files(copied)) > 1
    assert {file.name[:6] for file in weight_files(copied)} == {"model-"}
    pieces = TransformersRuntime(source(copied))
    assert [a.text for a in answers(pieces.answer(asked, GREEDY))] == [a.text for a in wanted]
    (copied / "consolidated.safetensors").rename(copied / "model.safetensors")
    assert [file.name for file in weight_files(copied)] == ["model.safetensors"]  # what is loaded
    (copied / "model.safetensors").unlink()
    weight_files(copied)[0].unlink()
    with pytest.raises(ModelUnavailable, match=r"model-00001-of-\d+\.safetensors missing"):
        weight_files(copied)
