"""Bounds, conditions and combinations of dbt-expectations' tests, on one table."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import ValidationError

from dbt_like_checks import Reader, open_engine
from dbt_like_checks.database.dialects import Dialect
from dbt_like_checks.errors import CannotCompile
from dbt_like_checks.parse.project import Column, Relation
from dbt_like_checks.tests.generic import expectations
from dbt_like_checks.tests.generic.tested import Table, Tested
from dbt_like_checks.tests.registry import GenericTest
from tests.dbt_like_checks.conftest import fill

WORDS = sa.table("words", sa.column("id"), sa.column("word"), sa.column("kind"))
TABLE = Table(Relation(name="words"), ("id", "word", "kind"), ("id",), WORDS)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    path = Path(tmp_path_factory.mktemp("words")) / "data.db"
    fill(
        f"sqlite:///{path}",
        "CREATE TABLE words (id integer, word text, kind text)\n"
        "INSERT INTO words VALUES (1, 'ab', 'x'), (2, 'abc', 'x'), (3, 'bcd', 'x'), (4, NULL, 'y')",
    )
    opened = open_engine(f"sqlite:///{path}")
    reading = Reader(opened)
    yield reading
    reading.close()
    opened.dispose()


def selected(kind: str, column: str | None, **arguments: Any) -> sa.Select[Any]:
    on = Tested(
        table=TABLE,
        rows=WORDS,
        dialect=Dialect.SQLITE,
        read_table=lambda _: TABLE,
        read_types=lambda _: {},
        tested_column=None if column is None else Column(name=column),
    )
    return getattr(expectations, kind).function(on, **arguments)


# the test and its arguments -> how many rows fail
CASES: list[tuple[str, dict[str, Any], int]] = [
    ("expect_column_value_lengths_to_equal", {"value": 3}, 1),
    ("expect_column_value_lengths_to_equal", {"value": 2, "row_condition": "id <> 2"}, 1),
    ("expect_column_value_lengths_to_be_between", {"min_value": 2, "max_value": 3}, 0),
    ("expect_column_value_lengths_to_be_between", {"min_value": 2, "strictly": True}, 1),
    ("expect_column_value_lengths_to_be_between", {"max_value": 3, "strictly": True}, 2),
    ("expect_column_value_lengths_to_be_between", {"min_value": 3}, 1),
    ("expect_column_value_lengths_to_be_between", {"max_value": 2}, 2),
    ("expect_column_values_to_match_regex", {"regex": "^ab"}, 1),
    ("expect_column_values_to_match_regex", {"regex": "^ab", "row_condition": "id < 3"}, 0),
    ("expect_column_values_to_not_match_regex", {"regex": "^ab"}, 2),
    ("expect_column_values_to_match_regex_list", {"regex_list": ["^a", "c"]}, 0),
    ("expect_column_values_to_match_regex_list", {"regex_list": ["^a", "c"], "match_on": "all"}, 2),
    ("expect_column_values_to_not_match_regex_list", {"regex_list": ["^a", "d"]}, 0),
    ("expect_column_values_to_not_match_regex_list", {"regex_list": ["^a", "d"], "match_on": "all"}, 3),
    ("expect_column_to_exist", {}, 0),
    ("expect_column_to_exist", {"column_index": 2, "transform": "lower"}, 0),
    ("expect_column_to_exist", {"column_index": 3}, 1),
    ("expect_column_to_exist", {"column_index": 1}, 1),
    (
        "expect_column_value_lengths_to_be_between",
        {"min_value": 2, "max_value": 2, "row_condition": "id<3"},
        1,
    ),
    ("expect_column_values_to_not_match_regex", {"regex": "^ab", "row_condition": "id < 2"}, 1),
    ("expect_column_values_to_match_regex_list", {"regex_list": ["^A"], "flags": "i"}, 1),
    ("expect_column_values_to_not_match_regex_list", {"regex_list": ["^A"], "flags": "i"}, 2),
    ("expect_column_values_to_match_regex", {"regex": "^A", "flags": "i"}, 1),
    ("expect_column_values_to_not_match_regex", {"regex": "^A", "flags": "i"}, 2),
]
ROW_COUNTS: list[tuple[dict[str, Any], int]] = [
    ({"min_value": 4, "max_value": 4}, 0),
    ({"min_value": 4, "strictly": True}, 1),
    ({"max_value": 4, "strictly": True}, 1),
    ({"max_value": 3, "row_condition": "word is not null"}, 0),
    ({"min_value": 2, "group_by": ("kind",)}, 1),
    ({"max_value": 0, "group_by": ("kind",)}, 2),
]


@pytest.mark.parametrize(("kind", "arguments", "failing"), CASES)
def test_how_many_values_fail(reader: Reader, kind: str, arguments: dict[str, Any], failing: int) -> None:
    with reader.reading() as connection:
        assert len(connection.execute(selected(kind, "word", **arguments)).all()) == failing


@pytest.mark.parametrize(("arguments", "failing"), ROW_COUNTS)
def test_how_many_groups_fail(reader: Reader, arguments: dict[str, Any], failing: int) -> None:
    query = selected("expect_table_row_count_to_be_between", None, **arguments)
    with reader.reading() as connection:
        assert len(connection.execute(query).all()) == failing


def test_a_column_that_is_not_there_is_shown_with_its_name(reader: Reader) -> None:
    with reader.reading() as connection:
        (row,) = connection.execute(selected("expect_column_to_exist", "wrd")).mappings()
    assert tuple(row.values()) == ("wrd", -1, True)


def test_what_cannot_be_tested_says_what_to_give() -> None:
    for kind in ("expect_column_value_lengths_to_be_between", "expect_table_row_count_to_be_between"):
        with pytest.raises(CannotCompile, match="give min_value, max_value or both"):
            selected(kind, "word")
    with pytest.raises(CannotCompile, match="give 'column_name'"):
        selected("expect_column_to_exist", None)


def test_all_of_them_are_registered() -> None:
    assert {test.function.__name__ for test in expectations.TESTS} == {
        *(kind for kind, _, _ in CASES),
        "expect_table_row_count_to_be_between",
    }


# The defaults that a test has where a file gives nothing: as the package has them.
DEFAULTS = {
    "expect_column_values_to_match_regex": {"row_condition": None, "is_raw": False, "flags": ""},
    "expect_column_values_to_not_match_regex": {"row_condition": None, "is_raw": False, "flags": ""},
    "expect_column_values_to_match_regex_list": {
        "match_on": "any",
        "row_condition": None,
        "is_raw": False,
        "flags": "",
    },
    "expect_column_values_to_not_match_regex_list": {
        "match_on": "any",
        "row_condition": None,
        "is_raw": False,
        "flags": "",
    },
    "expect_column_value_lengths_to_equal": {"row_condition": None},
    "expect_column_value_lengths_to_be_between": {
        "min_value": None,
        "max_value": None,
        "row_condition": None,
        "strictly": False,
    },
    "expect_table_row_count_to_be_between": {
        "min_value": None,
        "max_value": None,
        "group_by": (),
        "row_condition": None,
        "strictly": False,
    },
    "expect_column_to_exist": {"column_index": None, "transform": "upper"},
}


@pytest.mark.parametrize("test", expectations.TESTS)
def test_what_is_not_given_has_the_packages_default(test: GenericTest) -> None:
    parameters = inspect.signature(test.function).parameters.values()
    given = {one.name: one.default for one in parameters if one.default is not one.empty}
    assert given == DEFAULTS[test.function.__name__]


def test_rows_are_counted_in_one_pass_unless_by_groups_or_under_a_condition(reader: Reader) -> None:
    test = expectations.expect_table_row_count_to_be_between
    assert test.in_pass is not None
    on = Tested(
        table=TABLE,
        rows=WORDS,
        dialect=Dialect.SQLITE,
        read_table=lambda _: TABLE,
        read_types=lambda _: {},
    )
    bounds = {"min_value": None, "max_value": None, "group_by": (), "row_condition": None, "strictly": False}
    with reader.reading() as connection:
        for given, failures in (({"min_value": 4}, 0), ({"min_value": 5}, 1), ({"max_value": 3}, 1)):
            number = test.in_pass(on, **bounds | given)
            assert number is not None
            assert connection.scalar(sa.select(number).select_from(WORDS)) == failures
    for given in ({"group_by": ("kind",)}, {"row_condition": "id > 1"}):
        assert test.in_pass(on, **bounds | {"min_value": 1} | given) is None


@pytest.mark.parametrize(
    ("kind", "given", "refused"),
    [
        ("expect_column_values_to_match_regex", {"regex": "a"}, {"regex": ""}),
        ("expect_column_values_to_match_regex", {"regex": "a" * 10_000}, {"regex": "a" * 10_001}),
        ("expect_column_values_to_match_regex", {"regex": "a", "flags": "cims"}, {"flags": "g"}),
        ("expect_column_values_to_match_regex_list", {"regex_list": "a"}, {"regex_list": []}),
        ("expect_column_value_lengths_to_equal", {"value": 0}, {"value": -1}),
        ("expect_column_to_exist", {"column_index": 1}, {"column_index": 0}),
    ],
)
def test_where_an_argument_ends(kind: str, given: dict[str, Any], refused: dict[str, Any]) -> None:
    (test,) = (one for one in expectations.TESTS if one.function.__name__ == kind)
    arguments: Any = test.arguments
    arguments.model_validate(given)
    with pytest.raises(ValidationError):
        arguments.model_validate(given | refused)
