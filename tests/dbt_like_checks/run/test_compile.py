"""A declared test as SQL: what counts its failures, on which rows it is, what cannot be compiled."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from dbt_like_checks import (
    Reader,
    Restriction,
    Tables,
    compile_test,
    default_registry,
    generic_test,
    open_engine,
)
from dbt_like_checks.database.dialects import Dialect
from dbt_like_checks.errors import CannotCompile, Place
from dbt_like_checks.parse.project import Column, Config, DataTest, Model, Relation, Singular
from dbt_like_checks.run.compile import Query, readable
from dbt_like_checks.tests.generic.tested import Tested
from dbt_like_checks.tests.registry import GenericTest, Registry
from tests.dbt_like_checks.conftest import fill


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tables]:
    path = tmp_path_factory.mktemp("compiled") / "data.db"
    fill(
        f"sqlite:///{path}",
        "CREATE TABLE words (id integer PRIMARY KEY, word text, size integer)\n"
        "INSERT INTO words VALUES (1, NULL, 5), (2, NULL, 50), (3, NULL, 500), (4, 'a', 1)",
    )
    engine = open_engine(f"sqlite:///{path}")
    reader = Reader(engine)
    yield Tables(reader)
    reader.close()
    engine.dispose()


def declared(kind: str = "not_null", column: str | None = "word", **config: Any) -> DataTest:
    return DataTest(
        name="t",
        unique_id="t",
        kind=kind,
        model=Model("words", Relation("words")),
        column=None if column is None else Column(column),
        arguments={},
        config=Config(**config),
        description="",
        place=Place("checks.yaml", 1),
    )


def compiled(
    tables: Tables, test: DataTest, *more: GenericTest, restrict: Restriction | None = None
) -> Query:
    registry = Registry([*default_registry(), *more]) if more else default_registry()
    return compile_test(test, tables, registry, restrict)


def rows(tables: Tables, query: sa.Select[Any]) -> list[Mapping[str, Any]]:
    with tables.reader.reading() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


@generic_test(column="none")
def all_rows(tested: Tested) -> sa.Select[Any]:
    """Every row fails."""
    return tested.failing(sa.true())


@generic_test(column="none", count="sum(size)")
def all_sizes(tested: Tested) -> sa.Select[Any]:
    """Fails as often as the sizes say."""
    return tested.failing(sa.true())


@generic_test(column="none")
def no_select(tested: Tested) -> Any:
    """Returns what is no query."""
    return "select 1"


@generic_test(column="none")
def raising(tested: Tested) -> sa.Select[Any]:
    """Fails for itself."""
    raise ZeroDivisionError("first line\nsecond line")


@generic_test(column="none")
def refusing(tested: Tested) -> sa.Select[Any]:
    """Says why it does not fit."""
    raise CannotCompile("it does not fit")


@pytest.mark.parametrize(
    ("config", "failures"),
    [
        ({}, 3),
        ({"where": "size > 5"}, 2),
        ({"where": "word like '%:x'"}, 0),
        ({"limit": 2}, 2),
        ({"limit": 9}, 3),
        ({"fail_calc": "max(size)", "kind": "all_rows"}, 500),
        ({"fail_calc": "count(*) * 10", "limit": 2}, 20),
    ],
)
def test_failures_are_counted_as_configured(tables: Tables, config: dict[str, Any], failures: int) -> None:
    test = declared(column=None, **config) if "kind" in config else declared(**config)
    query = compiled(tables, test, all_rows)
    assert rows(tables, query.count) == [{"failures": failures}]


def test_a_generic_test_may_count_in_its_own_way(tables: Tables) -> None:
    query = compiled(tables, declared("all_sizes", None), all_sizes)
    assert rows(tables, query.count) == [{"failures": 556}]
    own = compiled(tables, declared("all_sizes", None, fail_calc="max(id)"), all_sizes)
    assert rows(tables, own.count) == [{"failures": 4}], "the test's own comes first"


def only_small(columns: Mapping[str, sa.ColumnElement[Any]], dialect: object) -> sa.ColumnElement[bool]:
    return columns["size"] < 100


@pytest.mark.parametrize(
    ("restrict", "where", "failures", "restricted"),
    [
        (None, None, 3, False),
        (lambda columns, dialect: None, None, 3, False),
        (only_small, None, 2, True),
        (only_small, "size > 5", 1, True),
        (None, "size > 5", 2, False),
    ],
)
def test_a_run_may_be_about_a_part_of_the_rows(
    tables: Tables, restrict: Restriction | None, where: str | None, failures: int, restricted: bool
) -> None:
    query = compiled(tables, declared(where=where), restrict=restrict)
    assert rows(tables, query.count) == [{"failures": failures}]
    assert query.restricted is restricted


def test_some_failing_rows_have_their_key_and_stored_ones_everything(tables: Tables) -> None:
    query = compiled(tables, declared(limit=2))
    assert [list(row) for row in rows(tables, query.some_failing(1))] == [["id", "word"]]
    assert len(rows(tables, query.some_failing(9))) == 2, "within the limit"
    assert [list(row) for row in rows(tables, query.failing)] == [["id", "word", "size"]] * 2
    unlimited = compiled(tables, declared())
    assert (len(rows(tables, unlimited.some_failing(2))), len(rows(tables, unlimited.failing))) == (2, 3)


@pytest.mark.parametrize(
    ("test", "problem"),
    [
        (declared("no_select", None), "'no_select' must return a SQLAlchemy select, not str"),
        (declared("raising", None), "'raising' failed: ZeroDivisionError: first line$"),
        (declared("refusing", None), "^it does not fit$"),
        (declared(column="wrd"), "no column 'wrd' in 'words'"),
    ],
)
def test_what_cannot_be_compiled_is_one_line(tables: Tables, test: DataTest, problem: str) -> None:
    with pytest.raises(CannotCompile, match=problem):
        compiled(tables, test, no_select, raising, refusing)


def test_a_query_of_ones_own_keeps_its_colons_and_its_last_comment(tables: Tables) -> None:
    sql = Singular(("select ':x' as said, id from ", Relation("words"), " where size < 100 -- small"))
    query = compiled(tables, replace(declared("singular", None, limit=2), model=None, sql=sql))
    assert rows(tables, query.count) == [{"failures": 2}]
    assert rows(tables, query.failing)[0] == {"said": ":x", "id": 1}
    assert query.restricted is False
    assert '"words"' in query.sql


def test_a_query_is_readable_with_its_values(tables: Tables) -> None:
    assert "LIMIT 2" in compiled(tables, declared(limit=2)).sql
    percent = sa.select(sa.literal("50 %").label("x"))
    assert "'50 %'" in readable(percent, "postgresql+psycopg")
    unwritten = sa.select(sa.literal(object(), sa.PickleType()).label("x"))
    assert ":" in readable(unwritten, "sqlite"), "it stays a parameter"


@generic_test()
def grouped(tested: Tested) -> sa.Select[Any]:
    """Every value fails once, NULL too."""
    return sa.select(tested.column, sa.func.count()).where(tested.rows.c.size > 1).group_by(tested.column)


@generic_test()
def ordered(tested: Tested) -> sa.Select[Any]:
    """Rows of one table, but not as a pass over it would have them."""
    return tested.failing(tested.column.is_(None)).distinct()


@generic_test()
def nested(tested: Tested) -> sa.Select[Any]:
    """Rows for which another query of the tested rows says so."""
    least = sa.select(sa.func.min(tested.rows.c.size)).scalar_subquery()
    return tested.failing(tested.rows.c.size > least)


@generic_test(column="none")
def unconditional(tested: Tested) -> sa.Select[Any]:
    """Every row, without a condition."""
    return sa.select(tested.rows.c.id)


MORE = (grouped, ordered, nested, unconditional)


def in_pass(tables: Tables, query: Query) -> int | None:
    """What the shared pass gives of a test; None where it takes no part."""
    if (part := query.part) is None:
        return None
    assert part.exact
    (row,) = rows(tables, sa.select(part.number.label("n")).select_from(part.table))
    return int(row["n"])


@pytest.mark.parametrize(
    ("test", "number"),
    [
        (declared(), 3),
        (declared(where="size > 5"), 2),
        (declared("grouped", "size"), 3),
        (declared("grouped", "size", where="size < 100"), 2),
        (declared("grouped"), 1),
        (declared("grouped", where="size < 2"), 0),
        (declared("grouped", "id"), 3),
        (declared("ordered"), None),
        (declared("nested"), None),
        (declared("unconditional", None), None),
        (declared(limit=2), None),
        (declared(fail_calc="max(id)"), None),
        (declared(fail_calc="count(*)"), 3),
    ],
)
def test_what_a_shared_pass_over_the_table_says(tables: Tables, test: DataTest, number: int | None) -> None:
    query = compiled(tables, test, *MORE)
    assert in_pass(tables, query) == number
    if number is not None:
        assert rows(tables, query.count) == [{"failures": number}]


def test_a_test_that_has_its_own_number_in_a_pass(tables: Tables) -> None:
    test = declared("dbt_expectations.expect_table_row_count_to_be_between", None)
    few = replace(test, arguments={"min_value": 5, **BOUNDS})
    assert in_pass(tables, compiled(tables, few)) == 1
    groups = replace(test, arguments={"min_value": 5, **BOUNDS, "group_by": ("word",)})
    assert in_pass(tables, compiled(tables, groups)) is None
    some = replace(few, config=Config(where="size > 5"))
    assert in_pass(tables, compiled(tables, some)) is None, "its number would be of the whole table"


BOUNDS: dict[str, Any] = {"max_value": None, "group_by": (), "row_condition": None, "strictly": False}


def test_what_two_tables_or_ones_own_query_say_is_no_part_of_a_pass(tables: Tables) -> None:
    sql = Singular(("select id from ", Relation("words")))
    own = compiled(tables, replace(declared("singular", None), model=None, sql=sql))
    assert (own.part, own.key) == (None, None)


def test_a_key_is_of_a_test_that_is_on_the_whole_table(tables: Tables) -> None:
    found = compiled(tables, declared("unique", "size")).key
    assert found is not None
    assert [column.key for column in found.columns] == ["size"]
    assert found.table.name == "words"  # type: ignore[attr-defined]
    assert rows(tables, found.repeated) == []
    several = declared("dbt_utils.unique_combination_of_columns", None)
    both = compiled(
        tables,
        replace(several, arguments={"combination_of_columns": ("word", "size"), "quote_columns": False}),
    ).key
    assert both is not None
    assert [column.key for column in both.columns] == ["word", "size"]
    for config in ({"where": "size > 1"}, {"limit": 1}, {"fail_calc": "max(n_records)"}):
        assert compiled(tables, declared("unique", "size", **config)).key is None
    assert compiled(tables, declared("unique", "size"), restrict=only_small).key is None
    assert compiled(tables, declared()).key is None


def test_where_a_pass_only_says_that_there_is_none(tables: Tables) -> None:
    class Other:
        """The tables as PostgreSQL's reader gives them; nothing is run."""

        reader = SimpleNamespace(dialect=Dialect.POSTGRESQL, engine=tables.reader.engine)
        read, types, schema = tables.read, tables.types, tables.schema

    query = compile_test(declared("grouped"), Other(), Registry([*default_registry(), *MORE]))  # type: ignore[arg-type]
    part = query.part
    assert part is not None
    assert part.exact is False
    assert rows(tables, sa.select(part.number.label("n")).select_from(part.table)) == [{"n": 3}], (
        "rows, not values"
    )


def test_a_generic_test_needs_a_model(tables: Tables) -> None:
    with pytest.raises(CannotCompile, match="a generic test needs a model"):
        compiled(tables, replace(declared(), model=None))


def test_of_a_restricted_run_only_its_rows_are_shown(tables: Tables) -> None:
    query = compiled(tables, declared(), restrict=only_small)
    assert [row["id"] for row in rows(tables, query.failing)] == [1, 2]
    assert query.restricted is True
