"""The production catalog's models and more, by shape: they load, batches change nothing, the prompt is
what was meant, and thoughts are no answers."""

import json
import shutil
import time
from datetime import date
from pathlib import Path

import pytest

import inference.tiny
from beacon_pipeline.catalog import load_catalog
from inference.contract import (
    Batching,
    FailureCode,
    FinishReason,
    GenerationParameters,
    Item,
    ItemAnswer,
    ItemFailure,
    ModelSource,
    text_digest,
)
from inference.model_files import folder_revision
from inference.runtime.transformers import ModelUnavailable, TransformersRuntime
from tests.inference.families import CHATML, FAMILIES, LLAMA, QUESTION, SYSTEM, Family, write_model

PARAMETERS = GenerationParameters(max_new_tokens=12, prompt_date=date(2026, 1, 31))
ASKED = [
    Item(id=f"item-{n}", system_prompt=SYSTEM, prompt=f"{QUESTION} {'Really? ' * n}".strip())
    for n in range(6)
]


def source(folder: Path, family: Family, **changes: object) -> ModelSource:
    values = {
        "id": family.name,
        "folder": str(folder),
        "revision": folder_revision(folder),
        "dtype": "float32",
        "context_tokens": 512,
        "attention": family.attention,
    }
    return ModelSource.model_validate(values | changes)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("families")
    return {family.name: write_model(family, root / family.name) for family in FAMILIES}


@pytest.fixture(params=FAMILIES, ids=lambda family: family.name)
def family(request: pytest.FixtureRequest) -> Family:
    shape: Family = request.param
    return shape


@pytest.fixture
def runtime(family: Family, folders: dict[str, Path]) -> TransformersRuntime:
    return TransformersRuntime(source(folders[family.name], family))


def saying(runtime: TransformersRuntime, text: str) -> None:
    """Let the model generate this text, and end it."""
    import torch

    ids = runtime._tokenizer(text, add_special_tokens=False)["input_ids"]

    def generate(**arguments: torch.Tensor) -> torch.Tensor:
        asked = arguments["input_ids"]
        row = torch.tensor([*ids, runtime._end_ids[0]])
        return torch.cat([asked, row.repeat(len(asked), 1)], dim=1)

    runtime._model.generate = generate


def test_the_families_are_those_of_the_production_catalog_and_five_more() -> None:
    of_the_catalog = {model.id.rpartition("-")[0] for model in load_catalog("production").models}
    assert of_the_catalog == {"llama3.2", "mistral", "qwen2.5"}
    assert len(FAMILIES) == 3 + 5


def test_a_batch_gives_what_single_questions_give(runtime: TransformersRuntime, family: Family) -> None:
    batched = runtime.answer(ASKED, PARAMETERS, batch_size=len(ASKED))
    single = runtime.answer(ASKED, PARAMETERS, batch_size=1)
    for together, alone in zip(batched, single, strict=True):
        assert isinstance(together, ItemAnswer), together
        assert isinstance(alone, ItemAnswer), alone
        assert together.output_token_sha256 == alone.output_token_sha256
        assert (together.batching, together.batch_size) == (Batching.MICRO_BATCH, len(ASKED))
        assert alone.batch_size == 1
    folder = Path(str(runtime._source.folder))
    other = TransformersRuntime(source(folder, family, engine="transformers-continuous"))
    for together, changing in zip(batched, other.answer(ASKED, PARAMETERS), strict=True):
        assert isinstance(changing, ItemAnswer), changing
        assert isinstance(together, ItemAnswer)
        assert changing.output_token_sha256 == together.output_token_sha256
        assert (changing.batching, changing.batch_size) == (Batching.CONTINUOUS, None)
    provenance = runtime.provenance(8)
    assert provenance.attention == family.attention
    ends = [runtime._tokenizer.convert_tokens_to_ids(end) for end in family.ends]
    assert provenance.end_token_ids == tuple(sorted(ends))
    assert provenance.chat_template_sha256 == text_digest(family.template)


def test_the_prompt_is_what_was_meant_and_on_record(runtime: TransformersRuntime, family: Family) -> None:
    [answer] = runtime.answer([Item(id="a", system_prompt=SYSTEM, prompt=QUESTION)], PARAMETERS)
    assert isinstance(answer, ItemAnswer), answer
    assert answer.rendered_prompt == family.prompt
    assert answer.rendering == family.rendering
    assert answer.prompt_tokens == len(
        runtime._tokenizer(family.prompt, add_special_tokens=False)["input_ids"]
    )
    own = runtime.provenance(8).of_item(answer)
    assert (own.rendered_prompt_sha256, own.batch_size) == (text_digest(family.prompt), 1)
    [bare] = runtime.answer([Item(id="a", system_prompt="", prompt=QUESTION)], PARAMETERS)
    assert isinstance(bare, ItemAnswer), bare
    assert SYSTEM not in (bare.rendered_prompt or SYSTEM)


