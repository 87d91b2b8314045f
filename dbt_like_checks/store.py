"""Failing rows kept in a table of their own, as dbt's ``store_failures``.

The only writing in this package. It goes to the schema ``dbt_test__audit`` and, on SQLite, which
has no schemas, to tables whose names begin with ``dbt_test__audit__``; to nothing else.
"""

from __future__ import annotations

import sqlalchemy as sa

from dbt_like_checks.compile import Query
from dbt_like_checks.database import writing
from dbt_like_checks.dialects import Dialect
from dbt_like_checks.names import alias
from dbt_like_checks.project import DataTest, Relation

AUDIT = "dbt_test__audit"


def stored_relation(test: DataTest, dialect: Dialect) -> Relation:
    """The table that a test's failing rows are kept in."""
    if dialect is Dialect.SQLITE:
        return Relation(f"{AUDIT}__{alias(test.name)}")
    return Relation(alias(test.name), AUDIT)


def store_failures(engine: sa.Engine, test: DataTest, query: Query, timeout: float | None) -> Relation:
    """Replace the test's table by the failing rows of now. Raises SQLAlchemyError.

    The SELECT has just run in a transaction that could not write, so it does not write here.
    """
    dialect = Dialect.of(engine.dialect.name)
    relation = stored_relation(test, dialect)
    name = sa.sql.quoted_name(relation.name, quote=True)
    with writing(engine, timeout) as connection:
        if relation.schema:
            connection.execute(sa.schema.CreateSchema(relation.schema, if_not_exists=True))
        table = sa.Table(name, sa.MetaData(), schema=relation.schema)
        connection.execute(sa.schema.DropTable(table, if_exists=True))
        connection.execute(query.failing.into(name, schema=relation.schema))
    return relation
