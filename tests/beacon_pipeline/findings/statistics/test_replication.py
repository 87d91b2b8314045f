"""Decision 17: what a second study says of the first."""

import numpy as np
import pytest

from beacon_pipeline.findings.statistics.estimate import Estimate
from beacon_pipeline.findings.statistics.replication import Replication, found_with_a_third, replication


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


def test_the_words_of_a_replication() -> None:
    assert [word.value for word in Replication] == [
        "replicated",
        "smaller than claimed",
        "contradicted",
        "inconclusive",
        "not a replication: equal seeds",
    ]


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("effect", "narrow", "p", "delta", "expected"),
    [
        (0.2, (0.1, 0.3), 0.05, None, Replication.REPLICATED),
        (0.2, (0.1, 0.3), 0.0501, None, Replication.INCONCLUSIVE),
        (-0.2, (-0.3, -0.1), 0.01, None, Replication.CONTRADICTED),
        (0.0, (-0.1, 0.0), 0.9, None, Replication.SMALLER),
        (0.01, (-0.04, 0.04), 0.9, 0.05, Replication.CONTRADICTED),
        (0.01, (-0.04, 0.05), 0.9, 0.05, Replication.SMALLER),
        (0.01, (-0.05, 0.04), 0.9, 0.05, Replication.SMALLER),
        (0.01, (-0.04, 0.04), 0.9, None, Replication.SMALLER),
        (0.05, (-0.1, 0.0776), 0.5, None, Replication.INCONCLUSIVE),
        (0.05, (-0.1, 0.0775), 0.5, None, Replication.SMALLER),
    ],
)
def test_where_one_verdict_ends_and_the_next_begins(
    sign: int,
    effect: float,
    narrow: tuple[float, float],
    p: float,
    delta: float | None,
    expected: Replication,
) -> None:
    first = estimate(sign * 0.3)
    ends = narrow if sign == 1 else (-narrow[1], -narrow[0])
    again = Estimate(sign * effect, -1, 1, ends, 0.95, p, 0.0, "block", 8, "t")
    assert found_with_a_third(first) == pytest.approx(0.1 / 1.959964 * (1.959964 - 0.4399132))
    assert replication(first, again, delta=delta, same_seeds=False) is expected
