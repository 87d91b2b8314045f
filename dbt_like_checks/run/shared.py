"""Tests of one table in one pass over it: their counts as aggregates of a single query.

Only tests that count rows by a condition are shared. Their SQL, as it is shown, stays that of each alone.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from dbt_like_checks.run.compile import Query
from dbt_like_checks.run.results import Result

MOST = 100  # tests in one query: databases bound the number of its columns


@dataclass(eq=False)
class Scan:
    """The tests of one pass, by their numbers in the run; their results once it was made."""

    table: sa.FromClause
    queries: dict[int, Query]
    conditions: dict[int, sa.ColumnElement[Any]]
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _results: Mapping[int, Result] | None = None

    @property
    def counts(self) -> sa.Select[Any]:
        """One row: how many rows meet each condition, in the order of ``queries``."""
        numbers: list[sa.ColumnElement[Any]] = [
            sa.func.count(sa.case((condition, 1))).label(f"test_{index}")
            for index, condition in self.conditions.items()
        ]
        return sa.select(*numbers).select_from(self.table)

    def results(self, make: Callable[[Scan], Mapping[int, Result]]) -> Mapping[int, Result]:
        """What ``make`` gives for this pass, asked once; other threads wait for it."""
        with self._lock:
            if self._results is None:
                self._results = make(self)
            return self._results


def planned(queries: Iterable[tuple[int, Query]]) -> dict[int, Scan]:
    """The passes for those of the queries that can share one, by the numbers of their tests."""
    by_table: dict[sa.FromClause, dict[int, tuple[Query, sa.ColumnElement[Any]]]] = defaultdict(dict)
    for index, query in queries:
        if found := query.condition:
            table, condition = found
            by_table[table][index] = query, condition
    return {
        index: scan
        for table, shareable in by_table.items()
        for scan in _scans(table, list(shareable.items()))
        for index in scan.queries
    }


def _scans(
    table: sa.FromClause, shareable: list[tuple[int, tuple[Query, sa.ColumnElement[Any]]]]
) -> Iterator[Scan]:
    for start in range(0, len(shareable), MOST):
        part = shareable[start : start + MOST]
        if len(part) > 1:
            yield Scan(
                table,
                {index: query for index, (query, _) in part},
                {index: condition for index, (_, condition) in part},
            )
