"""Draws: as equal as the strata last, with the chance of each, the same again by the same seed."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beacon_pipeline.labels.sampling import LEAST, SampleTooSmall, drawn, shares

SIZES = {
    ("m", "regional", "eu", "complete"): 90,
    ("m", "regional", "us", "refusal"): 4,
    ("n", "a", "eu", "evasive"): 1,
}
STRATA = {f"{number}-{key[1:]}": key for key, size in SIZES.items() for number in range(size)}


def test_strata_get_equal_shares_and_small_ones_all() -> None:
    found = drawn(STRATA, 20, seed="1")
    assert Counter(one.stratum for one in found) == dict(zip(SIZES, (15, 4, 1), strict=True))
    assert {one.stratum: one.chance for one in found} == pytest.approx(
        dict(zip(SIZES, (15 / 90, 1, 1), strict=True))
    )
    assert sum(1 / one.chance for one in found) == pytest.approx(len(STRATA))


def test_a_seed_draws_the_same_and_another_others() -> None:
    assert drawn(STRATA, 20, seed="1") == drawn(dict(reversed(STRATA.items())), 20, seed="1")
    assert drawn(STRATA, 20, seed="1") != drawn(STRATA, 20, seed="2")
    assert len(drawn(STRATA, 1000, seed="1")) == len(STRATA)


def test_each_answer_of_a_stratum_is_as_likely() -> None:
    counts = Counter(one.execution_id for seed in range(400) for one in drawn(STRATA, 35, seed=str(seed)))
    big = [counts[name] for name, key in STRATA.items() if SIZES[key] == 90]
    assert sum(big) == 400 * 30
    assert 90 < min(big) <= max(big) < 180  # 133 expected, 9.4 standard deviation


def test_two_of_each_stratum_at_least() -> None:
    with pytest.raises(SampleTooSmall, match=r"4 answers are too few for 3 strata .*; give --size 5"):
        drawn(STRATA, 4, seed="1")


@given(st.lists(st.integers(1, 30), min_size=1, max_size=9), st.integers(1, 200))
def test_shares_add_up(sizes: list[int], size: int) -> None:
    named = {("m", "a", "r", str(number)): there for number, there in enumerate(sizes)}
    found = shares(named, size)
    assert sum(found.values()) == min(size, sum(sizes))
    assert all(found[key] <= there for key, there in named.items())
    if size >= LEAST * len(sizes):
        assert all(found[key] >= min(LEAST, there) for key, there in named.items())
