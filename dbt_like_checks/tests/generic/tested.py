"""What a generic test is given: the tested rows, their columns, and other tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any

import pydantic
import sqlalchemy as sa

from dbt_like_checks.database.dialects import Dialect, written
from dbt_like_checks.errors import CannotCompile, did_you_mean
from dbt_like_checks.parse.configuration import sql_text
from dbt_like_checks.parse.project import Column, Relation
from dbt_like_checks.parse.references import bare_name

_NAME = re.compile(r"\w+")  # what can only be meant as a column's name


def _resolved(value: object, info: pydantic.ValidationInfo) -> object:
    # Grammar passes the function that knows the project's models and sources.
    resolve: Callable[[str], Relation] | None = (info.context or {}).get("resolve")
    return resolve(value) if resolve is not None and isinstance(value, str) else value


OtherTable = Annotated[
    Relation,
    pydantic.BeforeValidator(_resolved),
    pydantic.WithJsonSchema(
        {"type": "string", "description": "ref('model'), source('source', 'table'), or a table"}
    ),
]
ColumnName = Annotated[str, pydantic.Field(min_length=1, description="a column of the tested table")]


def listed(value: object) -> object:
    """A list of one, where one stands for it."""
    return [value] if isinstance(value, str) else value


OneOrMore = pydantic.BeforeValidator(listed)
ColumnNames = Annotated[tuple[ColumnName, ...], OneOrMore, pydantic.Field(min_length=1)]
Sql = Annotated[
    str,
    pydantic.AfterValidator(sql_text),
    pydantic.Field(description="an SQL expression, run read-only as written"),
]


@dataclass(frozen=True)
class Table:
    """A table of the database: its columns' names, its primary key's, and what to select from."""

    relation: Relation
    columns: tuple[str, ...]
    key: tuple[str, ...]
    from_clause: sa.FromClause


def find_name(wanted: str, columns: Collection[str], *, quoted: bool = False) -> str | None:
    """The column called ``wanted``, in another case unless quoted; None where there is none.

    It may be written as in SQL, ``"Order"``, which is dbt's way to quote a name in an argument.
    """
    bare = bare_name(wanted)
    for name in (wanted, bare):
        if name in columns:
            return name
    alike = [name for name in columns if name.casefold() == bare.casefold()]
    return alike[0] if len(alike) == 1 and not quoted else None


def exact_name(wanted: str, columns: Sequence[str], *, quoted: bool, table: object) -> str:
    """The column called ``wanted``, in another case unless quoted. Raises CannotCompile."""
    if found := find_name(wanted, columns, quoted=quoted):
        return found
    raise CannotCompile(f"no column {wanted!r} in {str(table)!r}{did_you_mean(wanted, columns)}")


class Purpose(Enum):
    """What failing rows are selected for, which decides their columns."""

    COUNT = "count"  # nothing more than the test needs: it would cost time
    SAMPLE = "sample"  # a few are shown: the primary key belongs with them
    STORE = "store"  # they are kept in a table, as dbt keeps them: whole where the test is on rows


@dataclass(frozen=True)
class Tested:
    """What one test is on.

    ``rows`` is the table, or the part of it that ``where`` and the run leave (``conditions``), as something
    to select from; ``restricted``: the run is about a part only.
    """

    __test__ = False  # pytest would collect a class whose name begins so

    table: Table
    rows: sa.FromClause
    dialect: Dialect
    read_table: Callable[[Relation], Table]
    read_types: Callable[[Relation], Mapping[str, str]]
    tested_column: Column | None = None
    conditions: tuple[sa.ColumnElement[Any], ...] = ()
    restricted: bool = False
    purpose: Purpose = Purpose.COUNT

    @property
    def sampling(self) -> bool:
        """Whether the rows are to be shown, with their key."""
        return self.purpose is Purpose.SAMPLE

    @property
    def storing(self) -> bool:
        """Whether the rows are to be kept in a table, which has dbt's columns."""
        return self.purpose is Purpose.STORE

    @property
    def column(self) -> sa.ColumnElement[Any]:
        """The tested column. Raises CannotCompile where there is none or it does not exist."""
        if self.tested_column is None:
            raise CannotCompile("this test is on a column: write it under one, or give 'column_name'")
        return self.named(self.tested_column.name, quoted=self.tested_column.quote)

    def all_named(self, names: Sequence[str]) -> list[sa.ColumnElement[Any]]:
        """Columns of the tested table by name. Raises CannotCompile."""
        return [self.named(name) for name in names]

    def named(self, name: str, *, quoted: bool = False) -> sa.ColumnElement[Any]:
        """A column of the tested table, in another case unless ``quoted``. Raises CannotCompile."""
        # SQLite and DuckDB find a quoted name in any case; PostgreSQL does not.
        exact = (quoted or bare_name(name) != name) and self.dialect is Dialect.POSTGRESQL
        found = exact_name(name, self.table.columns, quoted=exact, table=self.table.relation)
        return self.rows.c[found]

    def named_or_written(self, text: str) -> sa.ColumnElement[Any]:
        """The column of that name, or the owner's SQL expression. Raises CannotCompile.

        What is a name and nothing else is no expression: a misspelled column would be one.
        """
        if _NAME.fullmatch(text) or find_name(text, self.table.columns) is not None:
            return self.named(text)
        return written(text)

    @property
    def column_type(self) -> str:
        """The type of the tested column, as the database calls it; "" where it has none."""
        return self.read_types(self.table.relation).get(self.column.key or "", "")

    def other(self, relation: Relation) -> Table:
        """Another table. Raises CannotCompile where it does not exist."""
        return self.read_table(relation)

    def failing(self, condition: sa.ColumnElement[Any], *shown: sa.ColumnElement[Any]) -> sa.Select[Any]:
        """The tested rows that meet a condition: what most tests return.

        They show ``shown``, by default the tested column or all columns; sampled, the key as well,
        and stored, all columns.
        """
        chosen = list(shown) or ([self.column] if self.tested_column else list(self.rows.c))
        beside = self.rows.c if self.purpose is Purpose.STORE else self.key_columns()
        columns = {column.key: column for column in [*beside, *chosen]}
        return sa.select(*columns.values()).where(condition)

    def key_columns(self) -> list[sa.ColumnElement[Any]]:
        """The primary key's columns where rows are to be shown, otherwise none."""
        return [self.rows.c[name] for name in self.table.key] if self.sampling else []

    def first_key(self) -> list[sa.ColumnElement[Any]]:
        """For tests on groups: the first key of each group where rows are to be shown."""
        if not self.sampling or len(self.table.key) != 1:
            return []
        name = self.table.key[0]
        return [sa.func.min(self.rows.c[name]).label(f"first_{name}")]


def one_if(condition: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """1 where it holds, otherwise 0: the count of a test that fails once.

    Its numbers are no parameters: of two aggregates that differ in one, a database makes two.
    """
    return sa.case((condition, sa.literal_column("1")), else_=sa.literal_column("0"))


def column_of(table: Table, name: str) -> sa.ColumnElement[Any]:
    """A column of another table by name. Raises CannotCompile."""
    return table.from_clause.c[exact_name(name, table.columns, quoted=False, table=table.relation)]
