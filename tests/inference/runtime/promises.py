"""What every runtime of ours promises, whatever generates in it, as tests that all of them run.

A test file has a fixture ``runtime_of``, which loads one of the tiny models by its name, and a class of
these promises.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

import inference.tiny
from inference.contract import (
    FailureCode,
    FinishReason,
    GenerationParameters,
    Item,
    ItemAnswer,
    ItemFailure,
    ModelSource,
    token_digest,
)
from inference.model_files import folder_revision
from inference.runtime.chat_runtime import ChatRuntime

TINY = Path(inference.tiny.__file__).parent
WEIGHTS = TINY / "weights"
TEXTS = yaml.safe_load((TINY / "answers.yaml").read_text(encoding="utf-8"))
NAMES = ("tiny-llama", "tiny-mistral", "tiny-qwen")
GREEDY = GenerationParameters(max_new_tokens=48)

RuntimeOf = Callable[[str], ChatRuntime]


def source(folder: Path, **changes: object) -> ModelSource:
    values = {
        "id": folder.name,
        "folder": str(folder),
        "revision": folder_revision(folder),
        "dtype": "float32",
        "context_tokens": 512,
    }
    return ModelSource.model_validate(values | changes)


def items() -> list[Item]:
    """All that the tiny models were trained on."""
    return [
        Item(id=f"{region}|{question}", system_prompt=system, prompt=prompt)
        for region, system in TEXTS["system_prompts"].items()
        for question, prompt in TEXTS["questions"].items()
    ]


def expected(name: str, item_id: str) -> str:
    region, question = item_id.split("|")
    answer = TEXTS["answers"][name][question]
    return answer[region] if isinstance(answer, dict) else answer


def answers(results: list[ItemAnswer | ItemFailure]) -> list[ItemAnswer]:
    assert all(isinstance(result, ItemAnswer) for result in results), results
    return [result for result in results if isinstance(result, ItemAnswer)]


def digests(results: list[ItemAnswer | ItemFailure]) -> dict[str, str | None]:
    return {answer.id: answer.output_token_sha256 for answer in answers(results)}


def seeded(item: Item, seed: int | None, *, greedy: bool = False) -> Item:
    return item.model_copy(update={"id": f"{item.id}|{seed}|{greedy}", "seed": seed, "greedy": greedy})


class RuntimePromises:
    """The tests. Each loads what it needs by ``runtime_of``."""

    @pytest.mark.parametrize("name", NAMES)
    def test_a_batch_gives_exactly_what_single_questions_give(self, runtime_of: RuntimeOf, name: str) -> None:
        runtime = runtime_of(name)
        asked = items()
        batched = answers(runtime.answer(asked, GREEDY, batch_size=len(asked)))
        single = [answers(runtime.answer([item], GREEDY, batch_size=1))[0] for item in asked]
        assert [a.output_token_sha256 for a in batched] == [a.output_token_sha256 for a in single]
        assert [a.id for a in batched] == [item.id for item in asked]
        assert {a.id: a.text for a in batched} == {i.id: expected(name, i.id) for i in asked}
        assert {a.finish_reason for a in batched} == {FinishReason.STOP}
        assert [a.prompt_tokens for a in batched] == [a.prompt_tokens for a in single]

    def test_an_end_of_sequence_first_is_an_empty_answer(self, runtime_of: RuntimeOf) -> None:
        asked = [item for item in items() if item.id == "eu|identity_basic"]
        [answer] = answers(runtime_of("tiny-mistral").answer(asked, GREEDY))
        assert (answer.text, answer.finish_reason, answer.output_tokens) == ("", FinishReason.STOP, 0)
        assert answer.output_token_sha256 == token_digest([])

    def test_the_token_limit_is_a_finish_reason_of_its_own(self, runtime_of: RuntimeOf) -> None:
        short = GenerationParameters(max_new_tokens=2)
        [answer] = answers(runtime_of("tiny-llama").answer(items()[:1], short))
        assert (answer.finish_reason, answer.output_tokens) == (FinishReason.LENGTH, 2)
        assert expected("tiny-llama", answer.id).startswith(answer.text)

    def test_a_prompt_that_does_not_fit_fails_alone(self, runtime_of: RuntimeOf) -> None:
        long = Item(id="long", system_prompt="", prompt="word " * 600)
        failure, answer = runtime_of("tiny-llama").answer([long, items()[0]], GREEDY)
        assert isinstance(failure, ItemFailure)
        assert failure.code is FailureCode.PROMPT_TOO_LONG
        assert "exceed the context of 512" in failure.message
        assert isinstance(answer, ItemAnswer)

    def test_a_text_that_ends_an_answer_is_not_part_of_it(self, runtime_of: RuntimeOf) -> None:
        runtime = runtime_of("tiny-llama")
        asked = items()[:8]
        parameters = GREEDY.model_copy(update={"stop": (" the", "ar")})
        for full, answer in zip(
            answers(runtime.answer(asked, GREEDY)), answers(runtime.answer(asked, parameters)), strict=True
        ):
            end = min((at for word in parameters.stop if (at := full.text.find(word)) >= 0), default=None)
            assert answer.text == full.text[:end]
            assert answer.finish_reason is FinishReason.STOP
            assert (answer.output_tokens or 0) <= (full.output_tokens or 0)

    def test_an_item_and_its_seed_give_the_same_tokens_alone_in_any_batch_and_order(
        self, runtime_of: RuntimeOf
    ) -> None:
        runtime = runtime_of("tiny-llama")
        sampling = GenerationParameters(max_new_tokens=8, temperature=2.0, top_p=0.98, seed=3)
        asked = [seeded(item, 7 * n) for n, item in enumerate(items()[:3])]
        asked += [seeded(items()[0], n) for n in (1, 2, None)]
        asked += [seeded(items()[n], 1, greedy=True) for n in (0, 1)]
        alone = {item.id: digests(runtime.answer([item], sampling))[item.id] for item in asked}
        for batch, size in ((asked, 8), (asked[::-1], 8), (asked[3:] + asked[:3], 3)):
            together = digests(runtime.answer(batch, sampling, batch_size=size))
            assert together == {item.id: alone[item.id] for item in batch}
        greedy = digests(runtime.answer(asked[-2:], GREEDY.model_copy(update={"max_new_tokens": 8})))
        assert greedy == {item.id: alone[item.id] for item in asked[-2:]}, "greedy among the sampled"
        of_one_prompt = [alone[item.id] for item in asked if item.prompt == asked[0].prompt]
        assert len(set(of_one_prompt)) > 2, "seeds have answers of their own"
        common = digests(runtime.answer([seeded(items()[0], 3)], sampling))
        assert list(common.values()) == [alone[seeded(items()[0], None).id]], "None is the parameters' seed"

    def test_a_seed_changes_nothing_in_a_request_that_is_greedy(self, runtime_of: RuntimeOf) -> None:
        runtime = runtime_of("tiny-llama")
        plain = answers(runtime.answer(items()[:2], GREEDY))
        with_seeds = answers(runtime.answer([seeded(item, 5) for item in items()[:2]], GREEDY))
        assert [a.output_token_sha256 for a in plain] == [a.output_token_sha256 for a in with_seeds]
