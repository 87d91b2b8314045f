"""Failing rows kept in a table of their own, as dbt's ``store_failures``.

The only writing in this package. It goes to the schema ``dbt_test__audit`` and, on SQLite, which
has no schemas, to tables whose names begin with ``dbt_test__audit__``; to nothing else.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import sqlalchemy as sa

from dbt_like_checks.database.access import writing
from dbt_like_checks.database.dialects import Dialect
from dbt_like_checks.parse.names import alias, hashed
from dbt_like_checks.parse.project import DataTest, Relation
from dbt_like_checks.run.compile import Query

AUDIT = "dbt_test__audit"


@dataclass
class FailureStore:
    """The tables of the failing rows of one run. Thread-safe.

    ``tests`` are all of the run: no two of them share a table.
    """

    engine: sa.Engine
    timeout: float | None
    tests: Sequence[DataTest]
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _has_schema: bool = False

    def keep(self, test: DataTest, query: Query) -> Relation:
        """Replace the test's table by the failing rows of now. Raises SQLAlchemyError.

        The SELECT has just run in a transaction that could not write, so it does not write here.
        """
        relation = self.relation(test)
        if relation.schema:
            self._make_schema(relation.schema)
        name = sa.sql.quoted_name(relation.name, quote=True)
        with writing(self.engine, self.timeout) as connection:
            table = sa.Table(name, sa.MetaData(), schema=relation.schema)
            is_view = relation.name in sa.inspect(connection).get_view_names(relation.schema)
            drop = sa.schema.DropView if is_view else sa.schema.DropTable
            connection.execute(drop(table, if_exists=True))
            connection.execute(query.failing.into(name, schema=relation.schema))
        return relation

    def relation(self, test: DataTest) -> Relation:
        """The table of a test: dbt's name for it, where no other test of the run has the same."""
        name = alias(test.name)
        if name.casefold() in self._shared:
            name = hashed(name, test.unique_id)
        if Dialect.of(self.engine.dialect.name) is Dialect.SQLITE:
            return Relation(f"{AUDIT}__{name}")
        return Relation(name, AUDIT)

    @cached_property
    def _shared(self) -> frozenset[str]:
        # SQLite and DuckDB find a table in any case.
        times = Counter(alias(test.name).casefold() for test in self.tests)
        return frozenset(name for name, count in times.items() if count > 1)

    def _make_schema(self, schema: str) -> None:
        # Two threads that make it at once fail, IF NOT EXISTS or not.
        with self._lock:
            if not self._has_schema:
                with writing(self.engine, self.timeout) as connection:
                    connection.execute(sa.schema.CreateSchema(schema, if_not_exists=True))
                self._has_schema = True
