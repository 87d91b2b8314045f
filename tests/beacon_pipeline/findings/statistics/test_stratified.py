"""Two arms within strata: the estimate written out stratum by stratum, and one stratum alone."""

from math import comb, sqrt

import numpy as np
import pytest
from scipy import stats

from beacon_pipeline.findings.statistics.intervals import newcombe
from beacon_pipeline.findings.statistics.stratified import (
    exact_p,
    mantel_haenszel,
    one_cell,
    smallest_p,
    stratified,
)

X, N, Y, M = np.array([3, 5, 0, 2]), np.array([4, 6, 3, 5]), np.array([1, 2, 1, 4]), np.array([5, 6, 2, 5])


def sato(rows: list[tuple[int, int, int, int]]) -> tuple[float, float]:
    """Mantel and Haenszel's difference, and Sato's variance: Biometrics 45, 1989."""
    weight = sum(n * m / (n + m) for _, n, _, m in rows)
    effect = sum((x * m - y * n) / (n + m) for x, n, y, m in rows) / weight
    p = sum((n**2 * y - m**2 * x + n * m * (m - n) / 2) / (n + m) ** 2 for x, n, y, m in rows)
    q = sum((x * (m - y) + y * (n - x)) / (2 * (n + m)) for x, n, y, m in rows)
    return effect, sqrt((effect * p + q) / weight**2)


def test_the_difference_and_its_spread_over_strata() -> None:
    expected = sato(list(zip(X.tolist(), N.tolist(), Y.tolist(), M.tolist(), strict=True)))
    assert mantel_haenszel(X, N, Y, M) == pytest.approx(expected)
    found = stratified(X, N, Y, M)
    effect, spread = expected
    assert (found.effect, found.low, found.high) == pytest.approx(
        (effect, effect - 1.959964 * spread, effect + 1.959964 * spread)
    )
    assert found.narrow == pytest.approx((effect - 1.644854 * spread, effect + 1.644854 * spread))
    assert (found.p, found.smallest_p) == (exact_p(X, N, Y, M), smallest_p(X, N, Y, M))
    assert (found.unit, found.units, found.test) == ("sample", 36, "exact stratified test")
    assert found.level == 0.95


def test_a_stratum_with_an_empty_side_adds_nothing() -> None:
    some = stratified(np.append(X, 3), np.append(N, 4), np.append(Y, 0), np.append(M, 0))
    assert (some.effect, some.p) == pytest.approx((stratified(X, N, Y, M).effect, exact_p(X, N, Y, M)))
    for n, m in ((0, 2), (2, 0), (0, 0)):
        nothing = (np.array([0]), np.array([n]), np.array([0]), np.array([m]))
        with pytest.raises(ValueError, match="no stratum has answers on both sides"):
            stratified(*nothing)


def test_without_spread_the_interval_is_that_of_all_answers_together() -> None:
    five, four = np.full(3, 5), np.full(3, 4)
    found = stratified(five, five, np.zeros(3), four)
    assert found.effect == 1.0
    assert (found.low, found.high) == pytest.approx((newcombe(15, 15, 0, 12)[0], 1.0))
    assert found.narrow[0] == pytest.approx(newcombe(15, 15, 0, 12, 0.9)[0])


def test_the_least_p_is_that_of_all_events_on_one_side() -> None:
    assert smallest_p(np.array([3]), np.array([3]), np.array([0]), np.array([3])) == pytest.approx(2 / 20)
    assert smallest_p(X, N, Y, M) == pytest.approx(exact_p(N, N, np.zeros(4), M))
    assert smallest_p(X, N, Y, M) <= exact_p(X, N, Y, M)


def test_an_exact_p_by_counting_urns() -> None:
    """Two strata of 2 + 2 answers with 2 events each: a has 0 to 4 of them, on 36 equal ways."""
    two = np.array([2, 2])
    ways = {0: 1, 1: 8, 2: 18, 3: 8, 4: 1}
    assert sum(ways.values()) == comb(4, 2) ** 2
    for of_a, p in ((4, 2 / 36), (3, 18 / 36), (2, 1.0), (0, 2 / 36)):
        x = np.array([min(of_a, 2), max(of_a - 2, 0)])
        assert exact_p(x, two, two - x, two) == pytest.approx(p)


def test_a_cell_alone() -> None:
    found = one_cell(8, 10, 3, 12)
    table = stats.boschloo_exact([[8, 3], [2, 9]])
    assert (found.effect, found.p) == pytest.approx((8 / 10 - 3 / 12, table.pvalue))
    assert (found.low, found.high) == newcombe(8, 10, 3, 12, 0.95)
    assert found.narrow == pytest.approx(newcombe(8, 10, 3, 12, 0.9))
    assert found.smallest_p == pytest.approx(stats.boschloo_exact([[10, 0], [0, 12]]).pvalue)
    assert (found.unit, found.units, found.test) == ("sample", 22, "Boschloo's exact test")
    assert found.level == 0.95
