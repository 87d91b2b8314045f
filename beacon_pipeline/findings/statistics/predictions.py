"""Prediction-powered rates: labels by rules on all answers, set right by people's labels on some of them.

The labeller's errors may differ between the sides, which no test on its labels alone survives. People's
labels are a random sample of these very answers, drawn in strata (of what the labeller predicted, at
least); each answer counts as its stratum's share by people, and the labelled ones carry the rest
(Angelopoulos et al., *Prediction-powered inference*, 2023; in strata: Fisch et al. 2024).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats

from beacon_pipeline.findings.statistics.estimate import Estimate, Numbers, ends_around

LEAST_INFORMED = 0.3  # sensitivity + specificity − 1: below, the labeller's labels measure nothing


class Side(NamedTuple):
    """The answers of a side, one value each: the question, the stratum of the draw, the label by the
    labeller (1 or 0), and by people (1, 0, or NaN: not drawn)."""

    question: Numbers
    stratum: Numbers
    predicted: Numbers
    people: Numbers


def prediction_powered(a: Side, b: Side, level: float = 0.95) -> Estimate:
    """The difference of the true rates, clustered by question; t over questions.

    Its variance is the larger of the one between questions and the one of independent answers, so that
    a handful of questions that happen to agree does not narrow it. Raises ValueError below 2 questions,
    or where a side has fewer than two people's labels.
    """
    rates, influences, variance = [], [], 0.0
    for side in (a, b):
        rate, influence, of_labels = _corrected(side)
        rates.append(rate)
        influences.append(influence)
        likely = (rate * len(influence) + 1) / (len(influence) + 2)  # as of the labels: never without width
        variance += of_labels + likely * (1 - likely) / len(influence)
    questions = np.unique(np.concatenate([a.question, b.question]))
    if len(questions) < 2:
        raise ValueError("clusters are questions: at least two are needed")
    each = sum(
        sign * np.bincount(np.searchsorted(questions, side.question), influence, minlength=len(questions))
        for sign, side, influence in zip((1, -1), (a, b), influences, strict=True)
    )
    count = len(questions)
    clustered = float(np.sum(np.square(each))) * count / (count - 1)
    spread = float(np.sqrt(max(clustered, variance)))
    effect = rates[0] - rates[1]
    (low, high), narrow = ends_around(effect, spread, level, stats.t(count - 1).isf)
    return Estimate(
        effect=effect,
        low=max(-1.0, low),
        high=min(1.0, high),
        narrow=narrow,
        level=level,
        p=float(2 * stats.t.sf(abs(effect) / spread, count - 1)),
        smallest_p=0.0,
        unit="labelled answer",
        units=int(np.isfinite(a.people).sum() + np.isfinite(b.people).sum()),
        test="prediction-powered difference, clustered by question",
    )


def corrected_rate(side: Side) -> float:
    """The side's true rate as estimated."""
    return _corrected(side)[0]


def informedness(predicted: Numbers, people: Numbers) -> float | None:
    """Sensitivity + specificity − 1 on the answers that people labelled; None where either is unknown."""
    known = np.isfinite(people)
    positive, negative = known & (people == 1), known & (people == 0)
    if not positive.any() or not negative.any():
        return None
    return float(predicted[positive].mean() - predicted[negative].mean())


def _corrected(side: Side) -> tuple[float, Numbers, float]:
    """The rate, each answer's influence on it, and the variance that the labels' sampling adds."""
    labelled = np.isfinite(side.people)
    if labelled.sum() < 2:
        raise ValueError("fewer than two labels by people on a side")
    stratum = _merged(side.stratum, labelled)
    n = len(stratum)
    mean, rest, variance = np.empty(n), np.zeros(n), 0.0
    for one in np.unique(stratum):
        inside = stratum == one
        drawn = inside & labelled
        size, count, share = int(inside.sum()), int(drawn.sum()), float(side.people[drawn].mean())
        mean[inside] = share
        rest[drawn] = (side.people[drawn] - share) * size / count
        likely = (share * count + 1) / (count + 2)  # none among a few is not never
        variance += (size / n) ** 2 * likely * (1 - likely) / count * (1 - count / size)
    rate = float(mean.mean())
    return rate, (mean - rate + rest) / n, variance


def _merged(stratum: Numbers, labelled: np.ndarray) -> Numbers:
    """Strata with fewer than two labels join one other, the largest: alone they say nothing."""
    sizes = {one: int((stratum == one).sum()) for one in np.unique(stratum)}
    poor = [one for one in sizes if labelled[stratum == one].sum() < min(2, sizes[one])]
    rich = [one for one in sizes if one not in poor]
    if not poor or not rich:
        return stratum if rich else np.zeros_like(stratum)
    return np.where(np.isin(stratum, poor), max(rich, key=sizes.__getitem__), stratum)