def test_thoughts_are_no_part_of_the_answer(runtime: TransformersRuntime, family: Family) -> None:
    saying(runtime, family.output)
    [answer] = runtime.answer([Item(id="a", system_prompt=SYSTEM, prompt=QUESTION)], PARAMETERS)
    assert isinstance(answer, ItemAnswer), answer
    assert (answer.text, answer.reasoning) == (family.answer, family.thoughts)
    assert not answer.reasoning_unfinished
    assert answer.finish_reason is FinishReason.STOP
    if family.thoughts is None:
        return
    saying(runtime, family.output[: family.output.index("who I am")])
    [cut_off] = runtime.answer([Item(id="a", system_prompt=SYSTEM, prompt=QUESTION)], PARAMETERS)
    assert isinstance(cut_off, ItemAnswer), cut_off
    assert (cut_off.text, cut_off.reasoning, cut_off.reasoning_unfinished) == ("", "They ask", True)


def test_an_architecture_without_the_pinned_attention_is_refused_with_the_way_out(
    folders: dict[str, Path],
) -> None:
    gpt_oss = next(family for family in FAMILIES if family.attention == "eager")
    with pytest.raises(ModelUnavailable, match=r"gpt-oss: .*: write `attention: eager` into models.yaml"):
        TransformersRuntime(source(folders["gpt-oss"], gpt_oss, attention="sdpa"))


@pytest.mark.parametrize("name", ["tiny-llama", "tiny-qwen"])
def test_padding_with_a_token_that_ends_answers_is_harmless(name: str, tmp_path: Path) -> None:
    """As Qwen's: on models that learnt to end, at different lengths."""
    trained = Path(inference.tiny.__file__).parent / "weights" / name
    shutil.copytree(trained, tmp_path / name)
    configuration = tmp_path / name / "tokenizer_config.json"
    configuration.write_text(json.dumps(json.loads(configuration.read_text()) | {"pad_token": "<|end|>"}))
    texts = []
    for folder in (trained, tmp_path / name):
        runtime = TransformersRuntime(source(folder, FAMILIES[0]))
        questions = load_catalog("demo").questions
        asked = [Item(id=q.id, system_prompt="", prompt=q.text) for q in questions]
        results = runtime.answer(asked, GenerationParameters(max_new_tokens=48))
        assert all(isinstance(r, ItemAnswer) and r.finish_reason is FinishReason.STOP for r in results)
        texts.append([r.text for r in results if isinstance(r, ItemAnswer)])
    assert texts[0] == texts[1]
    assert len({len(text) for text in texts[0]}) > 3


def with_template(folders: dict[str, Path], template: str) -> TransformersRuntime:
    runtime = TransformersRuntime(source(folders["qwen2.5"], FAMILIES[2]))
    runtime._template = type(runtime._template)(_Tokenizer(runtime._tokenizer, template))
    return runtime


class _Tokenizer:
    """A tokenizer with another template."""

    def __init__(self, tokenizer: object, template: str) -> None:
        self._tokenizer, self._template = tokenizer, template

    def get_chat_template(self) -> str:
        return self._template

    def __getattr__(self, name: str) -> object:
        return getattr(self._tokenizer, name)


@pytest.mark.parametrize(
    ("template", "code", "said"),
    [
        (
            "{{ raise_exception('only Latin letters') }}",
            FailureCode.GENERATION_ERROR,
            "the chat template raised: only Latin letters",
        ),
        ("{{ messages[0].content + 1 }}", FailureCode.GENERATION_ERROR, "the chat template raised: can only"),
        ("{% broken", FailureCode.GENERATION_ERROR, "the chat template raised: Encountered unknown tag"),
        (
            "{% for m in messages %}{% for part in m.content %}{{ part.text }}{% endfor %}{% endfor %}",
            FailureCode.REJECTED,
            "the chat template leaves out the system prompt",
        ),
        ("{{ messages[0].content }}", None, ""),
        ("{{ messages[-1].content[:12] }}", FailureCode.REJECTED, "the chat template leaves out"),
        ("{{ messages[-1].content | upper }}", FailureCode.REJECTED, "the chat template leaves out"),
    ],
)
def test_a_template_that_asks_something_else_fails_its_item_and_no_other(
    folders: dict[str, Path], template: str, code: FailureCode | None, said: str
) -> None:
    guarded = "{% if 'fine' in messages[-1].content %}" + CHATML + "{% else %}" + template + "{% endif %}"
    if "broken" in template:
        guarded = template
    runtime = with_template(folders, guarded)
    asked = [
        Item(id="a", system_prompt=SYSTEM, prompt=QUESTION),
        Item(id="b", system_prompt="", prompt="fine?"),
    ]
    first, second = runtime.answer(asked, PARAMETERS)
    assert isinstance(second, ItemFailure) is ("broken" in template)
    if code is None:
        assert isinstance(first, ItemAnswer)
        assert first.rendering == "system_in_question"
        return
    assert isinstance(first, ItemFailure)
    assert (first.code, first.message[: len(said)]) == (code, said)
    assert not first.code.retryable


