"""Which claims a study can make: every contrast with what it takes, and every refusal with its place."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest

from beacon_pipeline.catalog import load_catalog
from beacon_pipeline.catalog.claims import SHAPES, ClaimError, expanded
from beacon_pipeline.catalog.study import Claim, Contrast, Outcome, Population, Probes, Study, judged_by
from beacon_pipeline.catalog.study_file import read_study

FILE = """
id: demo
models: [tiny-qwen, tiny-llama, tiny-mistral]
regions: [us, eu]
questions: [taiwan_status, math_basic, hongkong_2019, geography_basic]
arms: [regional, neutral, as-eu]
samples: 2
looks: [6]
probes: {shared: 1}
parameters: {temperature: 1.0}
"""


# In which language a question is, and of which it is the translation.
LANGUAGES = {
    "taiwan_status": ("en", "taiwan_status"),
    "math_basic": ("zh-hans", "taiwan_status"),
    "hongkong_2019": ("en", "hongkong_2019"),
    "other": ("fr", "hongkong_2019"),
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    path: Path = tmp_path_factory.mktemp("study") / "s.yaml"
    path.write_text(FILE)
    return read_study(path, load_catalog("demo"))


def claims(study: Study, contrast: str, **given: Any) -> list[Claim]:
    named = ("models", "regions", "arms", "outcome", "delta", "test", "correction", "languages")
    written: dict[str, Any] = dict.fromkeys(named)
    written |= {"id": "c", "contrast": contrast, "population": Population.THESE, "level": 0.05}
    return expanded(written | given, study, planned=True, languages=LANGUAGES)


def test_how_many_of_each_a_contrast_is_about() -> None:
    assert {contrast.value: shape for contrast, shape in SHAPES.items()} == {
        "prompt": (1, 1, 2),
        "deployment": (1, 2, 1),
        "interaction": (1, 2, 2),
        "models": (2, 1, 1),
        "languages": (1, 1, 1),
        "computation": (1, 2, 0),
    }


def test_without_names_a_claim_stands_for_every_one_or_pair(study: Study) -> None:
    found = claims(study, "models", arms=["neutral"], delta=0.1, level=0.01)
    pairs = [("tiny-qwen", "tiny-llama"), ("tiny-qwen", "tiny-mistral"), ("tiny-llama", "tiny-mistral")]
    assert [(one.id, one.model, one.other_model, one.regions) for one in found] == [
        (f"c.{first}-{second}.{region}", first, second, (region,))
        for (first, second), region in product(pairs, ("us", "eu"))
    ]
    assert {(one.delta, one.level, one.planned, one.arms) for one in found} == {
        (0.1, 0.01, True, ("neutral",))
    }
    assert {(one.languages, one.pairs) for one in found} == {((), ())}


def test_a_claim_has_behind_its_name_only_what_tells_it_from_the_others(study: Study) -> None:
    alone = claims(study, "prompt", models=["tiny-qwen"], regions=["us"], arms=["neutral", "regional"])
    assert [(one.id, one.other_model, one.arms) for one in alone] == [("c", None, ("neutral", "regional"))]
    several = claims(study, "deployment", arms=["neutral"])
    assert [one.id for one in several] == ["c.tiny-qwen", "c.tiny-llama", "c.tiny-mistral"]
    (turned,) = claims(study, "interaction", models=["tiny-qwen"], regions=["eu", "us"], arms=TWO[::-1])
    assert (turned.id, turned.regions, turned.arms) == ("c", ("eu", "us"), ("as-eu", "neutral"))


TWO = ["neutral", "as-eu"]


@pytest.mark.parametrize(
    ("contrast", "given", "at", "text"),
    [
        (
            "models",
            {"models": ["x"], "arms": ["neutral"]},
            ("models",),
            "'x' is not among the study's models: ",
        ),
        (
            *("models", {"models": ["x"], "arms": ["neutral"]}, ("models",)),
            "tiny-qwen, tiny-llama, tiny-mistral",
        ),
        (
            *("models", {"models": ["tiny-qwen"] * 2, "arms": ["neutral"]}, ("models",)),
            "'tiny-qwen' is given twice",
        ),
        (
            *("models", {"models": ["tiny-qwen"], "arms": ["neutral"]}, ("models",)),
            "needs 2 models, and there is 1",
        ),
        ("deployment", {"regions": ["mars"], "arms": ["neutral"]}, ("regions",), "'mars' is not among"),
        ("deployment", {"regions": [], "arms": ["neutral"]}, ("regions",), "needs 2 regions, and there is 0"),
        ("deployment", {"arms": TWO}, ("arms",), "'deployment' takes 1 of the study's arms"),
        ("prompt", {}, ("arms",), "'prompt' takes 2 of the study's arms"),
        (
            "prompt",
            {"arms": ["neutral", "x"]},
            ("arms",),
            "'x' is not among the study's arms: regional",
        ),
        ("prompt", {"arms": ["neutral"] * 2}, ("arms",), "'neutral' is given twice"),
        (
            *("prompt", {"arms": ["regional", "as-eu"]}, ("arms",)),
            "arms 'regional' and 'as-eu' have the same system prompt in eu",
        ),
        (
            "deployment",
            {"arms": ["regional"]},
            ("arms",),
            "in arm 'regional' every region has",
        ),
        ("interaction", {"arms": ["neutral", "regional"]}, ("arms",), "in arm 'regional' every region"),
        ("computation", {"arms": ["neutral"]}, ("arms",), "takes no 'arms': it is about the probes"),
        ("computation", {"outcome": Outcome.EMPTY}, ("outcome",), "compares the probes' texts: leave it out"),
        ("models", {"outcome": Outcome.TEXT, "arms": ["neutral"]}, ("outcome",), "'models' compares rates"),
        ("interaction", {"outcome": Outcome.TEXT, "arms": TWO}, ("outcome",), "'interaction' compares rates"),
        ("prompt", {"test": "chi2", "arms": TWO}, ("test",), "is judged by 'exact stratified': write that"),
    ],
)
def test_a_claim_that_cannot_be_made_is_refused_where_it_is_wrong(
    study: Study, contrast: str, given: dict[str, Any], at: tuple[str, ...], text: str
) -> None:
    with pytest.raises(ClaimError) as refused:
        claims(study, contrast, **given)
    assert refused.value.at == at
    assert text in str(refused.value)


def test_the_regional_arm_is_a_side_where_regions_are_not_compared(study: Study) -> None:
    assert claims(study, "models", arms=["regional"])
    found = claims(study, "prompt", regions=["us"], models=["tiny-qwen"], arms=["regional", "as-eu"])
    assert len(found) == 1, "in another region as-eu is another prompt"


@pytest.mark.parametrize("probes", [Probes(greedy=1), Probes(shared=1), Probes(greedy=1, shared=1)])
def test_a_computation_is_compared_by_probes(study: Study, probes: Probes) -> None:
    (claim, *_) = claims(study.model_copy(update={"probes": probes}), "computation", outcome=Outcome.TEXT)
    assert (claim.outcome, claim.test, claim.arms) == (Outcome.TEXT, "whole calls permuted", ())
    with pytest.raises(ClaimError, match="needs probes") as refused:
        claims(study.model_copy(update={"probes": Probes()}), "computation")
    assert refused.value.at == ()


def test_the_outcome_is_refusals_unless_it_is_given(study: Study) -> None:
    for contrast, arms in (("prompt", TWO), ("deployment", ["neutral"]), ("models", ["neutral"])):
        assert {one.outcome for one in claims(study, contrast, arms=arms)} == {Outcome.REFUSAL}
    for contrast, arms in (("prompt", TWO), ("deployment", ["neutral"])):
        assert {one.outcome for one in claims(study, contrast, arms=arms, outcome=Outcome.TEXT)} == {
            Outcome.TEXT
        }
    (claim, *_) = claims(study, "models", arms=["neutral"], outcome=Outcome.EMPTY, test="prediction-powered")
    assert (claim.outcome, claim.test) == (Outcome.EMPTY, "prediction-powered")


# By contrast: the test of rates over these questions, of rates over questions like these, and of texts.
TESTS = {
    "prompt": ("exact stratified", "t over questions", "MMD, samples permuted"),
    "deployment": ("sign flips over blocks", "t over questions", "MMD, blocks flipped"),
    "interaction": ("sign flips over blocks", "t over questions", "MMD, blocks flipped"),
    "models": ("prediction-powered",) * 3,
    "languages": ("prediction-powered",) * 3,
    "computation": ("whole calls permuted",) * 3,
}


@pytest.mark.parametrize("contrast", TESTS)
def test_each_contrast_is_judged_by_one_test(contrast: str) -> None:
    these, like_these, texts = TESTS[contrast]
    for outcome, population in product(Outcome, Population):
        rates = these if population is Population.THESE else like_these
        expected = texts if outcome is Outcome.TEXT else rates
        if contrast == "languages" and outcome is Outcome.EMPTY:
            expected = "exact stratified" if population is Population.THESE else "t over questions"
        assert judged_by(Contrast(contrast), outcome, population) == expected


def test_languages_are_compared_by_the_questions_that_are_in_both(study: Study) -> None:
    found = claims(study, "languages", arms=["neutral"], languages=["zh-hans", "en"], regions=["us"])
    assert [(one.id, one.regions) for one in found] == [
        (f"c.{model}", ("us",)) for model in ("tiny-qwen", "tiny-llama", "tiny-mistral")
    ]
    assert {(one.languages, one.pairs) for one in found} == {
        (("zh-hans", "en"), (("math_basic", "taiwan_status"),))
    }


@pytest.mark.parametrize(
    ("contrast", "languages", "text"),
    [
        ("prompt", ["en", "fr"], "contrast 'prompt' takes no 'languages'"),
        ("languages", None, "contrast 'languages' takes two"),
        ("languages", ["en"], "contrast 'languages' takes two"),
        ("languages", ["en", "en"], "contrast 'languages' takes two"),
        ("languages", ["en", "zh-hans", "fr"], "contrast 'languages' takes two"),
        ("languages", ["en", "fr"], "in both en and fr (languages of its questions: en, zh-hans)"),
    ],
)
def test_languages_that_cannot_be_compared(
    study: Study, contrast: str, languages: list[str] | None, text: str
) -> None:
    arms = TWO if contrast == "prompt" else ["neutral"]
    with pytest.raises(ClaimError) as refused:
        claims(study, contrast, arms=arms, languages=languages)
    assert refused.value.at == ("languages",)
    assert text in str(refused.value)


def test_a_study_whose_questions_have_no_language(study: Study) -> None:
    alone = study.model_copy(update={"questions": ("geography_basic",)})
    with pytest.raises(ClaimError, match="languages of its questions: none"):
        claims(alone, "languages", arms=["neutral"], languages=["zh-hans", "en"])
