"""Several claims at once, and several looks at one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import false_discovery_control

from beacon_pipeline.findings.statistics.estimate import Numbers


def holm(values: Sequence[float | None], looks: int = 1) -> list[float | None]:
    """Adjusted p of planned claims. One without a p (None) counts among the claims and stays None."""
    return _adjusted(values, lambda p: np.minimum(1.0, _holm(p) * looks))


def benjamini_hochberg(values: Sequence[float | None]) -> list[float | None]:
    """Adjusted p of what is only screened: bounds the share of false ones among those found."""
    return _adjusted(values, false_discovery_control)


def _holm(p: Numbers) -> Numbers:
    order = np.argsort(p)
    adjusted = np.empty(len(p))
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return adjusted


def _adjusted(values: Sequence[float | None], adjust: Callable[[Numbers], Numbers]) -> list[float | None]:
    if not values:
        return []
    given = np.array([1.0 if value is None else value for value in values])
    pairs = zip(values, adjust(given), strict=True)
    return [None if value is None else float(new) for value, new in pairs]
