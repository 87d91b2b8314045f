"""Intervals of a share and of the difference of two shares."""

from __future__ import annotations

from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

Interval = tuple[float, float]


def wilson(count: float, n: int, level: float = 0.95) -> Interval:
    """The share's interval of ``count`` among ``n``; all of [0, 1] where nothing was seen."""
    if n == 0:
        return 0.0, 1.0
    low, high = proportion_confint(count, n, alpha=1 - level, method="wilson")
    return float(low), float(high)


def newcombe(count_a: float, n_a: int, count_b: float, n_b: int, level: float = 0.95) -> Interval:
    """The interval of a's share less b's, two independent samples; [-1, 1] where a side is empty."""
    if n_a == 0 or n_b == 0:
        return -1.0, 1.0
    low, high = confint_proportions_2indep(
        count_a, n_a, count_b, n_b, method="newcomb", compare="diff", alpha=1 - level
    )
    return float(low), float(high)
