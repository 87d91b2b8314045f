"""Whether new answers bear a finding out. Pure; the new ones must have fresh seeds and blocks."""

from __future__ import annotations

from enum import StrEnum

from scipy import stats

from beacon_pipeline.findings.finding import Finding, Verdict

LOW_POWER = 0.33  # U. Simonsohn (2015), Psychological Science 26, 559-569: what a study could hardly find


class Replication(StrEnum):
    """What became of a finding."""

    REPLICATED = "replicated"
    SMALLER = "smaller than claimed"
    CONTRADICTED = "contradicted"
    INCONCLUSIVE = "inconclusive"


def replication(original: Finding, new: Finding, delta: float | None) -> Replication:
    """What a new finding of the same claim says of an original that differs.

    Replicated: the same sign, and the new one differs too. Contradicted: the interval is of the other sign,
    or within ±``delta``. Smaller than claimed: the new upper 90 % bound is below the effect that the original
    had a power of one third to find. Raises ValueError for an original without an effect.
    """
    if original.effect is None or original.low is None or original.high is None:
        raise ValueError(f"claim {original.claim} has no effect that could be replicated")
    if new.effect is None or new.low is None or new.high is None:
        return Replication.INCONCLUSIVE
    sign = 1.0 if original.effect > 0 else -1.0
    effect = sign * new.effect
    low, high = sorted((sign * new.low, sign * new.high))
    if new.verdict is Verdict.DIFFERS and effect > 0:
        return Replication.REPLICATED
    if high < 0 or (delta is not None and -delta < low and high < delta):
        return Replication.CONTRADICTED
    upper = effect + stats.norm.isf(0.05) * _error(new.low, new.high, new.interval_level)
    hardly = _error(original.low, original.high, original.interval_level) * (
        stats.norm.isf((1 - original.interval_level) / 2) + stats.norm.ppf(LOW_POWER)
    )
    return Replication.SMALLER if upper < hardly else Replication.INCONCLUSIVE


def _error(low: float, high: float, level: float) -> float:
    """The standard error that an interval stands for."""
    return float((high - low) / 2 / stats.norm.isf((1 - level) / 2))
