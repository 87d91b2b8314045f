"""The statistics against second implementations whose author had not read the first, on the same rows."""

from fractions import Fraction

import numpy as np
import pytest

from beacon_pipeline.findings.statistics import predictions, similarity
from beacon_pipeline.findings.statistics.flips import sign_flips
from beacon_pipeline.findings.statistics.stratified import exact_p
from tests.beacon_pipeline.findings.statistics import blind

SEEDS = range(20)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_exact_stratified_p(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, m = rng.integers(1, 8, (2, 6))
    x, y = rng.binomial(n, rng.random()), rng.binomial(m, rng.random())
    tables = [tuple(map(int, row)) for row in zip(x, n, y, m, strict=True)]
    by_likelihood, _ = blind.exact_stratified(tables)
    assert exact_p(x, n, y, m) == pytest.approx(float(by_likelihood))


@pytest.mark.parametrize("seed", SEEDS)
def test_sign_flips(seed: int) -> None:
    # Of tenths, so that ties occur, as they do between shares.
    tenths = np.random.default_rng(seed).integers(-4, 8, 8)
    exact = blind.sign_flips([Fraction(int(one), 10) for one in tenths])
    assert sign_flips(tenths / 10).p == pytest.approx(float(exact))


def texts(seed: int, differ: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The kernel of two texts a side in each of four blocks, which are of a, and their blocks."""
    rng = np.random.default_rng(seed)
    of_a, block = np.tile([True, True, False, False], 4), np.repeat(np.arange(4), 4)
    words = ["".join(rng.choice(list("abc"), 8)) + ("zz" if a and differ else "") for a in of_a]
    return similarity.similarity(words), of_a, block


@pytest.mark.parametrize("differ", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_mmd_with_whole_blocks_flipped(seed: int, differ: bool) -> None:
    kernel, of_a, block = texts(seed, differ)
    squared, p = blind.mmd_of_flipped_blocks(kernel.tolist(), of_a.tolist(), block.tolist())
    ours = similarity.over_blocks([similarity.Group(kernel, of_a, block)])
    assert ours.effect == pytest.approx(squared / 2)  # sides of one size: half of the squared MMD
    assert ours.p == pytest.approx(float(p))


@pytest.mark.parametrize("differ", [False, True])
def test_mmd_with_samples_permuted_in_their_blocks(differ: bool) -> None:
    kernel, of_a, block = texts(7, differ)
    squared, p = blind.mmd_of_permuted_samples(kernel.tolist(), of_a.tolist(), block.tolist())
    ours = similarity.within_strata([similarity.Group(kernel, of_a, block)])
    assert ours.effect == pytest.approx(squared / 2)
    drawn = 4 * np.sqrt(float(p) * (1 - float(p)) / 9_999) + 1e-4  # four standard errors of 9,999 draws
    assert ours.p == pytest.approx(float(p), abs=drawn)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_prediction_powered_estimate(seed: int) -> None:
    """Of a sample that is stratified by the rules' label, so that a stratum's chance is its drawn share."""
    rng = np.random.default_rng(seed)
    sides, means = [], []
    for rate in (0.2, 0.5):
        predicted = np.repeat([0, 1], [140, 60])
        drawn = np.concatenate([rng.permutation(n) < k for n, k in ((140, 40), (60, 60 - 10 * seed % 50))])
        people = np.where(drawn, rng.binomial(1, rate / 2 + rate * predicted), np.nan)
        chance = [float(drawn[predicted == one].mean()) for one in predicted]
        seen = [None if np.isnan(one) else int(one) for one in people]
        means.append(blind.prediction_powered(predicted.tolist(), chance, seen))
        sides.append(predictions.Side(np.arange(200) % 20, predicted, predicted.astype(float), people))
        assert predictions.corrected_rate(sides[-1]) == pytest.approx(means[-1][0])
    (mean_a, variance_a), (mean_b, variance_b) = means
    ours = predictions.prediction_powered(*sides)
    assert ours.effect == pytest.approx(mean_a - mean_b)
    # What the labels' sampling alone leaves open is the least that an interval may be wide.
    assert (ours.high - ours.low) / 2 >= 1.96 * float(np.sqrt(variance_a + variance_b))
