"""The tables of one database as they are: columns and primary keys, each looked at once."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import sqlalchemy as sa

from dbt_like_checks.database import Reader, explain
from dbt_like_checks.dialects import Dialect
from dbt_like_checks.errors import CannotCompile, did_you_mean
from dbt_like_checks.generic.tested import Table
from dbt_like_checks.project import Relation


@dataclass
class Tables:
    """Looks tables up; ``schema`` is that of relations that name none. Thread-safe."""

    reader: Reader
    schema: str | None = None
    _read: dict[Relation, Table] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, relation: Relation) -> Table:
        """A table with its columns and key. Raises CannotCompile where it does not exist."""
        with self._lock:
            if relation not in self._read:
                self._read[relation] = self._look_at(relation)
            return self._read[relation]

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
        try:
            with self.reader.reading() as connection:
                columns = tuple(connection.execute(nothing).keys())
                key = self._primary_key(connection, relation)
        except sa.exc.DBAPIError as error:
            raise CannotCompile(self._say_missing(relation, error)) from None
        return Table(relation, columns, key, self.named(relation, columns))

    def _say_missing(self, relation: Relation, error: sa.exc.DBAPIError) -> str:
        schema = relation.schema or self.schema
        try:
            with self.reader.reading() as connection:
                inspector = sa.inspect(connection)
                known = [*inspector.get_table_names(schema), *inspector.get_view_names(schema)]
        except sa.exc.SQLAlchemyError:
            return explain(error, self.reader.engine, self.reader.timeout)
        if relation.name in known:
            return explain(error, self.reader.engine, self.reader.timeout)
        return f"no table {str(relation)!r} in the database{did_you_mean(relation.name, known)}"

    def _primary_key(self, connection: sa.Connection, relation: Relation) -> tuple[str, ...]:
        schema = relation.schema or self.schema
        if self.reader.dialect is not Dialect.DUCKDB:
            found = sa.inspect(connection).get_pk_constraint(relation.name, schema)
            return tuple(found["constrained_columns"])
        # duckdb_engine asks PostgreSQL's catalogs, which DuckDB has only in part.
        query = sa.text(
            "SELECT constraint_column_names FROM duckdb_constraints()"
            " WHERE constraint_type = 'PRIMARY KEY' AND table_name = :name"
            " AND schema_name = coalesce(:schema, current_schema())"
        )
        names = connection.execute(query, {"name": relation.name, "schema": schema}).scalar()
        return tuple(names or ())