def test_a_question_that_repeats_the_system_prompt_has_to_be_there_itself(folders: dict[str, Path]) -> None:
    runtime = with_template(folders, "{{ messages[0].content }}")
    [result] = runtime.answer([Item(id="a", system_prompt="Who are you? Say.", prompt=QUESTION)], PARAMETERS)
    assert isinstance(result, ItemAnswer)
    assert result.rendered_prompt == "Who are you? Say.\n\nWho are you?"


def test_template_arguments_and_dates_reach_the_template(folders: dict[str, Path]) -> None:
    qwen3 = TransformersRuntime(source(folders["qwen3"], FAMILIES[3]))
    item = Item(id="a", system_prompt=SYSTEM, prompt=QUESTION)
    quiet = PARAMETERS.model_copy(update={"template_arguments": {"enable_thinking": False}})
    saying(qwen3, "I am a model.")
    [answer] = qwen3.answer([item], quiet)
    assert isinstance(answer, ItemAnswer)
    assert (answer.rendered_prompt or "").endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert (answer.text, answer.reasoning, answer.reasoning_unfinished) == ("I am a model.", None, False)
    llama = TransformersRuntime(source(folders["llama-3.2"], FAMILIES[0]))
    for parameters, today in (
        (PARAMETERS, "Today: 31 Jan 2026"),
        (PARAMETERS.model_copy(update={"prompt_date": None}), f"Today: {time.strftime('%d %b %Y')}"),
        (
            PARAMETERS.model_copy(update={"template_arguments": {"date_string": "a fine day"}}),
            "Today: a fine day",
        ),
    ):
        [answer] = llama.answer([item], parameters)
        assert isinstance(answer, ItemAnswer)
        assert today in (answer.rendered_prompt or "")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("{{ strftime_now('%Y-%m-%d') }}", "2026-01-31"),
        ("{{ strftime_now('%B %-d, %Y (%A)') }}", "January 31, 2026 (Saturday)"),
        ("{% set form = '%d/%m' %}{{ strftime_now(form) }}", "31/01"),
        ("{{ strftime_now(format='%H:%M:%S') }}", "00:00:00"),
        ("{% macro today() %}{{ strftime_now('%j') }}{% endmacro %}{{ today() }}", "031"),
        ("{% set date_string = date_string or strftime_now('%Y') %}{{ date_string }}", "31 Jan 2026"),
        ("  {% if true %}x{% endif %}", "x"),
    ],
)
def test_every_way_to_write_the_date_is_pinned(folders: dict[str, Path], written: str, expected: str) -> None:
    runtime = with_template(folders, written + "|{% for m in messages %}{{ m.content }}{% endfor %}")
    [answer] = runtime.answer([Item(id="a", system_prompt=SYSTEM, prompt=QUESTION)], PARAMETERS)
    assert isinstance(answer, ItemAnswer), answer
    assert (answer.rendered_prompt or "").partition("|")[0] == expected


def test_pinning_the_date_changes_nothing_else(folders: dict[str, Path]) -> None:
    for family in FAMILIES:
        template = family.template.replace('strftime_now("%Y-%m-%d")', "'today'").replace(LLAMA, CHATML)
        rendered = []
        for day in (None, date(2026, 1, 31)):
            runtime = with_template(folders, template)
            parameters = PARAMETERS.model_copy(update={"prompt_date": day, "max_new_tokens": 1})
            [answer] = runtime.answer([Item(id="a", system_prompt=SYSTEM, prompt=QUESTION)], parameters)
            assert isinstance(answer, ItemAnswer), answer
            rendered.append(answer.rendered_prompt)
        assert rendered[0] == rendered[1]
