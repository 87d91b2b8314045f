"""What can go wrong, and how it is reported: one line each, naming the place and the way out.

- ``DataTestError``: the tree's root
    - ``ProjectError``: files that cannot be used, every problem at once
    - ``CannotCompile``: one test does not fit the table it is on; the others still run
    - ``QueryStopped``: the database gave a test's query up, for a reason it cannot say itself
    - ``CheckError``: the tests cannot be made Dagster checks
    - ``DatabaseUnusable``: the database cannot be reached or is of a kind not supported
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

NEAR = 60  # of 100: how alike a name must be to be offered
VERY_NEAR = 75  # of 100: and to be taken for a typing error of something that matters


class DataTestError(Exception):
    """The root of this package's errors; its text is for people."""


class CannotCompile(DataTestError):
    """A test that cannot be put to this database: a missing column, an unsupported feature."""


class QueryStopped(DataTestError):
    """A query was given up for a reason that the database's own error does not tell."""


class CheckError(DataTestError):
    """The tests cannot be made Dagster checks as asked."""


class DatabaseUnusable(DataTestError):
    """The database cannot be reached, or is of a kind that is not supported."""


@dataclass(frozen=True, order=True)
class Place:
    """A place in a file; ``line`` and ``column`` count from 1."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong, and where."""

    place: Place
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class ProjectError(DataTestError):
    """Files that cannot be used. ``problems`` holds all of them, sorted by place."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))


def near(name: str, known: Iterable[str], least: int = VERY_NEAR) -> str | None:
    """The known name that is most like ``name``, or None where none is alike enough."""
    from rapidfuzz import fuzz, process  # only for those who mistyped

    found = process.extractOne(name, list(known), scorer=fuzz.ratio, score_cutoff=least)
    return str(found[0]) if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``": did you mean 'x'?"`` when a known name is near, else the empty string."""
    found = near(name, known, NEAR)
    return f": did you mean {found!r}?" if found else ""
