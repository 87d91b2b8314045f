"""Did a second study, with fresh seeds and blocks, find what the first claimed?"""

from __future__ import annotations

from enum import StrEnum

from scipy import stats

from beacon_pipeline.findings.statistics.estimate import Estimate


class Replication(StrEnum):
    REPLICATED = "replicated"
    SMALLER = "smaller than claimed"
    CONTRADICTED = "contradicted"
    INCONCLUSIVE = "inconclusive"
    SAME_SEEDS = "not a replication: equal seeds"


def replication(first: Estimate, again: Estimate, *, delta: float | None, same_seeds: bool) -> Replication:
    """What ``again`` says of ``first``. Equal seeds repeat an answer and can support no claim.

    Smaller than claimed: all of ``again``'s narrow (90 %) interval is nearer to zero than the effect that
    the first could have found with 33 % power (Simonsohn's small telescopes, 2015).
    """
    if same_seeds:
        return Replication.SAME_SEEDS
    sign = 1 if first.effect >= 0 else -1
    effect = sign * again.effect
    low, high = sorted((sign * again.narrow[0], sign * again.narrow[1]))
    if effect > 0 and again.p <= 1 - again.level + 1e-9:
        return Replication.REPLICATED
    if high < 0 or (delta is not None and -delta < low and high < delta):
        return Replication.CONTRADICTED
    if high < found_with_a_third(first):
        return Replication.SMALLER
    return Replication.INCONCLUSIVE


def found_with_a_third(first: Estimate) -> float:
    """The effect that a study as precise as this one finds in 33 of 100 cases."""
    z = float(stats.norm.isf((1 - first.level) / 2))
    spread = (first.high - first.low) / (2 * z)
    return spread * (z + float(stats.norm.ppf(0.33)))
