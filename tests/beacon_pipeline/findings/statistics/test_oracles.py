"""Ours against statsmodels, scipy, and plain counting, on the same rows."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import StratifiedTable
from statsmodels.stats.multitest import multipletests

from beacon_pipeline.findings.statistics import predictions, similarity
from beacon_pipeline.findings.statistics.flips import flip_results, sign_flips
from beacon_pipeline.findings.statistics.multiplicity import benjamini_hochberg, holm
from beacon_pipeline.findings.statistics.population import over_questions, over_questions_and_blocks
from beacon_pipeline.findings.statistics.stratified import exact_p, mantel_haenszel, one_cell, stratified
from tests.beacon_pipeline.findings.statistics import oracles

SEEDS = range(5)


def strata(seed: int, count: int, most: int = 4) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    n, m = rng.integers(1, most + 1, (2, count))
    return rng.binomial(n, 0.6), n, rng.binomial(m, 0.3), m


@pytest.mark.parametrize("seed", SEEDS)
def test_the_exact_stratified_p_is_what_counting_gives(seed: int) -> None:
    rows = strata(seed, 5)
    assert exact_p(*rows) == pytest.approx(oracles.exact_stratified(list(zip(*rows, strict=True))))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_single_stratum_is_fishers_test(seed: int) -> None:
    (x, n, y, m) = (column[0] for column in strata(seed, 1, most=20))
    expected = stats.fisher_exact([[x, y], [n - x, m - y]]).pvalue
    assert exact_p(*(np.array([value]) for value in (x, n, y, m))) == pytest.approx(expected)
    assert one_cell(x, n, y, m).p == pytest.approx(stats.boschloo_exact([[x, y], [n - x, m - y]]).pvalue)


def test_the_exact_p_nears_cochran_mantel_haenszel_where_strata_are_large() -> None:
    x, n, y, m = np.array([60, 45, 80]), np.full(3, 150), np.array([50, 40, 60]), np.full(3, 150)
    tables = [np.array([[a, b - a], [c, d - c]]) for a, b, c, d in zip(x, n, y, m, strict=True)]
    expected = StratifiedTable(tables).test_null_odds(correction=True).pvalue
    assert exact_p(x, n, y, m) == pytest.approx(expected, rel=0.03)


def test_the_mantel_haenszel_difference_of_one_stratum_is_the_plain_one() -> None:
    effect, spread = mantel_haenszel(*(np.array([value]) for value in (30, 100, 20, 100)))
    assert effect == pytest.approx(0.1)
    assert spread == pytest.approx(np.sqrt(0.3 * 0.7 / 100 + 0.2 * 0.8 / 100), rel=0.01)


def test_strata_that_all_agree_leave_an_interval_all_the_same() -> None:
    none, five = np.zeros(4), np.full(4, 5)
    estimate = stratified(none, five, none, five)
    assert estimate.p == 1.0
    assert estimate.low < -0.1 < 0.1 < estimate.high


@pytest.mark.parametrize("seed", SEEDS)
def test_sign_flips_are_what_counting_and_scipy_give(seed: int) -> None:
    differences = np.random.default_rng(seed).normal(0.4, 0.5, 7)
    ours = sign_flips(differences)
    scipys = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf, vectorized=False
    )
    assert ours.p == pytest.approx(oracles.sign_flips(differences)) == pytest.approx(scipys.pvalue)


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_the_interval_of_sign_flips_holds_what_the_test_does_not_reject(level: float) -> None:
    differences = np.random.default_rng(9).normal(0.2, 0.3, 8)
    estimate = sign_flips(differences, level)
    for inside in (estimate.low + 1e-6, estimate.effect, estimate.high - 1e-6):
        assert oracles.sign_flips(differences - inside) > 1 - level
    for outside in (estimate.low - 1e-6, estimate.high + 1e-6):
        assert oracles.sign_flips(differences - outside) <= 1 - level


def test_many_units_are_drawn_and_repeatable() -> None:
    differences = np.random.default_rng(3).normal(0.2, 1, (1, 30))
    first, again = flip_results(differences, 0.95, 7), flip_results(differences, 0.95, 7)
    assert [value[0] for value in first] == [value[0] for value in again]
    assert first[0][0] == pytest.approx(stats.ttest_1samp(differences[0], 0).pvalue, abs=0.03)


def test_the_mmd_of_texts_is_what_counting_gives() -> None:
    rng = np.random.default_rng(1)
    answers = [
        (question, "".join(rng.choice(list("abc"), 6)) + ("zz" if side == "a" else ""), block, side)
        for question in range(2)
        for block in range(4)
        for side in "ab"
        for _ in range(2)
    ]
    groups = []
    for question in range(2):
        mine = [answer for answer in answers if answer[0] == question]
        kernel = similarity.similarity([text for _, text, _, _ in mine])
        of_a = np.array([side == "a" for *_, side in mine])
        groups.append(similarity.Group(kernel, of_a, np.array([block for _, _, block, _ in mine])))
    effect, p = oracles.mmd_over_blocks(answers)
    ours = similarity.over_blocks(groups)
    assert ours.effect == pytest.approx(effect, abs=1e-6)
    assert ours.p == pytest.approx(p)


def test_similarity_is_one_less_the_share_of_edits_and_sees_no_more_than_the_cap() -> None:
    texts = ["kitten", "sitting", "", "kitten", "\ud800 lone"]
    kernel = similarity.similarity(texts)
    expected = [[oracles.similarity(one, other) for other in texts] for one in texts]
    assert kernel == pytest.approx(np.array(expected), abs=1e-6)
    assert similarity.similarity(["same, then this", "same, then that"], cap=5).min() == 1.0


def test_arms_texts_are_tested_within_strata() -> None:
    rng = np.random.default_rng(2)
    texts = ["".join(rng.choice(list("abcd"), 8)) + ("!!!!" if i % 2 else "") for i in range(20)]
    of_a = np.arange(20) % 2 == 0
    group = similarity.Group(similarity.similarity(texts), of_a, np.repeat(np.arange(5), 4))
    assert similarity.within_strata([group]).p < 0.01
    mixed = group._replace(of_a=np.arange(20) % 4 < 2)
    assert similarity.within_strata([mixed]).p > 0.05


@pytest.mark.parametrize("seed", SEEDS)
def test_the_corrected_rate_is_the_post_stratified_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    predicted = rng.binomial(1, 0.3, 200).astype(float)
    people = np.where(rng.random(200) < 0.4, rng.binomial(1, 0.2 + 0.6 * predicted), np.nan)
    side = predictions.Side(np.arange(200) % 10, predicted, predicted, people)
    plain = [None if np.isnan(y) else int(y) for y in people]
    assert predictions.corrected_rate(side) == pytest.approx(oracles.post_stratified(list(predicted), plain))


def test_with_every_answer_labelled_the_difference_is_peoples() -> None:
    rng = np.random.default_rng(4)
    question = np.repeat(np.arange(20), 10).astype(float)
    sides = []
    for rate in (0.5, 0.2):
        people = rng.binomial(1, rate, 200).astype(float)
        sides.append(predictions.Side(question, np.zeros(200), np.zeros(200), people))
    found = predictions.prediction_powered(*sides)
    assert found.effect == pytest.approx(sides[0].people.mean() - sides[1].people.mean())
    assert found.p < 0.001


def test_t_over_questions_is_scipys() -> None:
    differences = np.random.default_rng(6).normal(0.1, 0.2, 12)
    theirs = stats.ttest_1samp(differences, 0)
    ours = over_questions(differences)
    assert ours.p == pytest.approx(theirs.pvalue)
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval(0.95)))
    assert over_questions(np.ones(6)).p == pytest.approx(2 / 64)


def test_questions_and_blocks_both_widen() -> None:
    rng = np.random.default_rng(8)
    noise = rng.normal(0, 0.1, (20, 8))
    plain = over_questions_and_blocks(noise)
    calls = over_questions_and_blocks(noise + rng.normal(0, 0.5, 8))
    questions = over_questions_and_blocks(noise + rng.normal(0, 0.5, (20, 1)))
    assert plain.high - plain.low < 0.1
    assert calls.high - calls.low > 0.3
    assert questions.high - questions.low > 0.3


def test_adjusted_ps() -> None:
    assert holm([0.01, None, 0.02]) == pytest.approx([0.03, None, 0.04])
    assert holm([0.01], looks=3) == pytest.approx([0.03])
    assert benjamini_hochberg([0.01, 0.02]) == pytest.approx([0.02, 0.02])
    assert holm([]) == []


def test_adjusted_ps_are_statsmodels() -> None:
    p = np.random.default_rng(0).random(12) ** 3
    assert holm(list(p)) == pytest.approx(list(multipletests(p, method="holm")[1]))
    assert benjamini_hochberg(list(p)) == pytest.approx(list(multipletests(p, method="fdr_bh")[1]))


def test_a_claim_without_a_p_counts_among_those_screened() -> None:
    assert benjamini_hochberg([]) == []
    assert benjamini_hochberg([0.01, None]) == pytest.approx([0.02, None])
    assert holm([0.4, 0.9]) == pytest.approx([0.8, 0.9])
    assert holm([0.6, None, 0.9]) == pytest.approx([1.0, None, 1.0])
