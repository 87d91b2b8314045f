"""A declared test as SQL: one aggregate query that counts its failing rows, as dbt counts them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import operators
from sqlalchemy.sql.visitors import iterate, replacement_traverse

from dbt_like_checks.database.dialects import Dialect, written
from dbt_like_checks.database.tables import Tables
from dbt_like_checks.errors import CannotCompile
from dbt_like_checks.parse.project import DataTest, Relation, Singular
from dbt_like_checks.tests.generic.tested import Purpose, Table, Tested, one_if
from dbt_like_checks.tests.registry import GenericTest, Registry

Restriction = Callable[[Mapping[str, sa.ColumnElement[Any]], Dialect], sa.ColumnElement[bool] | None]
"""Which rows of a tested table a run is about, given its columns by name; None: all of them.

Like ``where`` it applies to the tested table only. Bind the values in it.
"""

COUNT = "count(*)"
FEW_VALUES = 5  # of a list


@dataclass(frozen=True)
class Part:
    """What one pass over a whole table can say of a test: ``number``, an aggregate.

    It is the test's count where ``exact``; otherwise only 0 says something, that no row fails.
    """

    table: sa.FromClause
    number: sa.ColumnElement[Any]
    exact: bool = True


@dataclass(frozen=True)
class Key:
    """Of a test that values do not repeat: the table, the columns, and the groups that repeat."""

    table: sa.FromClause
    columns: tuple[sa.ColumnElement[Any], ...]
    repeated: sa.Select[Any]


@dataclass(frozen=True)
class Query:
    """A compiled test.

    ``count`` gives one row with one number, the failures. ``restricted``: it is about a part of the
    table's rows only.
    """

    count: sa.Select[Any]
    _failing: Callable[[Purpose], sa.Select[Any]]  # the rows, selected when asked for: most tests pass
    _limit: int | None
    _driver: str
    restricted: bool
    _part: Callable[[], Part | None]
    key: Key | None

    @property
    def part(self) -> Part | None:
        """What the test is in a pass that it shares with others of its table, where it can."""
        return self._part()

    @cached_property
    def sql(self) -> str:
        """``count`` for people to read, its values written out: it is never run."""
        return readable(self.count, self._driver)

    @property
    def failing(self) -> sa.Select[Any]:
        """The failing rows within the test's ``limit``, as they are stored."""
        return _limited(self._failing(Purpose.STORE), self._limit)

    def some_failing(self, most: int) -> sa.Select[Any]:
        """At most so many of the failing rows, with their primary key where the test is on rows."""
        return self._failing(Purpose.SAMPLE).limit(most if self._limit is None else min(most, self._limit))


def compile_test(
    test: DataTest, tables: Tables, registry: Registry, restrict: Restriction | None = None
) -> Query:
    """Compile one test for a database. Raises CannotCompile where it does not fit its table."""
    part: Callable[[], Part | None]
    if test.sql is not None:
        singular = _singular(test.sql, tables)
        counted_by, restricted = COUNT, False
        part, key = _no_part, None

        def failing(purpose: Purpose) -> sa.Select[Any]:
            return singular

    else:
        generic = registry.find(test.kind)
        tested = _tested(test, tables, restrict)
        counted_by, restricted = generic.count, tested.restricted

        def failing(purpose: Purpose) -> sa.Select[Any]:
            return _failing_rows(generic, replace(tested, purpose=purpose), test)

        in_full = test.config.limit is None and (test.config.fail_calc or counted_by) == COUNT
        part = partial(_part_of, generic, tested, test) if in_full else _no_part
        whole = in_full and tested.rows is tested.table.from_clause
        key = _key_of(tested, failing(Purpose.COUNT)) if generic.key and whole else None

    limit = test.config.limit
    count = _count(failing(Purpose.COUNT), test.config.fail_calc or counted_by, limit)
    return Query(count, failing, limit, tables.reader.engine.url.drivername, restricted, part, key)


def _no_part() -> None:
    return None


def _part_of(generic: GenericTest, tested: Tested, test: DataTest) -> Part | None:
    table = tested.table.from_clause
    # The same test on the whole table, and which of its rows are meant as one condition more.
    on_all = replace(tested, rows=table)
    if generic.in_pass is not None:
        number = generic.in_pass(on_all, **test.arguments)
        if number is not None:
            return Part(table, number)
    rows = _failing_rows(generic, on_all, test)
    try:
        failing, tables = rows.whereclause, rows.get_final_froms()
    except sa.exc.CompileError:  # it says so when its turn comes
        return None
    # A query within the condition may be on the tested rows, which here are all.
    if failing is None or tables != [table] or any(isinstance(e, sa.Select) for e in iterate(failing)):
        return None
    meant = sa.and_(*tested.conditions, failing)
    if tested.dialect is Dialect.SQLITE:
        meant = replacement_traverse(meant, {}, _one_by_one)
    number = sa.func.count().filter(meant)
    # No limit, nothing but columns of one table: else it would differ from one of these.
    plain = sa.select(*rows.selected_columns).where(failing)
    if rows.compare(plain):
        return Part(table, number)
    if tested.tested_column is None or not rows.compare(plain.group_by(on_all.column)):
        return None
    if tested.dialect is not Dialect.SQLITE:  # PostgreSQL would read a table alone that it reads in parallel
        return Part(table, number, exact=False)
    of_null = sa.func.count().filter(sa.and_(on_all.column.is_(None), meant))
    values = sa.func.count(on_all.column.distinct()).filter(meant)
    return Part(table, values + one_if(of_null > sa.literal_column("0")))


