"""Two arms within strata: answers of one question, region and block, under two system prompts.

Both arms of a stratum are in one call, and their samples have seeds of their own: the sample is the unit.
Under the null each stratum's events fall on its two arms as from an urn, whatever the call did to both.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import stats

from beacon_pipeline.findings.statistics.estimate import TOLERANCE, Estimate, Numbers, ends_around
from beacon_pipeline.findings.statistics.intervals import newcombe


def stratified(
    events_a: Numbers, n_a: Numbers, events_b: Numbers, n_b: Numbers, level: float = 0.95
) -> Estimate:
    """The difference of shares over strata: an exact p, and the Mantel-Haenszel estimate with its interval.

    One value for each stratum; a stratum with an empty side adds nothing. Raises ValueError if all are so.
    """
    both = (n_a > 0) & (n_b > 0)
    if not both.any():
        raise ValueError("no stratum has answers on both sides")
    counts = events_a[both], n_a[both], events_b[both], n_b[both]
    effect, spread = mantel_haenszel(*counts)
    (low, high), narrow = ends_around(effect, spread, level, stats.norm.isf)
    estimate = Estimate(
        effect=effect,
        low=low,
        high=high,
        narrow=narrow,
        level=level,
        p=exact_p(*counts),
        smallest_p=smallest_p(*counts),
        unit="sample",
        units=int(n_a.sum() + n_b.sum()),
        test="exact stratified test",
    )
    if spread > 0:
        return estimate
    sums = events_a.sum(), int(n_a.sum()), events_b.sum(), int(n_b.sum())
    return estimate.widened(newcombe(*sums, level=level), newcombe(*sums, level=2 * level - 1))


def one_cell(events_a: int, n_a: int, events_b: int, n_b: int, level: float = 0.95) -> Estimate:
    """A single stratum: Boschloo's test, Newcombe's interval."""
    table = [[events_a, events_b], [n_a - events_a, n_b - events_b]]
    wide = newcombe(events_a, n_a, events_b, n_b, level)
    return Estimate(
        effect=events_a / n_a - events_b / n_b,
        low=wide[0],
        high=wide[1],
        narrow=newcombe(events_a, n_a, events_b, n_b, 2 * level - 1),
        level=level,
        p=float(stats.boschloo_exact(table).pvalue),
        smallest_p=float(stats.boschloo_exact([[n_a, 0], [0, n_b]]).pvalue),
        unit="sample",
        units=n_a + n_b,
        test="Boschloo's exact test",
    )


def exact_p(events_a: Numbers, n_a: Numbers, events_b: Numbers, n_b: Numbers) -> float:
    """The exact conditional p: the total of a's events, given each stratum's margins. Two-sided.

    As in Fisher's test, all totals that are no more probable than the observed one count against the null.
    """
    chances, least = _total_of_a(events_a, n_a, events_b, n_b)
    observed = chances[int(events_a.sum()) - least]
    return float(min(1.0, chances[chances <= observed * (1 + 1e-7)].sum()))


def smallest_p(events_a: Numbers, n_a: Numbers, events_b: Numbers, n_b: Numbers) -> float:
    """The least p that these sizes could have given: as many events as suits each stratum best."""
    sizes = np.asarray(n_a)
    return exact_p(sizes, sizes, np.zeros_like(sizes), n_b)


def mantel_haenszel(events_a: Numbers, n_a: Numbers, events_b: Numbers, n_b: Numbers) -> tuple[float, float]:
    """The Mantel-Haenszel risk difference and its standard error.

    Sato's variance (Biometrics 45, 1989) holds for few large strata and for many small ones alike.
    """
    total = n_a + n_b
    weight = float((n_a * n_b / total).sum())
    effect = float(((events_a * n_b - events_b * n_a) / total).sum()) / weight
    slope = (n_a**2 * events_b - n_b**2 * events_a + n_a * n_b * (n_b - n_a) / 2) / total**2
    level = (events_a * (n_b - events_b) + events_b * (n_a - events_a)) / (2 * total)
    variance = (effect * slope.sum() + level.sum()) / weight**2
    return effect, float(np.sqrt(variance)) if variance > TOLERANCE**2 else 0.0


def _total_of_a(events_a: Numbers, n_a: Numbers, events_b: Numbers, n_b: Numbers) -> tuple[Numbers, int]:
    """The chances of each total of a's events, and the least total."""
    chances, least = np.ones(1), 0
    for x, n, y, m in zip(events_a, n_a, events_b, n_b, strict=True):
        one, start = _one_stratum(int(n + m), int(x + y), int(n))
        chances, least = np.convolve(chances, one), least + start
    return chances, least


@lru_cache(maxsize=4096)
def _one_stratum(total: int, events: int, size: int) -> tuple[Numbers, int]:
    start, end = max(0, size + events - total), min(size, events)
    return stats.hypergeom.pmf(np.arange(start, end + 1), total, events, size), start
