"""Same computation: whole calls are permuted, and equal outputs are not proof beyond the probes' number."""

import numpy as np
import pytest

from beacon_pipeline.findings.statistics.probes import same_computation, smallest_p

SIDES = np.array([True] * 5 + [False] * 5)


def outputs(differ: float, noise: float, seed: int = 1) -> np.ndarray:
    """Calls × probes: a call changes each output with chance ``noise``, side b with chance ``differ``."""
    rng = np.random.default_rng(seed)
    changed = rng.random(40) < differ
    of_call = np.where(rng.random((10, 40)) < noise, rng.integers(1, 10**6, (10, 40)), 0)
    return (of_call + np.where(changed & ~SIDES[:, None], 7, 0)).astype(object)


def test_other_weights_are_found_and_noise_between_calls_is_not() -> None:
    found = same_computation(outputs(differ=0.3, noise=0.1), SIDES)
    assert found.p == pytest.approx(2 / 252)
    assert 0.05 < found.low < found.effect < found.high
    noisy = same_computation(outputs(differ=0, noise=0.3), SIDES)
    assert noisy.p > 0.05
    assert noisy.low < 0 < noisy.high


def test_probes_that_are_all_equal_leave_what_so_few_cannot_show() -> None:
    same = same_computation(outputs(0, 0), SIDES)
    assert (same.effect, same.p) == (0.0, 1.0)
    assert 0.05 < same.high < 0.1


def test_a_probe_that_did_not_come_is_not_counted() -> None:
    holes = outputs(0, 0)
    holes[3, :10] = None
    assert same_computation(holes, SIDES).effect == 0.0
    assert smallest_p(5, 5) == pytest.approx(2 / 252)
    with pytest.raises(ValueError, match="two calls"):
        same_computation(holes[:6], SIDES[:6])


def test_what_is_said_of_the_calls() -> None:
    found = same_computation(outputs(differ=0.3, noise=0.1), SIDES, level=0.9)
    assert (found.unit, found.units, found.test) == ("call", 10, "permutation of whole calls")
    assert (found.level, found.smallest_p) == (0.9, pytest.approx(2 / 252))
    assert found.low < found.narrow[0] < found.effect < found.narrow[1] < found.high
    assert found == same_computation(outputs(differ=0.3, noise=0.1), SIDES, level=0.9, seed=0)
    assert same_computation(outputs(differ=0.3, noise=0.1), SIDES).level == 0.95


def test_the_excess_by_hand() -> None:
    """Two calls a side, two probes: pairs across differ in one, those of a in none, those of b in one."""
    made = np.array([["x", "p"], ["x", "p"], ["x", "q"], ["x", "r"]], dtype=object)
    found = same_computation(made, np.array([True, True, False, False]))
    assert found.effect == pytest.approx(1 / 2 - (0 + 1 / 2) / 2)
    holes = made.copy()
    holes[3, 1] = None
    found = same_computation(holes, np.array([True, True, False, False]))
    assert found.effect == pytest.approx(2 / (2 * 2 + 2 * 1) - 0)


def test_equal_probes_leave_open_what_wilson_does() -> None:
    same = same_computation(outputs(0, 0), SIDES)
    room = 1.959964**2 / (40 + 1.959964**2)
    assert (same.low, same.high) == pytest.approx((0.0, room))
    assert same.narrow == pytest.approx((0.0, room))


@pytest.mark.parametrize(
    ("a", "b", "p"), [(2, 2, 2 / 6), (2, 3, 1 / 10), (3, 2, 1 / 10), (8, 8, 1 / 10_000), (7, 7, 2 / 3432)]
)
def test_the_least_p_of_so_many_calls(a: int, b: int, p: float) -> None:
    assert smallest_p(a, b) == pytest.approx(p)


def test_many_calls_are_divided_at_random_by_a_seed() -> None:
    sides = np.array([True] * 8 + [False] * 8)
    rng = np.random.default_rng(2)
    made = rng.integers(0, 3, (16, 12)).astype(object)
    first, again = (same_computation(made, sides, seed=1) for _ in range(2))
    assert first == again
    assert len({same_computation(made, sides, seed=seed).p for seed in range(4)}) > 1
    assert first.smallest_p == pytest.approx(1 / 10_000)
    assert first.p == 0.9487, "other draws than those of the findings on record"


def test_an_interval_on_record_comes_again() -> None:
    found = same_computation(outputs(differ=0.3, noise=0.1), SIDES, level=0.9)
    assert (found.low, found.high) == pytest.approx((0.19, 0.235030952381))
    assert found.narrow == pytest.approx((0.194956944444, 0.229141071429))
