"""Wilson's and Newcombe's intervals against their closed forms, and where nothing was seen."""

from math import sqrt

import pytest
from scipy.stats import norm

from beacon_pipeline.findings.statistics.intervals import newcombe, wilson


def by_hand(count: float, n: int, level: float) -> tuple[float, float]:
    z = norm.isf((1 - level) / 2)
    share = count / n
    middle, half = share + z**2 / (2 * n), z * sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return (middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)


@pytest.mark.parametrize(("count", "n"), [(0, 1), (1, 1), (3, 10), (10, 10), (25, 1000)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_wilsons_interval(count: int, n: int, level: float) -> None:
    assert wilson(count, n, level) == pytest.approx(by_hand(count, n, level), abs=1e-12)
    assert wilson(count, n) == wilson(count, n, 0.95)


@pytest.mark.parametrize(("x", "n", "y", "m"), [(3, 10, 5, 20), (0, 4, 4, 4), (7, 9, 1, 30)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_newcombes_interval_is_made_of_two_of_wilsons(x: int, n: int, y: int, m: int, level: float) -> None:
    (low_a, high_a), (low_b, high_b) = by_hand(x, n, level), by_hand(y, m, level)
    a, b = x / n, y / m
    low = a - b - sqrt((a - low_a) ** 2 + (high_b - b) ** 2)
    high = a - b + sqrt((high_a - a) ** 2 + (b - low_b) ** 2)
    assert newcombe(x, n, y, m, level) == pytest.approx((low, high), abs=1e-9)
    assert newcombe(x, n, y, m) == newcombe(x, n, y, m, 0.95)


def test_where_nothing_was_seen_everything_is_possible() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    for sizes in ((0, 5), (5, 0), (0, 0)):
        assert newcombe(0, sizes[0], 0, sizes[1]) == (-1.0, 1.0)
