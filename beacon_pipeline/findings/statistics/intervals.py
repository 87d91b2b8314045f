"""Intervals of a share and of the difference of two shares."""

from __future__ import annotations

import math
from statistics import NormalDist

Interval = tuple[float, float]


def wilson(count: float, n: int, level: float = 0.95) -> Interval:
    """The share's interval of ``count`` among ``n``; all of [0, 1] where nothing was seen.

    Wilson's score interval, E. B. Wilson (1927), JASA 22, 209-212. Written out, for statsmodels, which has
    it too, takes seconds to load, and a page needs no more of it.
    """
    if n == 0:
        return 0.0, 1.0
    share, z = count / n, NormalDist().inv_cdf((1 + level) / 2)
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def newcombe(count_a: float, n_a: int, count_b: float, n_b: int, level: float = 0.95) -> Interval:
    """The interval of a's share less b's, two independent samples; [-1, 1] where a side is empty."""
    if n_a == 0 or n_b == 0:
        return -1.0, 1.0
    from statsmodels.stats.proportion import confint_proportions_2indep

    low, high = confint_proportions_2indep(
        count_a, n_a, count_b, n_b, method="newcomb", compare="diff", alpha=1 - level
    )
    return float(low), float(high)
