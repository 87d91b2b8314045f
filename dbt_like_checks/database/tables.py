"""The tables of one database as they are: columns and primary keys, each looked at once."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field

import sqlalchemy as sa

from dbt_like_checks.database.access import Reader, explain, is_locked
from dbt_like_checks.database.dialects import Dialect
from dbt_like_checks.errors import CannotCompile, did_you_mean
from dbt_like_checks.parse.project import Relation
from dbt_like_checks.tests.generic.tested import Table

# The primary key's columns in its order, found where and as a query of the table finds it. SQLAlchemy's
# inspector finds no name in another case on SQLite, and on DuckDB asks PostgreSQL's catalogs.
_KEY = {
    Dialect.SQLITE: "SELECT name FROM pragma_table_info(:name, :schema) WHERE pk > 0 ORDER BY pk",
    Dialect.POSTGRESQL: """
        SELECT attname FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
        WHERE indisprimary AND indrelid =
            to_regclass(concat_ws('.', quote_ident(CAST(:schema AS text)), quote_ident(:name)))
        ORDER BY array_position(CAST(indkey AS int2[]), attnum)""",
    Dialect.DUCKDB: """
        SELECT unnest(constraint_column_names) FROM duckdb_constraints()
        WHERE constraint_type = 'PRIMARY KEY' AND lower(table_name) = lower(:name)
            AND lower(schema_name) = lower(coalesce(:schema, current_schema()))""",
}
# As dbt's adapters say them: those of the information schema; SQLite's as they were declared.
_TYPES = {
    Dialect.SQLITE: "SELECT name, type FROM pragma_table_info(:name, :schema)",
    Dialect.POSTGRESQL: """
        SELECT column_name, data_type FROM information_schema.columns
        WHERE table_name = :name AND table_schema = coalesce(CAST(:schema AS text), current_schema())""",
    Dialect.DUCKDB: """
        SELECT column_name, data_type FROM duckdb_columns()
        WHERE lower(table_name) = lower(:name)
            AND lower(schema_name) = lower(coalesce(:schema, current_schema()))""",
}


@dataclass
class Tables:
    """Looks tables up; ``schema`` is that of relations that name none. Thread-safe."""

    reader: Reader
    schema: str | None = None
    _looked: dict[Relation, Future[Table]] = field(default_factory=dict)
    _types: dict[Relation, Mapping[str, str]] = field(default_factory=dict)

    def read(self, relation: Relation) -> Table:
        """A table with its columns and key, as when it was first asked for.

        Raises CannotCompile where it does not exist or could not be looked at.
        """
        looked = self._looked.get(relation)
        if looked is None:
            mine: Future[Table] = Future()
            looked = self._looked.setdefault(relation, mine)
            if looked is mine:
                # Whoever asks for this table meanwhile waits; who asks for another does not.
                try:
                    mine.set_result(self._look_at(relation))
                except BaseException as error:  # noqa: BLE001  it is raised to all who wait
                    mine.set_exception(error)
        return looked.result()

    def types(self, relation: Relation) -> Mapping[str, str]:
        """The types of a table's columns by name, as the database calls them; asked for when needed.

        Raises SQLAlchemyError.
        """
        if relation not in self._types:
            names = {"name": relation.name, "schema": relation.schema or self.schema}
            with self.reader.reading() as connection:
                rows = connection.execute(sa.text(_TYPES[self.reader.dialect]), names)
                self._types[relation] = {str(name): str(type_) for name, type_ in rows}
        return self._types[relation]

    def named(self, relation: Relation, columns: tuple[str, ...] = ()) -> sa.TableClause:
        """A table for SQL by its exact name, whether or not it exists."""
        schema = relation.schema or self.schema
        return sa.table(
            sa.sql.quoted_name(relation.name, quote=True),
            *[sa.column(sa.sql.quoted_name(name, quote=True)) for name in columns],
            schema=sa.sql.quoted_name(schema, quote=True) if schema else None,
        )

    def _look_at(self, relation: Relation) -> Table:
        nothing = sa.select(sa.text("*")).select_from(self.named(relation)).limit(0)
        key = sa.text(_KEY[self.reader.dialect])
        names = {"name": relation.name, "schema": relation.schema or self.schema}
        try:
            with self.reader.reading() as connection:
                columns = tuple(connection.execute(nothing).keys())
                key_columns = tuple(connection.scalars(key, names))
        except sa.exc.DBAPIError as error:
            if error.connection_invalidated or error.statement is None:
                del self._looked[relation]  # that was the connection: the next test has a new one
            raise CannotCompile(self._say_missing(relation, error)) from None
        return Table(relation, columns, key_columns, self.named(relation, columns))

    def _say_missing(self, relation: Relation, error: sa.exc.DBAPIError) -> str:
        known = None if is_locked(error) else self._known(relation.schema or self.schema)
        if known is None or relation.name in known:
            return explain(error, self.reader.engine, self.reader.timeout)
        return f"no table {str(relation)!r} in the database{did_you_mean(relation.name, known)}"

    def _known(self, schema: str | None) -> list[str] | None:
        with suppress(sa.exc.SQLAlchemyError), self.reader.reading() as connection:
            inspector = sa.inspect(connection)
            return [*inspector.get_table_names(schema), *inspector.get_view_names(schema)]
        return None
