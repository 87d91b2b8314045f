"""Tests of one table in one pass over it: their counts as aggregates of a single query.

Their SQL, as it is shown, stays that of each alone, and so do their counts. What a pass cannot say of a
test, that test is asked alone.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa

from dbt_like_checks.database.dialects import literal
from dbt_like_checks.run.compile import Key, Part, Query
from dbt_like_checks.run.results import Result

MOST = 100  # tests in one query: databases bound the number of its columns
MOST_VALUES = 100  # that repeat and are looked for once more


@dataclass(eq=False)
class Scan(ABC):
    """The tests of one pass, by their numbers in the run; their results once it was made."""

    queries: dict[int, Query]
    _lock: threading.Lock = field(default_factory=threading.Lock, kw_only=True)
    _results: Mapping[int, Result] | None = field(default=None, kw_only=True)

    @abstractmethod
    def counts(self, connection: sa.Connection) -> dict[int, int]:
        """The failures of the tests that it can say them of. Raises SQLAlchemyError."""

    def results(self, make: Callable[[Scan], Mapping[int, Result]]) -> Mapping[int, Result]:
        """What ``make`` gives for this pass, asked once; other threads wait for it."""
        with self._lock:
            if self._results is None:
                self._results = make(self)
            return self._results


@dataclass(eq=False)
class Aggregates(Scan):
    """One row with a number for each test."""

    parts: dict[int, Part]

    def counts(self, connection: sa.Connection) -> dict[int, int]:
        numbers = [part.number.label(f"test_{index}") for index, part in self.parts.items()]
        table = next(iter(self.parts.values())).table
        row = connection.execute(sa.select(*numbers).select_from(table)).one()
        found = zip(self.parts.items(), row, strict=True)
        return {index: number for (index, part), number in found if part.exact or number == 0}


@dataclass(eq=False)
class Keys(Scan):
    """One column's values that repeat, and by them the combinations of it with others.

    A combination occurs twice only where its part of that column does, or is NULL: the few rows with such
    values are grouped, instead of all.
    """

    of_column: int
    keys: dict[int, Key]

    def counts(self, connection: sa.Connection) -> dict[int, int]:
        key = self.keys[self.of_column]
        (column,) = key.columns
        values = connection.scalars(key.repeated.limit(MOST_VALUES + 1)).all()
        # Others may not come back from the driver as exactly what they are.
        if len(values) > MOST_VALUES or not all(isinstance(value, int | str) for value in values):
            return {}
        among = [column.in_([literal(value) for value in values])] if values else []
        repeats = sa.or_(column.is_(None), *among)
        found = {self.of_column: len(values)}
        for index, other in self.keys.items():
            if index != self.of_column:
                groups = other.repeated.where(repeats).subquery("repeated")
                number = connection.scalar(sa.select(sa.func.count()).select_from(groups))
                found[index] = int(number or 0)
        return found


def planned(queries: Iterable[tuple[int, Query]]) -> dict[int, Scan]:
    """The passes for those of the queries that can share one, by the numbers of their tests."""
    parts: dict[sa.FromClause, dict[int, tuple[Query, Part]]] = defaultdict(dict)
    keys: dict[sa.FromClause, dict[int, tuple[Query, Key]]] = defaultdict(dict)
    for index, query in queries:
        if key := query.key:
            keys[key.table][index] = query, key
        elif part := query.part:
            parts[part.table][index] = query, part
    scans = [scan for of_table in parts.values() for scan in _aggregates(list(of_table.items()))]
    more = [scan for of_table in keys.values() for scan in _keys(of_table)]
    return {index: scan for scan in (*scans, *more) for index in scan.queries}


def _aggregates(shareable: list[tuple[int, tuple[Query, Part]]]) -> Iterator[Scan]:
    for start in range(0, len(shareable), MOST):
        some = shareable[start : start + MOST]
        if len(some) > 1:
            yield Aggregates(
                {index: query for index, (query, _) in some}, {index: part for index, (_, part) in some}
            )


def _keys(of_table: dict[int, tuple[Query, Key]]) -> Iterator[Scan]:
    left = dict(of_table)
    for index, (_, key) in of_table.items():
        if index not in left or len(key.columns) != 1:
            continue
        (column,) = key.columns
        together = {
            other: found
            for other, found in left.items()
            if other == index
            or (len(found[1].columns) > 1 and any(column.key == each.key for each in found[1].columns))
        }
        if len(together) > 1:
            left = {other: found for other, found in left.items() if other not in together}
            yield Keys(
                {other: query for other, (query, _) in together.items()},
                index,
                {other: found for other, (_, found) in together.items()},
            )
