"""Decision 17: what a second study says of the first."""

import numpy as np
import pytest

from beacon_pipeline.findings.statistics.estimate import Estimate
from beacon_pipeline.findings.statistics.replication import Replication, replication


def estimate(effect: float, half: float = 0.1) -> Estimate:
    narrow = effect - half * 0.84, effect + half * 0.84
    p = 0.01 if abs(effect) > half else 0.4
    return Estimate(effect, effect - half, effect + half, narrow, 0.95, p, 0.0, "block", 8, "t")


@pytest.mark.parametrize(
    ("again", "expected"),
    [
        (estimate(0.25), Replication.REPLICATED),
        (estimate(0.01, 0.04), Replication.SMALLER),
        (estimate(-0.3), Replication.CONTRADICTED),
        (estimate(0.0, 0.03), Replication.CONTRADICTED),
        (estimate(0.08, 0.2), Replication.INCONCLUSIVE),
    ],
)
def test_what_a_second_study_says(again: Estimate, expected: Replication) -> None:
    delta = 0.05 if expected == Replication.CONTRADICTED else None
    assert replication(estimate(0.3), again, delta=delta, same_seeds=False) == expected


def test_equal_seeds_never_give_the_word() -> None:
    found = replication(estimate(0.3), estimate(0.3), delta=None, same_seeds=True)
    assert found == Replication.SAME_SEEDS
    assert not str(found).startswith("replicated")


def test_a_false_difference_is_replicated_no_more_often_than_chance_allows() -> None:
    rng = np.random.default_rng(5)
    words = [
        replication(estimate(0.25), _from(z), delta=0.05, same_seeds=False) for z in rng.normal(size=1000)
    ]
    assert words.count(Replication.REPLICATED) <= 40


def _from(z: float) -> Estimate:
    p = 0.01 if abs(z) > 1.96 else 0.5
    return Estimate(
        z / 10, z / 10 - 0.196, z / 10 + 0.196, (z / 10 - 0.164, z / 10 + 0.164), 0.95, p, 0, "b", 9, "t"
    )
