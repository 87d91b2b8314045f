"""Sign flips: the test, and its interval, for units whose two sides could as well have been swapped.

The interval is the test turned round: an effect is inside if flipping the differences from it does not
reject it. Its ends are order statistics of the means of all subsets of units (Hartigan 1969, *Using
subsample values as typical values*), so that interval and p never disagree.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from beacon_pipeline.findings.statistics.estimate import DRAWS, TOLERANCE, Estimate, Flags, Numbers

ENUMERATED = 13  # units: up to here all 2^n patterns are looked at, 8,192 at most


def sign_flips(differences: Numbers, level: float = 0.95, seed: int = 0, unit: str = "block") -> Estimate:
    """The mean of ``differences``, one for each unit, against 0. Two-sided.

    With n units no p is below 2 / 2^n; an interval that n units cannot give has the ends -1 and 1.
    """
    p, low, high, narrow_low, narrow_high = flip_results(differences[None, :], level, seed)
    return Estimate(
        effect=float(differences.mean()),
        low=float(low[0]),
        high=float(high[0]),
        narrow=(float(narrow_low[0]), float(narrow_high[0])),
        level=level,
        p=float(p[0]),
        smallest_p=smallest_p(len(differences)),
        unit=unit,
        units=len(differences),
        test=f"sign flips over {unit}s",
    )


def flip_results(
    differences: Numbers, level: float, seed: int = 0
) -> tuple[Numbers, Numbers, Numbers, Numbers, Numbers]:
    """p, low, high, and the narrower low and high of each row of ``differences`` (rows × units)."""
    subsets = _subsets(differences.shape[-1], seed)
    means = np.sort(differences @ (subsets / subsets.sum(axis=1, keepdims=True)).T, axis=-1)
    patterns = len(subsets) + 1
    below = (means <= TOLERANCE).sum(axis=-1)
    above = (means >= -TOLERANCE).sum(axis=-1)
    p = np.minimum(1.0, 2 * (1 + np.minimum(below, above)) / patterns)
    wide, narrow = _ends(means, patterns, level), _ends(means, patterns, 2 * level - 1)
    return p, *wide, *narrow


def smallest_p(units: int) -> float:
    """The least p that sign flips over so many units can give."""
    return 2 / 2**units if 0 < units <= ENUMERATED else 2 / (DRAWS + 1) if units else 1.0


def _ends(means: Numbers, patterns: int, level: float) -> tuple[Numbers, Numbers]:
    place = int((1 - level) * patterns / 2 + TOLERANCE)
    if place < 1:
        return np.full(len(means), -1.0), np.full(len(means), 1.0)
    return means[:, place - 1], means[:, -place]


@lru_cache(maxsize=64)
def _subsets(units: int, seed: int) -> Flags:
    """Which units are flipped, for each pattern but the one that flips none: all, or as many as drawn."""
    if units <= ENUMERATED:
        numbers = np.arange(1, 2**units)
        return (numbers[:, None] >> np.arange(units) & 1).astype(bool)
    drawn = np.random.default_rng(seed).integers(0, 2, size=(DRAWS, units)).astype(bool)
    drawn[~drawn.any(axis=1)] = True
    return drawn
