"""Which estimate each contrast gets, of which answers, and what keeps them from carrying it."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest

from beacon_pipeline.catalog.study import Labeller
from beacon_pipeline.findings.contrasts import (
    FEWEST_BLOCKS,
    FEWEST_CALLS,
    Result,
    Settings,
    Unanswerable,
    by_people,
    has_people,
    measured,
    rates_by_people,
)
from beacon_pipeline.findings.outcomes import counted, sampled, unit_of, with_labels
from beacon_pipeline.findings.sides import Sides, sides_of
from beacon_pipeline.findings.statistics import flips, population, probes, similarity
from beacon_pipeline.findings.statistics import stratified as arms
from beacon_pipeline.findings.statistics.estimate import Estimate
from tests.beacon_pipeline.findings import simulated
from tests.beacon_pipeline.findings.simulated import a_claim, a_study, answers, labels_by

SETTINGS = Settings(0.9, 5, 1000)
LABELLERS = Labeller(method="rules"), Labeller(method="people")
LIKE = {"population": "like_these"}


def frame(
    seed: int = 1, questions: int = 6, blocks: int = 6, samples: int = 2, **changes: Any
) -> pd.DataFrame:
    return answers(a_study(questions=questions, blocks=blocks, samples=samples), seed, **changes)


def sides(claim: Any, rows: pd.DataFrame, labels: pd.DataFrame | None = None) -> tuple[Sides, ...]:
    known = with_labels(sampled(rows), labels, LABELLERS)
    return tuple(
        pair.changed(partial(counted, outcome=str(claim.outcome))) for pair in sides_of(claim, known)
    )


def result(claim: Any, rows: pd.DataFrame, labels: pd.DataFrame | None = None) -> Result:
    return measured(claim, sides(claim, rows, labels), SETTINGS)


def reason(claim: Any, rows: pd.DataFrame, labels: pd.DataFrame | None = None) -> str:
    found = result(claim, rows, labels)
    assert isinstance(found, Unanswerable)
    return found.reason


def table(rows: pd.DataFrame, **where: str) -> np.ndarray:
    """The share of refusals by block (rows) and question (columns)."""
    for name, value in where.items():
        rows = rows[rows[name] == value]
    shares = rows.assign(hit=rows["kind"] == "refusal").groupby(["block", "question"])["hit"].mean()
    return shares.unstack().to_numpy()


def test_the_least_that_the_design_needs() -> None:
    assert (FEWEST_BLOCKS, FEWEST_CALLS) == (6, 5)


def test_deployments_are_flipped_block_by_block() -> None:
    rows = frame()
    each = table(rows, arm="plain", region="us") - table(rows, arm="plain", region="eu")
    assert result(a_claim("deployment"), rows) == flips.sign_flips(each.mean(axis=1), 0.9, 5)


def test_of_questions_like_these_both_are_drawn() -> None:
    rows = frame()
    each = table(rows, arm="plain", region="us") - table(rows, arm="plain", region="eu")
    found = result(a_claim("deployment", **LIKE), rows)
    expected = population.over_questions_and_blocks(each.T, 0.9)
    assert isinstance(found, Estimate)
    assert (found.effect, found.low, found.p) == pytest.approx((expected.effect, expected.low, expected.p))
    assert found.units == 6


def test_an_interaction_is_a_difference_of_differences() -> None:
    rows = frame()
    us = table(rows, region="us", arm="plain") - table(rows, region="us", arm="strict")
    eu = table(rows, region="eu", arm="plain") - table(rows, region="eu", arm="strict")
    expected = flips.sign_flips((us - eu).mean(axis=1), 0.9, 5)
    found = result(a_claim("interaction"), rows)
    assert isinstance(found, Estimate)
    assert (found.effect, found.p) == pytest.approx((expected.effect, expected.p))


def test_arms_are_counted_within_question_and_block() -> None:
    rows = frame()
    us = rows[rows["region"] == "us"].assign(hit=rows["kind"] == "refusal")
    groups = us.groupby(["arm", "question", "block"])["hit"]
    hits, sizes = groups.sum().to_numpy().reshape(2, -1), groups.size().to_numpy().reshape(2, -1)
    expected = arms.stratified(hits[0], sizes[0], hits[1], sizes[1], level=0.9)
    found = result(a_claim("prompt"), rows)
    assert isinstance(found, Estimate)
    assert (found.effect, found.low, found.p) == pytest.approx((expected.effect, expected.low, expected.p))
    assert (found.units, found.test) == (expected.units, expected.test)


def test_one_cell_is_tested_as_one() -> None:
    rows = frame(questions=1, blocks=1, samples=12)
    us = rows[rows["region"] == "us"]
    x, y = ((us[us["arm"] == arm]["kind"] == "refusal").sum() for arm in ("plain", "strict"))
    assert result(a_claim("prompt"), rows) == arms.one_cell(int(x), 12, int(y), 12, 0.9)


def test_of_questions_like_these_arms_are_held_question_by_question() -> None:
    rows = frame()
    each = table(rows, region="us", arm="plain") - table(rows, region="us", arm="strict")
    assert result(a_claim("prompt", **LIKE), rows) == population.over_questions(each.mean(axis=0), 0.9)


@pytest.mark.parametrize(
    ("contrast", "size", "why"),
    [
        ("deployment", {"blocks": 5}, "5 blocks: no p below 0.062 exists, 6 are needed"),
        ("deployment", {"blocks": 1}, "one call a side: a deployment cannot be separated from a call"),
        ("interaction", {"blocks": 5}, "5 blocks"),
    ],
)
def test_too_few_blocks(contrast: str, size: dict[str, int], why: str) -> None:
    assert why in reason(a_claim(contrast), frame(**size))
    text = a_claim("deployment", outcome="text")
    assert why in reason(text, frame(**size))


@pytest.mark.parametrize("contrast", ["prompt", "deployment"])
def test_too_few_questions_for_questions_like_these(contrast: str) -> None:
    claim = a_claim(contrast, **LIKE)
    assert "too few questions: 5; questions like these need 6" in reason(claim, frame(questions=5))
    lost = frame()
    gone = (lost["question"] == "q00") & (lost["region"] == "us") & (lost["arm"] == "plain")
    lost = lost.assign(status=lost["status"].where(~gone, "failed"))
    assert reason(claim, lost) == "too few questions with answers on both sides: 5"


def test_sides_that_never_meet() -> None:
    rows = frame()
    plain = rows["arm"] == "plain"
    apart = rows[plain & (rows["question"] == "q00") | ~plain & (rows["question"] == "q01")]
    assert reason(a_claim("prompt"), apart) == "no question has answers of both sides in one block"
    us = rows["region"] == "us"
    apart = rows[us & (rows["block"] < 4) | ~us & (rows["block"] >= 4)]
    assert reason(a_claim("deployment"), apart) == "no block has answers on both sides"
    assert reason(a_claim("deployment"), rows[us]) == "a side has no answers"


def test_region_and_prompt_are_not_to_be_told_apart() -> None:
    rows = frame()
    own = rows.assign(system_prompt="In " + rows["region"])
    assert "cannot be separated in arm 'plain': each region has its own" in reason(a_claim("deployment"), own)
    assert isinstance(result(a_claim("interaction"), own), Estimate)
    unknown = own.assign(system_prompt=own["system_prompt"].where(own["region"] == "us"))
    assert isinstance(result(a_claim("deployment"), unknown), Estimate)


def test_greedy_answers_are_counted_by_question() -> None:
    rows = frame().assign(temperature=0.0)
    of_plain = (rows["arm"] == "plain").to_numpy()
    rows["answer"] = np.where(of_plain & (rows["question"] < "q02").to_numpy(), "other", "same")
    assert "facts about these questions: 2 of 6 differ, and no p exists" in reason(a_claim("prompt"), rows)


def test_where_all_units_agree_the_answers_number_sets_the_width() -> None:
    rows = frame().assign(kind="substantive")
    found = result(a_claim("deployment"), rows)
    assert isinstance(found, Estimate)
    wide, narrow = (arms.newcombe(0, 72, 0, 72, level) for level in (0.9, 0.8))
    assert (found.low, found.high) == pytest.approx((min(wide[0], 0), max(wide[1], 0)))
    assert found.narrow == pytest.approx(narrow)
    like = result(a_claim("prompt", **LIKE), rows)
    assert isinstance(like, Estimate)
    assert (like.low, like.high) == pytest.approx(wide)


def test_people_set_right_what_models_are_called() -> None:
    rows = frame(models=("m", "n"), questions=6, blocks=6)
    seen, people = labels_by(rows, rows["kind"] == "refusal", 0.8, 1, each=30)
    claim = a_claim("models")
    pair = sides(claim, seen, people)[0]
    assert has_people(pair)
    found = result(claim, seen, people)
    assert found == by_people(pair, SETTINGS)
    assert isinstance(found, Estimate)
    a, b = rates_by_people(pair)
    assert found.effect == pytest.approx(a - b)
    truth = [(side["kind"] == "refusal").mean() for side in pair]
    assert (a, b) != pytest.approx(tuple(truth))
    assert "no labels by people" in reason(claim, seen)
    one = people[people["execution"].isin(set(pair.a["execution"]))]
    assert "no labels by people" in reason(claim, seen, one)
    few = rows["question"].isin(["q00", "q01", "q02", "q03", "q04"])
    assert reason(claim, seen[few], people) == "too few questions to cluster by: 5 of 6"
    prompt = result(a_claim("prompt"), seen, people)
    assert isinstance(prompt, Estimate)
    assert prompt.test.startswith("prediction-powered")
    facts = result(a_claim("models", outcome="empty"), seen, people)
    assert isinstance(facts, Estimate)
    assert facts.unit == "block"
    deployment = result(a_claim("deployment"), seen, people)
    assert isinstance(deployment, Estimate)
    assert deployment.unit == "block", "people's labels set right what is asked alike only"


def with_texts(rows: pd.DataFrame) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    words = rng.choice(["one", "two", "three", "four"], (len(rows), 4))
    return rows.assign(answer=[" ".join(row) for row in words])


def groups(rows: pd.DataFrame, of_a: pd.Series, characters: int) -> list[similarity.Group]:
    found = []
    for _, mine in rows.assign(of_a=of_a).groupby("question"):
        mine = pd.concat([mine[mine["of_a"]], mine[~mine["of_a"]]])
        kernel = similarity.similarity(mine["answer"].tolist(), characters)
        found.append(similarity.Group(kernel, mine["of_a"].to_numpy(), mine["block"].to_numpy() - 1))
    return found


@pytest.mark.parametrize("characters", [1000, 4])
def test_texts_are_compared_by_what_was_asked_apart(characters: int) -> None:
    rows = with_texts(frame())
    settings = Settings(0.9, 5, characters)
    claim = a_claim("deployment", outcome="text")
    plain = rows[rows["arm"] == "plain"]
    expected = similarity.over_blocks(groups(plain, plain["region"] == "us", characters), 0.9, 5)
    assert measured(claim, sides(claim, rows), settings) == expected
    claim = a_claim("prompt", outcome="text")
    us = rows[rows["region"] == "us"]
    mine = groups(us, us["arm"] == "plain", characters)
    assert measured(claim, sides(claim, rows), settings) == similarity.within_strata(mine, 0.9, 5)
    claim = a_claim("prompt", outcome="text", **LIKE)
    apart = [similarity.discrepancy(g.kernel, g.of_a, ~np.eye(len(g.of_a), dtype=bool)) for g in mine]
    assert measured(claim, sides(claim, rows), settings) == population.over_questions(np.array(apart), 0.9)


def test_what_texts_cannot_carry() -> None:
    rows = with_texts(frame())
    assert "not defined" in reason(a_claim("interaction", outcome="text"), rows)
    assert "these questions only" in reason(a_claim("deployment", outcome="text", **LIKE), rows)
    alone = rows[(rows["block"] == 1) & (rows["sample"] == 1)]
    assert "at least two answers on each side" in reason(a_claim("prompt", outcome="text"), alone)
    two = rows[rows["block"] == 1]
    assert isinstance(result(a_claim("prompt", outcome="text"), two), Estimate)
    some = rows[(rows["question"] != "q00") | (rows["block"] == 1) & (rows["sample"] == 1)]
    like = a_claim("prompt", outcome="text", **LIKE)
    assert reason(like, some) == "too few questions with texts on both sides: 5"


def computed(rows: pd.DataFrame) -> Result:
    claim = a_claim("computation", outcome="text")
    (pair,) = sides_of(claim, rows.assign(unit=unit_of(rows)))
    return measured(claim, (pair,), SETTINGS)


def test_probes_are_compared_call_by_call() -> None:
    rows = simulated.probes(a_study(questions=6, blocks=6), 1, differ=0.5, noise=0.2)
    each = rows.pivot(index=["region", "block"], columns="question", values="output_token_sha256")
    of_a = np.array([region == "us" for region, _ in each.index])
    expected = probes.same_computation(each.to_numpy(dtype=object), of_a, 0.9, 5)
    found = computed(rows)
    assert isinstance(found, Estimate)
    assert (found.effect, found.p, found.units) == pytest.approx((expected.effect, expected.p, 12))
    texts = rows.assign(answer=rows["output_token_sha256"], output_token_sha256=None)
    again = computed(texts)
    assert isinstance(again, Estimate)
    assert again.effect == pytest.approx(found.effect), "without token ids the texts are compared"


def test_calls_that_do_not_compare() -> None:
    rows = simulated.probes(a_study(questions=6, blocks=6), 1, differ=0.5)

    def why(some: pd.DataFrame) -> str:
        found = computed(some)
        assert isinstance(found, Unanswerable)
        return found.reason

    assert isinstance(computed(rows[rows["block"] <= 5]), Estimate)
    assert why(rows[rows["block"] <= 4]) == "4 calls a side with the same probes: 5 are needed"
    assert "one call a side" in why(rows[rows["block"] <= 1])
    assert why(rows.assign(out_of_block=rows["block"] > 4)).startswith("4 calls")
    assert why(rows.assign(status=rows["status"].where(rows["block"] <= 4, "failed"))).startswith("4 calls")
    other = rows.assign(seed=np.where(rows["region"] == "us", 1, 2))
    assert why(other) == "6 calls a side with the same probes: 5 are needed", "no probe is on both sides"
