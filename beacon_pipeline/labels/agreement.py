"""How far two labellers agree: raw share, Cohen's kappa and Gwet's AC1, each with its interval."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from beacon_pipeline.errors import BeaconError
from beacon_pipeline.ledger.records import ADJUDICATION, Label
from beacon_pipeline.ledger.status import LabelKind

KINDS = tuple(LabelKind)


class NothingToCompare(BeaconError):
    """No two people labelled the same two answers."""


@dataclass(frozen=True)
class Interval:
    """An estimate with the bounds of its interval; NaN where the labels do not determine it."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if math.isnan(self.value):
            return "not defined: one kind only"
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class Agreement:
    """``table``: how often the first gave the row's kind and the second the column's, as `KINDS`."""

    labellers: tuple[str, str]
    table: tuple[tuple[int, ...], ...]
    share: Interval
    kappa: Interval
    ac1: Interval
    level: float

    @property
    def answers(self) -> int:
        return sum(map(sum, self.table))


def agreements(labels: Sequence[Label], *, level: float = 0.95) -> list[Agreement]:
    """The agreement of each two labellers with at least two answers in common.

    Whoever only decided where others differ is left out. Raises NothingToCompare.
    """
    given: dict[str, dict[str, LabelKind]] = {}
    for label in labels:
        if label.reason != ADJUDICATION:
            given.setdefault(label.labeller, {})[label.execution_id] = label.kind
    names = sorted(given)
    found = []
    for a, b in itertools.combinations(names, 2):
        common = sorted(given[a].keys() & given[b].keys())
        if len(common) > 1:
            found.append(agreement((a, b), [(given[a][one], given[b][one]) for one in common], level=level))
    if not found:
        raise NothingToCompare(
            f"no two people labelled the same two answers ({', '.join(names) or 'no labels'}): "
            "`beacon label export` makes a sheet for each, `beacon label import` reads it"
        )
    return found


def differing(labels: Sequence[Label]) -> list[str]:
    """The answers that two people labelled otherwise and no third one decided, by id."""
    kinds: dict[str, set[LabelKind]] = {}
    for label in labels:
        kinds.setdefault(label.execution_id, set()).add(label.kind)
    decided = {label.execution_id for label in labels if label.reason == ADJUDICATION}
    return sorted(one for one, given in kinds.items() if len(given) > 1 and one not in decided)


def agreement(
    labellers: tuple[str, str], pairs: Sequence[tuple[LabelKind, LabelKind]], *, level: float = 0.95
) -> Agreement:
    """The agreement of two labellers on the answers that both labelled, two at least."""
    counts = [[pairs.count((a, b)) for b in KINDS] for a in KINDS]
    return Agreement(
        labellers,
        tuple(map(tuple, counts)),
        _share(counts, level),
        _kappa(counts, level),
        gwet_ac1(counts, level=level),
        level,
    )


def _share(counts: Sequence[Sequence[int]], level: float) -> Interval:
    from statsmodels.stats.proportion import proportion_confint

    n, same = sum(map(sum, counts)), sum(counts[k][k] for k in range(len(counts)))
    low, high = proportion_confint(same, n, alpha=1 - level, method="wilson")
    return Interval(same / n, float(low), float(high))


def _kappa(counts: Sequence[Sequence[int]], level: float) -> Interval:
    import numpy as np
    from scipy.stats import norm
    from statsmodels.stats.inter_rater import cohens_kappa

    used = [k for k, row in enumerate(counts) if sum(row) or any(other[k] for other in counts)]
    if len(used) < 2:  # both gave one and the same kind throughout: chance alone would agree as well
        return Interval(math.nan, math.nan, math.nan)
    with np.errstate(invalid="ignore"):  # its variance may be a rounding error below zero
        found = cohens_kappa([[counts[a][b] for b in used] for a in used])
    value = float(found.kappa)
    half = float(norm.isf((1 - level) / 2)) * math.sqrt(max(float(found.var_kappa), 0.0))
    return Interval(value, max(value - half, -1.0), min(value + half, 1.0))


def gwet_ac1(counts: Sequence[Sequence[int]], *, level: float = 0.95) -> Interval:
    """Gwet's AC1 of two raters from their table, with the interval of his linearized variance.

    K. L. Gwet, "Computing inter-rater reliability and its variance in the presence of high agreement",
    British Journal of Mathematical and Statistical Psychology 61 (2008).
    """
    from scipy.stats import t

    size, n = len(counts), sum(map(sum, counts))
    margins = [(sum(counts[k]) + sum(row[k] for row in counts)) / (2 * n) for k in range(size)]
    by_chance = sum(p * (1 - p) for p in margins) / (size - 1)
    observed = sum(counts[k][k] for k in range(size)) / n
    value = (observed - by_chance) / (1 - by_chance)
    spread = 0.0
    for a in range(size):
        for b in range(size):
            own = ((a == b) - by_chance) / (1 - by_chance)
            chance = (2 - margins[a] - margins[b]) / (2 * (size - 1))
            linear = own - 2 * (1 - value) * (chance - by_chance) / (1 - by_chance)
            spread += counts[a][b] * (linear - value) ** 2
    half = float(t.ppf((1 + level) / 2, n - 1)) * math.sqrt(spread / (n * (n - 1)))
    return Interval(value, max(value - half, -1.0), min(value + half, 1.0))
