"""Several claims at once, and several looks at one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from statsmodels.stats.multitest import multipletests


def holm(values: Sequence[float | None], looks: int = 1) -> list[float | None]:
    """Adjusted p of planned claims. One without a p (None) counts among the claims and stays None."""
    return _adjusted(values, "holm", looks)


def benjamini_hochberg(values: Sequence[float | None]) -> list[float | None]:
    """Adjusted p of what is only screened: bounds the share of false ones among those found."""
    return _adjusted(values, "fdr_bh", 1)


def _adjusted(values: Sequence[float | None], method: str, looks: int) -> list[float | None]:
    if not values:
        return []
    given = np.array([1.0 if value is None else value for value in values])
    adjusted = np.minimum(1.0, multipletests(given, method=method)[1] * looks)
    return [None if value is None else float(new) for value, new in zip(values, adjusted, strict=True)]
