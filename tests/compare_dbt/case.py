"""One generic test that both sides run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Case:
    """One generic test on a table, or on a column of it."""

    table: str
    column: str | None
    test: str
    arguments: Mapping[str, Any]
