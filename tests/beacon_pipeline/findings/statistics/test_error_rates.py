"""Rates set right by error rates that were measured elsewhere."""

import numpy as np
import pytest

from beacon_pipeline.findings.statistics.error_rates import Errors, corrected
from beacon_pipeline.findings.statistics.intervals import newcombe


@pytest.mark.parametrize(
    ("true", "sensitivity", "specificity"), [(0.3, 0.06, 1.0), (0.5, 0.73, 0.9), (0, 0.8, 0.95)]
)
def test_what_would_show_is_brought_back(true: float, sensitivity: float, specificity: float) -> None:
    seen = true * sensitivity + (1 - true) * (1 - specificity)
    assert Errors(sensitivity, specificity).corrected(seen) == pytest.approx(true)


def test_a_rate_stays_within_its_bounds_and_nothing_comes_of_labels_that_say_nothing() -> None:
    assert Errors(0.5, 0.9).corrected(0.02) == 0
    assert Errors(0.5, 0.9).corrected(0.9) == 1
    with pytest.raises(ValueError, match="say nothing"):
        Errors(0.4, 0.6).corrected(0.5)


def test_a_labeller_without_errors_leaves_newcombes_interval() -> None:
    """Newcombe's interval is the same construction from the same two of Wilson."""
    found = corrected((30, 100), (20, 80), Errors(1, 1), Errors(1, 1))
    assert (found.low, found.high) == pytest.approx(newcombe(30, 100, 20, 80))
    assert found.effect == pytest.approx(0.05)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng, errors = np.random.default_rng(5), (Errors(0.6, 0.95), Errors(0.9, 0.99))
    seen = [0.3 * e.sensitivity + 0.7 * (1 - e.specificity) for e in errors]
    hits = 0
    for _ in range(400):
        a, b = (float(rng.binomial(300, rate)) for rate in seen)
        found = corrected((a, 300), (b, 300), *errors)
        hits += found.low <= 0 <= found.high
    assert 0.92 <= hits / 400 <= 0.98
