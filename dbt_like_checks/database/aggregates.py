"""Aggregates that SQLite does not have, in Python: the same as PostgreSQL's and DuckDB's."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

from dbt_like_checks.database.dialects import DEVIATION_FUNCTION, QUANTILE_FUNCTION


def aggregates(faults: list[str]) -> Iterator[tuple[str, int, type[Any]]]:
    """Their names, numbers of arguments and classes; what goes wrong in one is added to ``faults``."""

    class Numbers:
        def __init__(self) -> None:
            self.numbers: list[float] = []

        def step(self, value: object, share: float = 0.0) -> None:
            self.share = share
            if value is None:
                return
            if not isinstance(value, int | float):
                # SQLite would only say that a function raised an exception.
                faults.append(f"{value!r} is no number")
                raise TypeError
            self.numbers.append(value)

    class Deviation(Numbers):
        """Over a window of rows as well, which the first of them leaves before the others."""

        def inverse(self, value: object) -> None:
            if value is not None:
                self.numbers.pop(0)

        def value(self) -> float | None:
            return statistics.stdev(self.numbers) if len(self.numbers) > 1 else None

        finalize = value

    class Quantile(Numbers):
        def finalize(self) -> float | None:
            if not self.numbers:
                return None
            ordered = sorted(self.numbers)
            whole, rest = divmod(self.share * (len(ordered) - 1), 1)
            below, above = ordered[int(whole)], ordered[min(int(whole) + 1, len(ordered) - 1)]
            return below + (above - below) * rest

    yield DEVIATION_FUNCTION, 1, Deviation
    yield QUANTILE_FUNCTION, 2, Quantile
