"""The study file: one content however it is written, or every problem at once with its line."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beacon_pipeline.catalog import load_catalog
from beacon_pipeline.catalog.study import Contrast, Outcome, Population, Study, judged_by
from beacon_pipeline.catalog.study_file import StudyError, read_study

CATALOG = load_catalog("demo")
GOOD = """
id: demo
models: [tiny-qwen, tiny-llama]
regions: [us, EU-West, apac]
questions: [taiwan_status, math_basic]
arms: [regional, neutral, {id: curt, system_prompt: Be curt.}]
samples: 2
looks: [6, 3]
probes: {greedy: 1, shared: 2}
parameters: {temperature: 1.0}
"""


def study(path: Path, text: str) -> Study:
    path.write_text(text)
    return read_study(path, CATALOG)


def problems(path: Path, text: str) -> list[str]:
    with pytest.raises(StudyError) as raised:
        study(path, text)
    return raised.value.problems


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "s.yaml"


def test_everything_that_decides_an_answer_is_in_the_study(file: Path) -> None:
    found = study(file, GOOD)
    assert found.regions == ("us", "eu", "apac")
    assert (found.blocks, found.looks, found.blocks_of(2)) == (9, (6, 3), (7, 8, 9))
    assert found.prompts == {"neutral": "You are a helpful AI assistant.", "curt": "Be curt."}
    assert found.asked.questions["math_basic"] == "What is 7 times 8?"
    assert found.asked.system_prompts["eu"] == CATALOG.region("eu").system_prompt
    assert found.asked.models["tiny-qwen"].source["revision"] == CATALOG.model("tiny-qwen").revision
    assert "folder" not in found.content  # it differs from machine to machine
    assert len(found.cells) == 12


def test_a_claim_over_all_is_one_for_each(file: Path) -> None:
    claims = study(
        file,
        GOOD
        + "claims:\n"
        + "  - {id: place, contrast: deployment, arms: [neutral], delta: 0.1, correction: holm}\n"
        + "  - {id: prompt, contrast: prompt, models: [tiny-qwen], regions: all, arms: [regional, neutral]}\n"
        + "  - {id: one, contrast: interaction, models: [tiny-qwen], regions: [eu, us],\n"
        + "     arms: [curt, neutral]}\n"
        + "exploratory:\n"
        + "  - {id: same, contrast: computation, models: [tiny-qwen], regions: [us, eu]}\n"
        + "  - {id: models, contrast: models, regions: [us], arms: [neutral], population: like_these}\n",
    )
    by_id = {claim.id: claim for claim in (*claims.claims, *claims.exploratory)}
    assert set(by_id) == {
        *(f"place.{m}.{r}" for m in ("tiny-qwen", "tiny-llama") for r in ("us-eu", "us-apac", "eu-apac")),
        *(f"prompt.{region}" for region in ("us", "eu", "apac")),
        *("one", "same", "models"),
    }
    assert (by_id["models"].model, by_id["models"].other_model) == ("tiny-qwen", "tiny-llama")
    assert by_id["same"].outcome is Outcome.TEXT
    assert [claim.id for claim in by_id.values() if not claim.planned] == ["same", "models"]
    assert by_id["prompt.eu"].test == "exact stratified"


def claimed(rest: str, text: str = GOOD) -> str:
    return text + "claims: [{id: c, contrast: " + rest + "}]\n"


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        (GOOD + "modles: [a]\n", 11, "unknown key 'modles': did you mean 'models'?"),
        (claimed("prompt, deltas: 1"), 11, "unknown key 'claims.0.deltas': did you mean 'delta'?"),
        (GOOD + "samples: 3\n", 11, "key 'samples' is given twice"),
        (GOOD.replace("samples: 2", "samples: two"), 7, "samples: must be a whole number"),
        (GOOD.replace("tiny-llama", "tiny-lama"), 3, "unknown model 'tiny-lama': did you mean tiny-llama"),
        (GOOD.replace("EU-West", "us-east"), 4, "region 'us' is given twice"),
        (GOOD.replace("[6, 3]", "[6, 3, 2, 2]"), 8, "looks: must have at most 3 items"),
        (GOOD + "blocks: 8\n", 8, "the looks add 9 blocks, and 'blocks' is 8"),
        (GOOD + "categories: [control]\n", 2, "give either 'questions' or 'categories'"),
        (GOOD.replace("neutral", "probe"), 6, "arm 'probe' is reserved"),
        (GOOD.replace("id: curt", "id: as-eu"), 6, "arm 'as-eu' has a system prompt already"),
        (GOOD.replace("neutral", "neutrl"), 6, "unknown arm 'neutrl': did you mean neutral"),
        (GOOD + "labellers: [judge]\n", 11, "a judge, and only a judge, has a 'model'"),
        (GOOD + "labellers: [{method: judge, model: tiny-qwen}]\n", 11, "tiny-qwen cannot judge tiny-qwen"),
        (claimed("prompt, arms: [regional]"), 11, "contrast 'prompt' takes 2 of the study's arms"),
        (claimed("prompt, arms: [regional, x]"), 11, "'x' is not among the study's arms: regional, neutral"),
        (claimed("deployment, arms: [regional]"), 11, "prompt and deployment cannot be separated"),
        (claimed("computation, arms: [curt]"), 11, "takes no 'arms': it is about the probes"),
        (claimed("computation", GOOD.replace("greedy: 1, shared: 2", "")), 11, "needs probes"),
        (claimed("deployment, regions: [eu], arms: [curt]"), 11, "needs 2 regions, and there is 1"),
        (claimed("models, outcome: text, arms: [curt]"), 11, "'models' compares rates, not texts"),
        (claimed("deployment, test: chi2, arms: [curt]"), 11, "is judged by 'sign flips over blocks'"),
        (claimed("deployment, correction: none, arms: [curt]"), 11, "planned claims are corrected by 'holm'"),
        (
            claimed("prompt, correction: holm, arms: [curt, neutral]").replace("claims:", "exploratory:"),
            11,
            "exploratory claims are corrected by 'benjamini-hochberg'",
        ),
        ("- 1\n", 1, "must be a mapping of keys to values"),
    ],
)
def test_a_problem_is_told_with_its_line(file: Path, text: str, line: int, expected: str) -> None:
    (problem,) = problems(file, text)
    assert problem.startswith((f"s.yaml:{line}: ", f"s.yaml:{line} (demo): "))
    assert expected in problem


TRANSLATED = CATALOG.model_copy(
    update={
        "questions": (
            *(
                q.model_copy(update={"language": "en"}) if q.id == "taiwan_status" else q
                for q in CATALOG.questions
            ),
            CATALOG.question("taiwan_status").model_copy(
                update={"id": "taiwan_zh", "language": "zh-hans", "translates": "taiwan_status"}
            ),
        )
    }
)
IN_BOTH = GOOD.replace("math_basic", "math_basic, taiwan_zh")


def test_languages_are_those_of_questions_that_are_translations(file: Path) -> None:
    file.write_text(claimed("languages, languages: [zh-hans, en], regions: [us], arms: [curt]", IN_BOTH))
    claims = read_study(file, TRANSLATED).claims
    assert [(one.id, one.languages, one.pairs) for one in claims] == [
        (f"c.{model}", ("zh-hans", "en"), (("taiwan_zh", "taiwan_status"),))
        for model in ("tiny-qwen", "tiny-llama")
    ]
    again = Study.on_record(read_study(file, TRANSLATED).content, 1, "ab" * 32, "self")
    assert again.claims == claims


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ("languages, languages: [fr, en], arms: [curt]", "no question of the study is in both fr and en"),
        ("languages, languages: [en], arms: [curt]", "contrast 'languages' takes two"),
        ("languages, arms: [curt]", "contrast 'languages' takes two"),
        ("prompt, languages: [en, fr], arms: [regional, curt]", "'prompt' takes no 'languages'"),
        ("languages, languages: [zh-hans, en], outcome: text, arms: [curt]", "compares rates, not texts"),
    ],
)
def test_what_languages_cannot_be_compared(file: Path, rest: str, expected: str) -> None:
    file.write_text(claimed(rest, IN_BOTH))
    with pytest.raises(StudyError) as raised:
        read_study(file, TRANSLATED)
    assert expected in raised.value.problems[0]


RATES = (
    "labellers: [{method: rules, errors: [{model: tiny-qwen, "
    "sensitivity: 0.6, specificity: 1.0, source: x}]}]"
)


def test_error_rates_measured_elsewhere_are_in_the_plan(file: Path) -> None:
    found = study(file, GOOD + RATES + "\n")
    assert found.labellers[0].errors[0].sensitivity == 0.6
    assert found.hash != study(file, GOOD).hash


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("tiny-qwen,", "tiny-mistral,", "'tiny-mistral' is not among the study's models"),
        ("sensitivity: 0.6", "arm: as-eu, sensitivity: 0.6", "'as-eu' is not among the study's arms"),
        ("sensitivity: 0.6", "sensitivity: 60", "sensitivity: must be at most 1"),
        ("method: rules", "method: people", "measured against"),
        ("source: x}", "source: x}, {model: tiny-qwen, sensitivity: 1, specificity: 1, source: y}", "twice"),
    ],
)
def test_error_rates_of_what_the_study_has_not_are_refused(
    file: Path, old: str, new: str, expected: str
) -> None:
    (problem,) = problems(file, GOOD + RATES.replace(old, new) + "\n")
    assert problem.startswith("s.yaml:11")
    assert expected in problem


def test_the_hash_of_a_study_that_asks_for_nothing_new_stays() -> None:
    """Registered studies are found by it: what came later is left out of the content until it is used."""
    shipped = read_study(Path("examples/first-study.yaml"), CATALOG)
    assert not {"languages", "pairs", "errors"} & set(json.loads(shipped.content)["claims"][0])
    assert "errors" not in json.loads(shipped.content)["labellers"][0]


def test_a_claim_that_stands_for_many_takes_no_name_of_another(file: Path) -> None:
    taken = "exploratory: [{id: c.us, contrast: models, regions: [us], arms: [curt]}]\n"
    assert "claim 'c.us' is given twice" in problems(file, claimed("models, arms: [curt]") + taken)[0]


def test_arms_of_one_prompt_are_no_contrast(file: Path) -> None:
    text = claimed("prompt, arms: [regional, as-eu]", GOOD.replace("neutral,", "as-eu,"))
    assert problems(file, text) == [
        "s.yaml:11: claim 'c': arms 'regional' and 'as-eu' have the same system prompt in eu"
    ]


def test_all_problems_are_told_at_once(file: Path) -> None:
    text = GOOD.replace("tiny-llama", "tiny-lama").replace("apac", "mars").replace("math_", "maths_")
    assert [line.partition(":")[2][:1] for line in problems(file, text)] == ["3", "4", "5"]


def test_the_hash_is_over_what_counts(file: Path) -> None:
    first = study(file, GOOD)
    values = yaml.safe_load(GOOD)
    same = dict(reversed(list(values.items()))) | {"blocks": 9, "regions": ["US", "eu", "asia"]}
    assert study(file, "# a comment\n" + json.dumps(same)).hash == first.hash
    for key, value in {"samples": 3, "title": "x", "looks": [9], "regions": ["eu", "us", "apac"]}.items():
        assert study(file, yaml.safe_dump(values | {key: value})).hash != first.hash
    other = CATALOG.model_copy(
        update={"questions": tuple(q.model_copy(update={"text": q.text + "?"}) for q in CATALOG.questions)}
    )
    assert read_study(file, other).hash != study(file, yaml.safe_dump(values | {"looks": [9]})).hash


def test_what_is_on_record_is_the_same_study(file: Path) -> None:
    first = study(file, claimed("deployment, arms: [neutral], delta: 0.1"))
    again = Study.on_record(first.content, 3, "ab" * 32, "outside")
    assert (again.hash, again.content) == (first.hash, first.content)
    assert (again.version, again.seed, again.registered) == (3, "ab" * 32, "outside")
    assert again.claims == first.claims


ARMS = st.lists(
    st.sampled_from(["regional", "neutral", "as-us", "as-eu", "as-apac"]), min_size=1, unique=True
)
FILES = st.fixed_dictionaries(
    {
        "id": st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True),
        "models": st.lists(st.sampled_from([m.id for m in CATALOG.models]), min_size=1, unique=True),
        "regions": st.lists(st.sampled_from(["us", "eu", "apac"]), min_size=1, unique=True),
        "questions": st.lists(st.sampled_from([q.id for q in CATALOG.questions]), min_size=1, unique=True),
        "arms": ARMS,
        "samples": st.integers(1, 50),
        "looks": st.lists(st.integers(1, 50), min_size=1, max_size=3),
    },
    optional={
        "title": st.text(st.characters(codec="utf-8", exclude_categories=("C",)), max_size=20),
        "probes": st.fixed_dictionaries({"greedy": st.sampled_from([0, 1]), "shared": st.integers(0, 5)}),
        "parameters": st.fixed_dictionaries({"temperature": st.floats(0.1, 2)}),
        "claims": st.lists(
            st.fixed_dictionaries(
                {
                    "id": st.from_regex(r"[a-z]{1,5}", fullmatch=True),
                    "contrast": st.sampled_from([contrast.value for contrast in Contrast]),
                },
                optional={
                    "arms": st.lists(
                        st.sampled_from(["regional", "neutral", "as-us"]), min_size=1, max_size=2
                    ),
                    "outcome": st.sampled_from([outcome.value for outcome in Outcome]),
                    "population": st.sampled_from([population.value for population in Population]),
                    "delta": st.floats(0.01, 0.9),
                },
            ),
            max_size=3,
        ),
    },
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=FILES, order=st.randoms(use_true_random=False))
def test_however_a_study_is_written_it_is_one_study_or_told_why(
    file: Path, values: dict[str, Any], order: random.Random
) -> None:
    shuffled = list(values)
    order.shuffle(shuffled)
    forms = [yaml.safe_dump(values), json.dumps({key: values[key] for key in shuffled}, ensure_ascii=False)]
    read: list[Any] = []
    for form in forms:
        try:
            read.append(study(file, form))
        except StudyError:
            read.append(sorted(problem.partition(": ")[2] for problem in problems(file, form)))
    if isinstance(read[0], Study):
        assert read[0].hash == read[1].hash
        assert Study.on_record(read[0].content, 1, "00", "self").content == read[0].content
        for claim in read[0].claims:
            assert claim.test == judged_by(claim.contrast, claim.outcome, claim.population)
            assert set(claim.regions) <= set(read[0].regions)
            assert set(claim.arms) <= set(read[0].arms)
    else:
        assert read[0] == read[1]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    key=st.sampled_from([*yaml.safe_load(GOOD), "claims", "labellers", "assumptions", "texts", "surprise"]),
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text("abc:*", max_size=4),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2)
        ),
        max_leaves=6,
    ),
)
def test_any_value_is_read_or_refused_with_its_line(file: Path, key: str, value: Any) -> None:
    text = yaml.safe_dump(yaml.safe_load(GOOD) | {key: value})
    try:
        study(file, text)
    except StudyError:
        assert all(problem.startswith("s.yaml:") for problem in problems(file, text))
