"""A study as a value: its stored words, what its fields take, its looks and its hash."""

import json
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from beacon_pipeline.catalog.study import (
    Asked,
    AskedModel,
    Assumptions,
    Claim,
    Contrast,
    Labeller,
    Outcome,
    Parameters,
    Population,
    Probes,
    Study,
    Texts,
)
from beacon_pipeline.ledger.records import Cell
from inference.contract import GenerationParameters

PLAN: dict[str, Any] = {
    "id": "s",
    "models": ("m", "n"),
    "regions": ("us", "eu"),
    "questions": ("q",),
    "arms": ("regional",),
    "prompts": {},
    "blocks": 6,
    "samples": 1,
    "looks": (3, 2, 1),
    "asked": Asked(
        questions={"q": "Où?"},
        system_prompts={"us": "a", "eu": "b"},
        models={"m": AskedModel(source={"revision": "r"}, parameters=GenerationParameters(max_new_tokens=8))},
    ),
}
CLAIM: dict[str, Any] = {
    "id": "c",
    "contrast": Contrast.PROMPT,
    "outcome": Outcome.REFUSAL,
    "model": "m",
    "regions": ("us",),
}


@pytest.mark.parametrize(
    ("words", "stored"),
    [
        (Contrast, "prompt deployment interaction models languages computation"),
        (Outcome, "refusal evasive complete empty text"),
        (Population, "these like_these"),
    ],
)
def test_what_is_hashed_keeps_its_words(words: type[Contrast], stored: str) -> None:
    assert [word.value for word in words] == stored.split()


def test_what_is_not_given_has_its_default() -> None:
    study = Study(**PLAN)
    kept = json.loads(study.content)
    assert {name: kept[name] for name in kept if name not in PLAN} == {
        "title": "",
        "probes": {"greedy": 0, "shared": 0},
        "parameters": {"temperature": None, "top_p": None, "max_new_tokens": None},
        "labellers": [{"method": "rules", "model": None, "version": None}],
        "correction": "holm",
        "texts": {"kernel": "edit", "characters": 1000},
        "fresh_start": True,
        "assumptions": {"base_rate": 0.3, "call_effect": 0.25},
        "claims": [],
        "exploratory": [],
    }
    assert (study.version, study.seed, study.registered) == (1, None, None)
    assert Claim(**CLAIM).model_dump(mode="json", exclude=set(CLAIM)) == {
        "other_model": None,
        "arms": [],
        "population": "these",
        "delta": None,
        "level": 0.05,
        "planned": True,
        "test": "",
    }


# A field, the outermost values that it takes, and those that it does not.
BOUNDS: list[tuple[type[BaseModel], dict[str, Any], str, list[Any], list[Any]]] = [
    (Claim, CLAIM, "id", ["a", "a" * 300, "0._-"], ["", "a" * 301, "A", "-a"]),
    (Claim, CLAIM, "delta", [0.01, 0.99], [0.0, 1.0]),
    (Claim, CLAIM, "level", [0.001, 0.5], [0.0, 0.51]),
    (Claim, CLAIM, "surprise", [], [1]),
    (Probes, {}, "greedy", [0, 1], [2]),
    (Probes, {}, "shared", [0, 1000], [-1, 1001]),
    (Parameters, {}, "temperature", [0.0], [-0.1]),
    (Parameters, {}, "top_p", [0.01, 1.0], [0.0, 1.01]),
    (Parameters, {}, "max_new_tokens", [1], [0]),
    (Texts, {}, "characters", [1, 100_000], [0, 100_001]),
    (Texts, {}, "kernel", ["edit"], ["words"]),
    (Assumptions, {}, "base_rate", [0.01, 0.99], [0.0, 1.0]),
    (Assumptions, {}, "call_effect", [0.0, 5.0], [-0.1, 5.1]),
    (Labeller, {}, "method", ["rules", "judge", "people"], ["dice"]),
    (Study, PLAN, "version", [1], [0]),
    (Study, PLAN, "blocks", [1, 10_000], [0, 10_001]),
    (Study, PLAN, "samples", [1, 10_000], [0, 10_001, "1"]),
    (Study, PLAN, "looks", [(1,)], [(0,)]),
    (Study, PLAN, "correction", ["holm"], ["none"]),
    (Study, PLAN, "registered", ["self", "outside", None], ["nowhere"]),
]


@pytest.mark.parametrize(("kind", "rest", "field", "taken", "refused"), BOUNDS)
def test_where_a_field_ends(
    kind: type[BaseModel], rest: dict[str, Any], field: str, taken: list[Any], refused: list[Any]
) -> None:
    for value in taken:
        kind(**rest | {field: value})
    for value in refused:
        with pytest.raises(ValidationError):
            kind(**rest | {field: value})


def test_a_study_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Study(**PLAN).samples = 2  # type: ignore[misc]


def test_each_look_adds_its_blocks() -> None:
    study = Study(**PLAN)
    assert [study.blocks_of(look) for look in (1, 2, 3)] == [(1, 2, 3), (4, 5), (6,)]
    assert study.cells == tuple(
        Cell(*one, "q") for one in (("eu", "m"), ("eu", "n"), ("us", "m"), ("us", "n"))
    )


def test_the_content_is_canonical_and_what_registration_adds_is_no_part_of_it() -> None:
    study = Study(**PLAN)
    assert study.content.startswith('{"arms":["regional"],"asked":{"models":{"m":{"parameters":')
    assert '"O\\u00f9?"' in study.content
    assert not {"version", "seed", "registered"} & set(json.loads(study.content))
    again = Study.on_record(study.content, 3, "ab" * 32, "outside")
    assert (again.version, again.seed, again.registered) == (3, "ab" * 32, "outside")
    assert (again.content, again.hash) == (study.content, study.hash)
    assert len(study.hash) == 64
    assert study.hash != Study(**PLAN | {"title": "x"}).hash
