"""Rates by people's labels on some answers: the estimate written out stratum by stratum."""

import numpy as np
import pytest
from scipy import stats

from beacon_pipeline.findings.statistics.predictions import (
    LEAST_INFORMED,
    Side,
    corrected_rate,
    informedness,
    prediction_powered,
)

NO = float("nan")


def a_side(seed: int, rate: float, drawn: float = 0.4) -> Side:
    rng = np.random.default_rng(seed)
    predicted = rng.binomial(1, rate, 60).astype(float)
    people = np.where(rng.random(60) < drawn, rng.binomial(1, 0.1 + 0.7 * predicted), NO)
    return Side(np.arange(60) % 6 * 1.0, predicted, predicted, people)


def corrected(side: Side) -> tuple[float, list[float], float]:
    """The rate, each answer's influence, the variance of the labels' sampling."""
    n = len(side.question)
    share, drawn = {}, {}
    for one in set(side.stratum.tolist()):
        labels = [y for s, y in zip(side.stratum, side.people, strict=True) if s == one and y == y]
        share[one], drawn[one] = sum(labels) / len(labels), len(labels)
    size = {one: sum(s == one for s in side.stratum) for one in share}
    rate = sum(share[s] for s in side.stratum) / n
    influences, variance = [], 0.0
    for s, y in zip(side.stratum, side.people, strict=True):
        rest = (y - share[s]) * size[s] / drawn[s] if y == y else 0.0
        influences.append((share[s] - rate + rest) / n)
    for one, k in drawn.items():
        likely = (share[one] * k + 1) / (k + 2)
        variance += (size[one] / n) ** 2 * likely * (1 - likely) / k * (1 - k / size[one])
    return rate, influences, variance


@pytest.mark.parametrize("level", [0.9, 0.95])
@pytest.mark.parametrize("seed", range(4))
def test_the_difference_its_interval_and_its_p(seed: int, level: float) -> None:
    a, b = a_side(seed, 0.3), a_side(seed + 100, 0.5)
    (rate_a, of_a, left_a), (rate_b, of_b, left_b) = corrected(a), corrected(b)
    sums = dict.fromkeys(range(6), 0.0)
    for sign, side, influences in ((1, a, of_a), (-1, b, of_b)):
        for question, influence in zip(side.question, influences, strict=True):
            sums[int(question)] += sign * influence
    clustered = sum(one**2 for one in sums.values()) * 6 / 5
    likely = [(rate * 60 + 1) / 62 for rate in (rate_a, rate_b)]
    apart = left_a + left_b + sum(one * (1 - one) for one in likely) / 60
    spread, t = max(clustered, apart) ** 0.5, stats.t(5)
    found = prediction_powered(a, b, level)
    assert found.effect == pytest.approx(rate_a - rate_b)
    half = spread * t.isf((1 - level) / 2)
    assert (found.low, found.high) == pytest.approx(
        (max(-1, found.effect - half), min(1, found.effect + half))
    )
    assert found.narrow[1] - found.effect == pytest.approx(spread * t.isf(1 - level))
    assert found.p == pytest.approx(2 * t.sf(abs(found.effect) / spread))
    assert (found.smallest_p, found.unit, found.level) == (0.0, "labelled answer", level)
    assert found.units == sum(y == y for side in (a, b) for y in side.people)
    assert found.test == "prediction-powered difference, clustered by question"


def test_questions_that_disagree_widen_the_interval() -> None:
    """Every answer of a question alike, on one side only: then the questions are what was sampled."""
    people = np.repeat([1.0, 0.0, 1.0, 0.0], 10)
    question, same = np.repeat(np.arange(4.0), 10), np.zeros(40)
    found = prediction_powered(Side(question, same, same, people), Side(question, same, same, people * 0))
    clustered = 4 * (0.5 * 10 / 40) ** 2 * 4 / 3
    half = clustered**0.5 * stats.t(3).isf(0.025)
    assert (found.low, found.high) == pytest.approx((0.5 - half, min(1, 0.5 + half)))


def test_an_interval_stays_within_what_a_difference_can_be() -> None:
    question, people = np.array([0.0, 0.0, 1.0, 1.0]), np.array([1.0, 1.0, 1.0, 0.0])
    same = np.zeros(4)
    found = prediction_powered(Side(question, same, same, people), Side(question, same, same, 1 - people))
    assert (found.low, found.high) == (-1.0, 1.0)


def test_what_cannot_be_estimated_is_refused() -> None:
    one, two = a_side(1, 0.3), a_side(2, 0.3)
    with pytest.raises(ValueError, match="at least two are needed"):
        prediction_powered(*(side._replace(question=np.zeros(60)) for side in (one, two)))
    pair = [side._replace(question=np.arange(60) % 2 * 1.0) for side in (one, two)]
    assert prediction_powered(*pair).units > 0
    single = one._replace(people=np.array([1.0] + [NO] * 59))
    for sides in ((single, two), (two, single)):
        with pytest.raises(ValueError, match="fewer than two labels by people on a side"):
            prediction_powered(*sides)
    assert corrected_rate(one._replace(people=np.array([1.0, 1.0] + [NO] * 58))) == 1.0


# The strata, people's labels, and the rate that they give.
POOR = [
    ([0, 0, 0, 0, 1, 1], [1, 0, NO, NO, 1, 1], 0.5 * 4 / 6 + 1.0 * 2 / 6),
    ([0, 0, 0, 0, 1, 1], [1, 0, NO, NO, 1, NO], 2 / 3),  # the second joins the first
    ([0, 0, 0, 0, 1, 1], [1, 0, NO, NO, NO, NO], 0.5),
    ([0, 0, 0, 0, 0, 1], [1, 0, NO, NO, NO, 1], 0.5 * 5 / 6 + 1 / 6),  # all of a stratum of one
    ([0, 0, 0, 1, 1, 2, 2], [1, 0, 0, 1, 1, 1, NO], (1 + 1 + 0 + 0) / 4 * 5 / 7 + 2 / 7),  # joins the largest
    ([0, 0, 0, 1, 1, 1], [1, NO, NO, 0, NO, NO], 0.5),  # all are poor: one stratum
]


@pytest.mark.parametrize(("stratum", "people", "rate"), POOR)
def test_a_stratum_with_fewer_than_two_labels_joins_another(
    stratum: list[int], people: list[float], rate: float
) -> None:
    size = len(stratum)
    side = Side(np.zeros(size), np.array(stratum) * 1.0, np.zeros(size), np.array(people, dtype=float))
    assert corrected_rate(side) == pytest.approx(rate)


def test_how_much_a_labellers_labels_say() -> None:
    predicted = np.array([1.0, 1.0, 0.0, 0.0, 1.0, 0.0])
    assert informedness(predicted, np.array([1.0, 1.0, 0.0, 0.0, NO, NO])) == 1.0
    assert informedness(predicted, np.array([1.0, 0.0, 1.0, 0.0, NO, NO])) == 0.0
    assert informedness(predicted, np.array([1.0, 0.0, 0.0, 0.0, NO, NO])) == pytest.approx(1 - 1 / 3)
    for unknown in ([1.0, 1.0, NO, NO, NO, NO], [NO, NO, 0.0, 0.0, NO, NO], [NO] * 6):
        assert informedness(predicted, np.array(unknown)) is None
    assert LEAST_INFORMED == 0.3
