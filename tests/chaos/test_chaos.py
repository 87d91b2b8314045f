"""A short chaos, of `make test-long`: one seed, every kind of disturbance. `make chaos` is the long one."""

from pathlib import Path

import pytest

from tests.chaos.drive import drive
from tests.chaos.plan import Kind, plan

SEED = 7


def test_a_seed_gives_the_same_plan_and_every_kind_of_disturbance() -> None:
    planned = plan(SEED, seconds=75, each=4)
    assert planned == plan(SEED, seconds=75, each=4)
    assert planned != plan(SEED + 1, seconds=75, each=4)
    assert {d.kind for d in planned} == set(Kind)
    assert all(0 < d.at <= 75 for d in planned)


@pytest.mark.long
def test_chaos_heals(tmp_path: Path) -> None:
    figures = drive(tmp_path, SEED, questions=2, jobs=1, seconds=6, each=1, postgresql=False)
    print(figures)
    assert (figures.executions, figures.paid_twice, figures.mismatches) == (12, 0, 0)
    assert figures.disturbances.total() >= 4, "something did go wrong"
