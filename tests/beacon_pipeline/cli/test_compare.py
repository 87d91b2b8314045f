"""`beacon compare` and `beacon findings` on a record."""

import json

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from beacon_pipeline import environment
from beacon_pipeline.cli import main
from tests.beacon_pipeline.records import a_sound_record


@pytest.fixture(autouse=True)
def _recorded(instance: dg.DagsterInstance) -> None:
    a_sound_record(environment.database_url())


def beacon(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, catch_exceptions=True)


def test_answers_stand_side_by_side_with_what_differs() -> None:
    shown = beacon("compare", "--only-different").output
    assert "1 of 4 answered differently" not in shown
    everything = beacon("compare", "job-1").output
    assert "us" in everything
    assert "apac" in everything
    assert "of 4 answered differently" in everything


def test_as_json_and_by_question() -> None:
    found = json.loads(beacon("compare", "--question", "q2", "--json").stdout)
    assert [(one["model"], one["question"], one["distinct"]) for one in found] == [("tiny-qwen", "q2", 1)]
    assert json.loads(beacon("compare", "--json", "--only-different").stdout) == []


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("compare", "--question", "q22"), "did you mean"),
        (("compare", "no-job"), "unknown job or study"),
        (("findings",), "is of no study"),
        (("findings", "no-study"), "unknown job or study"),
    ],
)
def test_what_is_not_there_is_one_clear_line(arguments: tuple[str, ...], line: str) -> None:
    result = beacon(*arguments)
    assert result.exit_code == 2
    assert line in result.output
    assert len(result.output.strip().splitlines()) == 1
