"""A declared test as SQL: one aggregate query that counts its failing rows, as dbt counts them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import sqlalchemy as sa

from dbt_like_checks.database.dialects import Dialect, written
from dbt_like_checks.database.tables import Tables
from dbt_like_checks.errors import CannotCompile
from dbt_like_checks.parse.project import DataTest, Relation, Singular
from dbt_like_checks.tests.generic.tested import Purpose, Table, Tested
from dbt_like_checks.tests.registry import GenericTest, Registry

Restriction = Callable[[Mapping[str, sa.ColumnElement[Any]], Dialect], sa.ColumnElement[bool] | None]
"""Which rows of a tested table a run is about, given its columns by name; None: all of them.

Like ``where`` it applies to the tested table only. Bind the values in it.
"""

COUNT = "count(*)"


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
    _counts_rows: bool = False  # the failures are the failing rows, all of them

    @property
    def condition(self) -> tuple[sa.FromClause, sa.ColumnElement[Any]] | None:
        """The table and the condition whose rows are the failures, where the test is no more than that."""
        rows = self._failing(Purpose.COUNT)
        try:
            where, tables = rows.whereclause, rows.get_final_froms()
        except sa.exc.CompileError:  # it says so when its turn comes
            return None
        if not self._counts_rows or where is None or len(tables) != 1:
            return None
        # No groups, no limit, nothing but columns of one table: else it would differ from this.
        plain = sa.select(*rows.selected_columns).where(where)
        is_plain = isinstance(tables[0], sa.TableClause) and rows.compare(plain)
        return (tables[0], where) if is_plain else None

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
    if test.sql is not None:
        singular = _singular(test.sql, tables)
        counted_by, restricted = COUNT, False

        def failing(purpose: Purpose) -> sa.Select[Any]:
            return singular

    else:
        generic = registry.find(test.kind)
        tested = _tested(test, tables, restrict)
        counted_by, restricted = generic.count, tested.restricted

        def failing(purpose: Purpose) -> sa.Select[Any]:
            return _failing_rows(generic, replace(tested, purpose=purpose), test)

    limit = test.config.limit
    count = _count(failing(Purpose.COUNT), test.config.fail_calc or counted_by, limit)
    plainly = limit is None and (test.config.fail_calc or counted_by) == COUNT and test.sql is None
    return Query(count, failing, limit, tables.reader.engine.url.drivername, restricted, plainly)


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
    return Tested(
        table=table,
        rows=_rows(table, test.config.where, restriction),
        dialect=dialect,
        read_table=tables.read,
        read_types=tables.types,
        tested_column=test.column,
        restricted=restriction is not None,
    )


def _rows(table: Table, where: str | None, restriction: sa.ColumnElement[bool] | None) -> sa.FromClause:
    if where is None and restriction is None:
        return table.from_clause
    rows = sa.select(*(table.from_clause.c[name] for name in table.columns))
    if where is not None:
        rows = rows.where(written(where))
    if restriction is not None:
        rows = rows.where(restriction)
    return rows.subquery("dbt_subquery")


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
