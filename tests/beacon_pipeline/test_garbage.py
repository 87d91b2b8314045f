"""How often a process of an instance looks for garbage."""

import gc
import subprocess
import sys
from collections.abc import Iterator

import pytest

from beacon_pipeline.garbage import OF_A_COMMAND, OF_AN_INSTANCE, look_seldom


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def test_the_most_patient_of_two_decides() -> None:
    gc.set_threshold(700, 10, 10)
    look_seldom(OF_AN_INSTANCE)
    assert gc.get_threshold() == (OF_AN_INSTANCE, 10, 10)
    look_seldom(OF_A_COMMAND)
    look_seldom(OF_AN_INSTANCE)
    assert gc.get_threshold() == (OF_A_COMMAND, 10, 10)


def test_what_a_process_holds_to_its_end_is_not_looked_through_then() -> None:
    """An object in a circle is found by the last look only."""
    code = """
from beacon_pipeline.garbage import look_seldom
class Found:
    def __del__(self): print("found")
if "seldom" in __import__("sys").argv: look_seldom(1000)
one = Found(); one.itself = one; del one
"""
    for argument, said in (("often", "found\n"), ("seldom", "")):
        done = subprocess.run(
            [sys.executable, "-c", code, argument], capture_output=True, text=True, check=True
        )
        assert done.stdout == said


def test_duckdb_has_nothing_to_complain_of() -> None:
    code = (
        "from beacon_pipeline.garbage import look_seldom; look_seldom(1000); import duckdb; duckdb.connect()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
