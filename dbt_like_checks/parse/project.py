"""The values of a project: what was declared, read-only, without a database.

`load_project` (in `grammar.py`) makes them from files; compiling, running and Dagster read them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from dbt_like_checks.errors import Place, Problem
from dbt_like_checks.tests.thresholds import NOT_ZERO, Threshold

SINGULAR = "singular"  # the kind of a test that is a .sql file


class Severity(StrEnum):
    """What a failing test means."""

    ERROR = "error"
    WARN = "warn"


@dataclass(frozen=True)
class Relation:
    """A table or view. ``schema`` None means the connection's default."""

    name: str
    schema: str | None = None

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name


@dataclass(frozen=True)
class Model:
    """A declared model, seed, snapshot or source table: what tests are on."""

    name: str
    relation: Relation
    tags: frozenset[str] = frozenset()
    description: str = ""


@dataclass(frozen=True)
class Column:
    """The tested column. ``quote``: the name is exact, not to be found in another case."""

    name: str
    quote: bool = False


@dataclass(frozen=True)
class Config:
    """The ``config:`` of one test, as dbt means it.

    ``store_failures`` None leaves it to the run; ``fail_calc`` None leaves it to the generic test.
    """

    severity: Severity = Severity.ERROR
    warn_if: Threshold = NOT_ZERO
    error_if: Threshold = NOT_ZERO
    where: str | None = None
    limit: int | None = None
    fail_calc: str | None = None
    store_failures: bool | None = None
    tags: frozenset[str] = frozenset()
    enabled: bool = True
    meta: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class DataTest:
    """One declared test. ``unique_id`` is unique in its project; so is ``name`` where the file gives
    it (``named``), while dbt's automatic names may be equal: they keep only the letters of ASCII.

    ``kind`` is the generic test's qualified name (``not_null``, ``dbt_utils.accepted_range``), or
    ``singular``; then ``sql`` is the file's query and ``model`` is None. ``arguments`` are validated
    and complete, without ``column_name``. ``inherited_tags`` are those of its column and model.
    ``unsupported``: why it is not run here; then its arguments are not read.
    """

    name: str
    unique_id: str
    kind: str
    model: Model | None
    column: Column | None
    arguments: Mapping[str, object]
    config: Config
    description: str
    place: Place
    named: bool = False
    sql: Singular | None = None
    inherited_tags: frozenset[str] = frozenset()
    unsupported: str | None = None

    @property
    def tags(self) -> frozenset[str]:
        """Its own tags, its column's and its model's: what ``tag:`` selects by."""
        return self.config.tags | self.inherited_tags

    @property
    def others(self) -> tuple[Relation, ...]:
        """The tables that it refers to, beside the one it is on."""
        named = self.sql.parts if self.sql else self.arguments.values()
        return tuple(value for value in named if isinstance(value, Relation))


@dataclass(frozen=True)
class Singular:
    """The query of a ``.sql`` file: text and the relations that stand between its parts."""

    parts: tuple[str | Relation, ...]


@dataclass(frozen=True)
class Project:
    """Everything declared in some files, in the order of files and lines. Iterates over its tests.

    ``warnings``: what is passed over, as dbt passes it over.
    """

    tests: tuple[DataTest, ...]
    models: tuple[Model, ...] = ()
    warnings: tuple[Problem, ...] = ()

    def __iter__(self) -> Iterator[DataTest]:
        return iter(self.tests)

    def __len__(self) -> int:
        return len(self.tests)