def _one_by_one(element: Any, **_: Any) -> sa.ColumnElement[bool] | None:
    # SQLite makes a table of the values of a list, in which looking one up takes as long as comparing five.
    if not isinstance(element, sa.BinaryExpression) or element.operator is not operators.not_in_op:
        return None
    listed = element.right.element if isinstance(element.right, sa.sql.elements.Grouping) else None
    values = list(listed.clauses) if isinstance(listed, sa.sql.elements.ClauseList) else []
    if not 0 < len(values) <= FEW_VALUES or not all(isinstance(each, sa.BindParameter) for each in values):
        return None
    return sa.and_(*[element.left != value for value in values])


def _key_of(tested: Tested, repeated: sa.Select[Any]) -> Key:
    columns = (tested.column,) if tested.tested_column else tuple(repeated.selected_columns)
    return Key(tested.table.from_clause, columns, repeated)


def readable(query: sa.Select[Any], driver: str) -> str:
    """The SQL of a query with its values written out, for people to read.

    A value that has no written form stays a parameter: the query runs all the same.
    """
    dialect = _for_reading(driver)
    with suppress(sa.exc.CompileError):
        return str(query.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    return str(query.compile(dialect=dialect))


@cache
def _for_reading(driver: str) -> sa.Dialect:
    # With named parameters a percent sign stays single.
    make: Callable[..., sa.Dialect] = sa.make_url(f"{driver}://").get_dialect()
    return make(paramstyle="named")


def _tested(test: DataTest, tables: Tables, restrict: Restriction | None) -> Tested:
    if test.model is None:
        raise CannotCompile("a generic test needs a model")
    table, dialect = tables.read(test.model.relation), tables.reader.dialect
    restriction = None
    if restrict is not None:
        restriction = restrict({name: table.from_clause.c[name] for name in table.columns}, dialect)
    where = None if test.config.where is None else written(test.config.where)
    conditions = tuple(each for each in (where, restriction) if each is not None)
    return Tested(
        table=table,
        rows=_rows(table, conditions),
        conditions=conditions,
        dialect=dialect,
        read_table=tables.read,
        read_types=tables.types,
        tested_column=test.column,
        restricted=restriction is not None,
    )


def _rows(table: Table, conditions: tuple[sa.ColumnElement[Any], ...]) -> sa.FromClause:
    if not conditions:
        return table.from_clause
    columns = (table.from_clause.c[name] for name in table.columns)
    return sa.select(*columns).where(*conditions).subquery("dbt_subquery")


def _failing_rows(generic: GenericTest, tested: Tested, test: DataTest) -> sa.Select[Any]:
    try:
        selected = generic.function(tested, **test.arguments)
    except CannotCompile:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise CannotCompile(f"the generic test {generic.qualified_name!r} failed: {reason}") from error
    if not isinstance(selected, sa.Select):
        raise CannotCompile(
            f"the generic test {generic.qualified_name!r} must return a SQLAlchemy select,"
            f" not {type(selected).__name__}"
        )
    return selected


def _singular(singular: Singular, tables: Tables) -> sa.Select[Any]:
    quoting = tables.reader.engine.dialect.identifier_preparer

    def spelled(part: str | Relation) -> str:
        if isinstance(part, str):
            return part
        schema = part.schema or tables.schema
        names = [schema, part.name] if schema else [part.name]
        return ".".join(quoting.quote_identifier(name) for name in names)

    # A colon would begin a parameter for SQLAlchemy; the owner's SQL has none. Nothing else is special to it.
    sql = "".join(map(spelled, singular.parts)).replace(":", r"\:")
    # The newline ends a comment that the query may end with.
    rows = sa.text(f"{sql}\n").columns().subquery("dbt_failing")
    return sa.select(sa.literal_column("*")).select_from(rows)


def _limited(rows: sa.Select[Any], limit: int | None) -> sa.Select[Any]:
    return rows if limit is None else rows.limit(limit)


def _count(rows: sa.Select[Any], counted_by: str, limit: int | None) -> sa.Select[Any]:
    inner = _limited(rows, limit).subquery("dbt_internal_test")
    number = sa.func.count() if counted_by == COUNT else sa.literal_column(counted_by)
    return sa.select(number.label("failures")).select_from(inner)
