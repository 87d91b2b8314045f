"""The ``warn_if`` and ``error_if`` expressions of dbt, read rather than evaluated.

dbt pastes them behind the failure count in SQL. Here they are a comparison with numbers
(``!= 0``, ``> 10``, ``between 5 and 10``, ``not in (1, 2)``), parsed once and applied to the
count: the same verdict, and no text of a file becomes SQL.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

_NUMBER = r"[+-]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})"
_COMPARISON = re.compile(rf"(<=|>=|<>|!=|==|<|>|=)\s*({_NUMBER})")
_BETWEEN = re.compile(rf"(not\s+)?between\s+({_NUMBER})\s+and\s+({_NUMBER})", re.IGNORECASE)
_IN = re.compile(rf"(not\s+)?in\s*\(\s*({_NUMBER}(?:\s*,\s*{_NUMBER})*)\s*\)", re.IGNORECASE)
_OPERATORS: dict[str, Callable[[Decimal, Decimal], bool]] = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
LENGTH_LIMIT = 200  # characters of an expression


@dataclass(frozen=True)
class Threshold:
    """A condition on a failure count. ``text`` is what the file says."""

    text: str
    operation: str  # one of _OPERATORS, "between", "not between", "in", "not in"
    numbers: tuple[Decimal, ...]

    @classmethod
    def parse(cls, text: str) -> Threshold:
        """Read an expression. Raises ValueError with a line that says what is understood."""
        stripped = text.strip()
        if len(stripped) <= LENGTH_LIMIT:
            if found := _COMPARISON.fullmatch(stripped):
                return cls(stripped, found[1], (Decimal(found[2]),))
            if found := _BETWEEN.fullmatch(stripped):
                return cls(stripped, _negated(found[1]) + "between", (Decimal(found[2]), Decimal(found[3])))
            if found := _IN.fullmatch(stripped):
                numbers = tuple(Decimal(part.strip()) for part in found[2].split(","))
                return cls(stripped, _negated(found[1]) + "in", numbers)
        raise ValueError(
            f"{_shortened(stripped)!r} is no threshold: write a comparison with a number,"
            " such as '!= 0', '> 10', 'between 5 and 10' or 'not in (1, 2)'"
        )

    def holds(self, failures: float | Decimal) -> bool:
        """Whether this many failures meet the condition."""
        count = Decimal(str(failures))
        if compare := _OPERATORS.get(self.operation):
            return compare(count, self.numbers[0])
        if self.operation.endswith("between"):
            inside = self.numbers[0] <= count <= self.numbers[1]
        else:
            inside = count in self.numbers
        return inside is not self.operation.startswith("not ")

    def __str__(self) -> str:
        return self.text


NOT_ZERO = Threshold.parse("!= 0")  # dbt's default for both


def _negated(found: str | None) -> str:
    return "not " if found else ""


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
