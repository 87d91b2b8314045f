"""The parts that all tests share: intervals, wider ones, the p of a permutation."""

import numpy as np
import pytest
from scipy import stats

from beacon_pipeline.findings.statistics.estimate import DRAWS, Estimate, ends_around, share_at_least

FOUND = Estimate(0.1, -0.1, 0.3, (-0.05, 0.25), 0.95, 0.2, 0.0, "block", 8, "t")


def test_an_interval_is_widened_on_the_side_that_needs_it() -> None:
    wider = FOUND.widened((-0.2, 0.2), (-0.04, 0.26))
    assert (wider.low, wider.high, wider.narrow) == (-0.2, 0.3, (-0.05, 0.26))
    assert FOUND.widened((0.0, 0.4), (-0.1, 0.0)).narrow == (-0.1, 0.25)
    assert FOUND.widened((0.0, 0.4), (0.0, 0.0)).high == 0.4
    assert (wider.effect, wider.p, wider.units) == (0.1, 0.2, 8)


def test_the_narrow_interval_has_the_whole_error_on_each_side() -> None:
    wide, narrow = ends_around(0.5, 0.1, 0.95, stats.norm.isf)
    assert wide == pytest.approx((0.5 - 0.1959964, 0.5 + 0.1959964))
    assert narrow == pytest.approx((0.5 - 0.1644854, 0.5 + 0.1644854))


@pytest.mark.parametrize(
    ("observed", "exact", "p"),
    [(3.0, True, 0.5), (3.0, False, 0.6), (9.0, False, 0.2), (9.0, True, 0.0), (3.0 + 1e-12, True, 0.5)],
)
def test_the_share_of_draws_that_reach_what_was_observed(observed: float, exact: bool, p: float) -> None:
    assert share_at_least(np.array([1.0, 2.0, 3.0, 4.0]), observed, exact=exact) == pytest.approx(p)


def test_how_many_permutations_are_drawn() -> None:
    assert DRAWS == 9_999  # so that the least p is 1 in 10,000
