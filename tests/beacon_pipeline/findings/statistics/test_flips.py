"""Sign flips where there are few units, many, or none."""

import numpy as np
import pytest

from beacon_pipeline.findings.statistics.flips import ENUMERATED, flip_results, sign_flips, smallest_p


@pytest.mark.parametrize(
    ("units", "p"), [(0, 1.0), (1, 1.0), (6, 2 / 64), (13, 2 / 8192), (14, 2 / 10_000), (100, 2 / 10_000)]
)
def test_the_least_p_of_so_many_units(units: int, p: float) -> None:
    assert smallest_p(units) == pytest.approx(p)
    assert ENUMERATED == 13


def test_what_so_few_units_cannot_give_has_no_ends() -> None:
    five = sign_flips(np.array([0.1, 0.2, 0.3, 0.2, 0.1]))
    assert (five.low, five.high) == (-1.0, 1.0)
    assert five.narrow == pytest.approx((0.1, 0.3)), "one of 32 patterns is left out at 90 %"
    assert five.p == pytest.approx(2 / 32)
    six = sign_flips(np.array([0.1, 0.2, 0.3, 0.2, 0.1, 0.3]))
    assert (six.low, six.high) == pytest.approx((0.1, 0.3))
    assert (six.effect, six.level, six.smallest_p) == pytest.approx((0.2, 0.95, 2 / 64))
    assert (six.unit, six.units, six.test) == ("block", 6, "sign flips over blocks")
    assert sign_flips(np.array([0.1] * 6), unit="call").test == "sign flips over calls"
    assert sign_flips(np.zeros(6)).p == 1.0


def test_each_row_is_tested_for_itself_and_by_its_seed() -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(0.1, 0.3, (2, 20))
    both = flip_results(rows, 0.95, 3)
    for index, row in enumerate(rows):
        alone = flip_results(row[None, :], 0.95, 3)
        assert [value[index] for value in both] == pytest.approx([value[0] for value in alone])
    other = flip_results(rows, 0.95, 4)
    assert any(one[0] != two[0] for one, two in zip(both, other, strict=True))
    assert sign_flips(rows[0]).low == flip_results(rows[:1], 0.95, 0)[1][0]
    low, high = both[1][0], both[2][0]
    narrow_low, narrow_high = both[3][0], both[4][0]
    assert low < narrow_low < rows[0].mean() < narrow_high < high
