"""A small chaos: kills, an outage and a locked database while runs ask; the record comes out whole."""

from pathlib import Path

from tests.chaos.suite import KINDS, must_be_whole, plan, run


def test_a_seed_makes_one_plan() -> None:
    assert plan(7, 20) == plan(7, 20) != plan(8, 20)
    assert {disturbance.kind for disturbance in plan(7, 40)} == set(KINDS)


def test_the_record_is_whole_after_chaos(tmp_path: Path) -> None:
    must_be_whole(run(7, tmp_path, questions=10, count=4), 60)
