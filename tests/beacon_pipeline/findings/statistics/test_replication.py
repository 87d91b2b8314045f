"""Decision 17: what a second study says of the first."""

import numpy as np
import pytest

from beacon_pipeline.findings.statistics.replication import (
    Effect,
    Replication,
    found_with_a_third,
    replication,
)


def effect(size: float, half: float = 0.1) -> Effect:
    return Effect(size, size - half, size + half, 0.95)


@pytest.mark.parametrize(
    ("again", "delta", "expected"),
    [
        (effect(0.25), None, Replication.REPLICATED),
        (effect(0.01, 0.04), None, Replication.SMALLER),
        (effect(-0.3), None, Replication.CONTRADICTED),
        (effect(0.0, 0.03), 0.05, Replication.CONTRADICTED),
        (effect(0.08, 0.2), None, Replication.INCONCLUSIVE),
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_what_a_second_study_says(
    again: Effect, delta: float | None, expected: Replication, sign: int
) -> None:
    low, high = sorted((sign * again.low, sign * again.high))
    turned = Effect(sign * again.effect, low, high, again.level)
    differs = not low <= 0 <= high
    assert replication(effect(sign * 0.3), turned, differs=differs, delta=delta) == expected


def test_what_a_study_could_hardly_find() -> None:
    # By simulation: with this effect the first study's interval leaves out zero in a third of the cases.
    first = effect(0.3)
    draws = np.random.default_rng(3).normal(found_with_a_third(first), first.error, 20_000)
    assert np.mean(draws > 0.1) == pytest.approx(0.33, abs=0.01)


def test_a_false_difference_is_replicated_no_more_often_than_chance_allows() -> None:
    drawn = np.random.default_rng(5).normal(size=1000)
    words = [
        replication(effect(0.25), effect(z / 10, 0.196), differs=abs(z) > 1.96, delta=0.05) for z in drawn
    ]
    assert words.count(Replication.REPLICATED) <= 40
