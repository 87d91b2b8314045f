"""Did a second study, with fresh seeds and blocks, find what the first claimed? The studies' decision 17."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from scipy import stats

LOW_POWER = 0.33  # U. Simonsohn (2015), Psychological Science 26, 559-569: what a study could hardly find


class Replication(StrEnum):
    """What became of a finding."""

    REPLICATED = "replicated"
    SMALLER = "smaller than claimed"
    CONTRADICTED = "contradicted"
    INCONCLUSIVE = "inconclusive"


class Effect(NamedTuple):
    """An effect with its interval at this level."""

    effect: float
    low: float
    high: float
    level: float

    @property
    def error(self) -> float:
        """The standard error that the interval stands for."""
        return float((self.high - self.low) / 2 / stats.norm.isf((1 - self.level) / 2))


def replication(first: Effect, again: Effect, *, differs: bool, delta: float | None) -> Replication:
    """What ``again`` says of ``first``; ``differs``: whether it differs by its own test.

    Replicated: the same sign, and it differs too. Contradicted: the interval is of the other sign, or within
    ±``delta``. Smaller than claimed: the upper 90 % bound is below the effect that the first had a power of
    one third to find.
    """
    sign = 1.0 if first.effect >= 0 else -1.0
    effect = sign * again.effect
    low, high = sorted((sign * again.low, sign * again.high))
    if differs and effect > 0:
        return Replication.REPLICATED
    if high < 0 or (delta is not None and -delta < low and high < delta):
        return Replication.CONTRADICTED
    upper = effect + float(stats.norm.isf(0.05)) * again.error
    return Replication.SMALLER if upper < found_with_a_third(first) else Replication.INCONCLUSIVE


def found_with_a_third(first: Effect) -> float:
    """The effect that a study as precise as this one finds in 33 of 100 cases."""
    return float(first.error * (stats.norm.isf((1 - first.level) / 2) + stats.norm.ppf(LOW_POWER)))
