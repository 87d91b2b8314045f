"""How alike texts are: effects, jackknife and design, against plain loops over pairs."""

import numpy as np
import pytest
from scipy import stats

from beacon_pipeline.findings.statistics.similarity import (
    Group,
    discrepancy,
    over_blocks,
    similarity,
    within_strata,
)


def a_group(seed: int, blocks: int, samples: int = 2, differ: bool = False) -> Group:
    rng = np.random.default_rng(seed)
    of_a = np.tile([True] * samples + [False] * samples, blocks)
    block = np.repeat(np.arange(blocks), 2 * samples)
    texts = ["".join(rng.choice(list("abc"), 8)) + ("zz" if a and differ else "") for a in of_a]
    return Group(similarity(texts), of_a, block)


def alike_less_across(group: Group, kept: list[int], *, apart: bool) -> float:
    """``apart``: only pairs of different blocks count."""
    alike, across = [], []
    for i in kept:
        for j in kept:
            if i == j or (apart and group.block[i] == group.block[j]):
                continue
            (alike if group.of_a[i] == group.of_a[j] else across).append(group.kernel[i, j])
    return sum(alike) / len(alike) - sum(across) / len(across)


def jackknife(left_out: list[float]) -> float:
    middle = sum(left_out) / len(left_out)
    return (len(left_out) - 1) / len(left_out) * sum((one - middle) ** 2 for one in left_out)


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_the_interval_over_blocks_is_the_jackknifes(level: float) -> None:
    groups = [a_group(1, 5), a_group(2, 5, differ=True)]

    def mean(kept_of: dict[int, list[int]]) -> float:
        return sum(alike_less_across(g, kept_of[n], apart=True) for n, g in enumerate(groups)) / 2

    everyone = {n: list(range(len(g.of_a))) for n, g in enumerate(groups)}
    left_out = [
        mean({n: [i for i in everyone[n] if g.block[i] != b] for n, g in enumerate(groups)}) for b in range(5)
    ]
    found = over_blocks(groups, level)
    half = jackknife(left_out) ** 0.5 * stats.t(4).isf((1 - level) / 2)
    assert found.effect == pytest.approx(mean(everyone))
    assert (found.low, found.high) == pytest.approx((found.effect - half, found.effect + half))
    assert (found.unit, found.units, found.smallest_p) == ("block", 5, 2 / 32)
    assert (found.test, found.level) == ("MMD, whole blocks flipped", level)
    assert over_blocks(groups).level == 0.95


def test_many_blocks_are_drawn_by_their_seed() -> None:
    groups = [a_group(3, 14, samples=1)]
    found = over_blocks(groups, seed=1)
    assert found.smallest_p == pytest.approx(1 / 10_000)
    assert found == over_blocks(groups, seed=1)
    ps = {over_blocks(groups, seed=seed).p for seed in range(6)}
    assert len(ps) > 1
    assert max(ps) - min(ps) < 0.05
    assert over_blocks(groups).p == over_blocks(groups, seed=0).p
    assert over_blocks([a_group(3, 13, samples=1)]).smallest_p == 2 / 2**13
    assert found.p == 0.58, "other draws than those of the findings on record"


def test_two_blocks_are_too_few() -> None:
    with pytest.raises(ValueError, match="at least 3 blocks"):
        over_blocks([a_group(1, 2)])
    assert over_blocks([a_group(1, 3)]).units == 3


def test_a_question_that_has_no_pair_to_compare_is_not_counted() -> None:
    whole, one_sided = a_group(4, 4), a_group(5, 4)
    one_sided = one_sided._replace(of_a=np.ones_like(one_sided.of_a))
    assert over_blocks([whole, one_sided]).effect == pytest.approx(over_blocks([whole]).effect)


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_the_interval_within_strata_is_the_jackknifes_over_samples(level: float) -> None:
    groups = [a_group(6, 2), a_group(7, 2, differ=True)]
    effects, variances = [], []
    for group in groups:
        everyone = list(range(len(group.of_a)))
        effects.append(alike_less_across(group, everyone, apart=False))
        variances.append(
            jackknife(
                [alike_less_across(group, [j for j in everyone if j != i], apart=False) for i in everyone]
            )
        )
    found = within_strata(groups, level)
    half = sum(variances) ** 0.5 / 2 * stats.t(16 - 4).isf((1 - level) / 2)
    assert found.effect == pytest.approx(sum(effects) / 2)
    assert (found.low, found.high) == pytest.approx((found.effect - half, found.effect + half))
    assert (found.unit, found.units, found.smallest_p) == ("sample", 16, pytest.approx(1 / 10_000))
    assert (found.test, found.level) == ("MMD, samples permuted within strata", level)
    assert within_strata(groups).level == 0.95
    assert within_strata(groups).p == within_strata(groups, seed=0).p
    assert len({within_strata(groups, seed=seed).p for seed in range(4)}) > 1
    assert within_strata(groups).p == 0.0037, "other draws than those of the findings on record"


def test_a_side_of_two_samples_cannot_lose_one() -> None:
    group = a_group(8, 1)
    found = within_strata([group])
    assert (
        found.low
        == found.effect
        == found.high
        == pytest.approx(discrepancy(*group[:2], ~np.eye(4, dtype=bool)))
    )


def test_samples_change_sides_only_within_their_block() -> None:
    """Texts that differ between blocks alone, whose arms are unevenly spread, are no difference of arms."""
    of_a = np.array([True] * 6 + [False] * 2 + [True] * 3 + [False] * 5)
    block = np.repeat([0, 1], 8)
    kernel = similarity(["aaaa"] * 8 + ["bbbb"] * 8)
    assert discrepancy(kernel, of_a, ~np.eye(16, dtype=bool)) > 0.05
    assert within_strata([Group(kernel, of_a, block)]).p == 1.0


def test_no_more_of_a_text_is_compared_than_its_beginning() -> None:
    assert similarity(["a" * 1000 + "b", "a" * 1000 + "c"]).min() == 1.0
    assert similarity(["a" * 999 + "b", "a" * 999 + "c"]).min() == pytest.approx(0.999)
