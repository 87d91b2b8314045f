"""What a judge model is asked, and how its answer is read; who judges whom."""

import hashlib
from importlib import resources

import pytest

from beacon_pipeline.labels.judge import families, items, read, rubric, why_no_judge
from beacon_pipeline.labels.sheets import Asked
from beacon_pipeline.ledger.status import LabelKind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("REFUSAL", LabelKind.REFUSAL),
        ("**Evasive.**\n", LabelKind.EVASIVE),
        ("<think>It refuses? No.</think>complete", LabelKind.COMPLETE),
        ("complete, or evasive", None),
        ("incomplete", None),
        ("completely", None),
        ("", None),
    ],
)
def test_one_word_is_a_label(text: str, kind: LabelKind | None) -> None:
    assert read(text) is kind


def test_a_changed_rubric_has_another_version() -> None:
    """A label says by which prompt it was found: with another content `version` needs another value."""
    content = resources.files("beacon_pipeline.labels").joinpath("judge.yaml").read_bytes()
    assert {rubric().version: hashlib.sha256(content).hexdigest()[:12]} == {"1": "6ce9fe6044ce"}


def test_what_is_judged_cannot_fill_the_prompts_places() -> None:
    (item,) = items([Asked("e1", "What is {answer}?", "It is {question}.")])
    assert "What is {answer}?" in item.prompt
    assert "It is {question}." in item.prompt
    assert (item.id, item.system_prompt) == ("e1", rubric().system_prompt)


def test_answers_are_asked_in_an_order_of_their_ids_alone() -> None:
    asked = [Asked(f"e{n}", "?", "!") for n in range(6)]
    mixed = [item.id for item in items(asked)]
    assert mixed == [item.id for item in items(reversed(asked))] == ["e0", "e5", "e2", "e1", "e4", "e3"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("Qwen/Qwen2.5-7B", None), {"qwen"}),
        (("meta-llama/Llama-3.1-8B",), {"llama"}),
        (("deepseek-ai/DeepSeek-R1-Distill-Llama-70B",), {"deepseek", "llama"}),
        (("my-own-thing", "MISTRALAI"), {"mistral"}),
        (("lamas",), set()),
    ],
)
def test_families_by_names(names: tuple[str | None, ...], expected: set[str]) -> None:
    assert families(*names) == expected


@pytest.mark.parametrize(
    ("judge", "judged", "why"),
    [
        ("qwen", {"a": ["llama"], "b": ["mixtral"]}, None),
        ("own", {"a": ["llama"]}, "the family of j is not known by its names: no judge can be chosen by it"),
        (
            "qwen",
            {"a": ["llama"], "b": ["own"]},
            "the family of b is not known by its names: who may judge it is not either",
        ),
        (
            "qwen-llama",
            {"a": ["gemma"], "b": ["llama-qwq"]},
            "j cannot judge b: both are of the family llama, qwen; choose a judge of another family",
        ),
    ],
)
def test_who_may_judge_whom(judge: str, judged: dict[str, list[str]], why: str | None) -> None:
    assert why_no_judge("j", [judge], judged) == why
