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
