"""Which rows of a table belong to the partitions of a Dagster run, as one condition."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from math import prod
from typing import Any

import dagster as dg
import sqlalchemy as sa

from dbt_like_checks.database.dialects import Dialect, comparable, literal
from dbt_like_checks.errors import CheckError
from dbt_like_checks.run.compile import Restriction
from dbt_like_checks.tests.generic.tested import find_name

PARTITION_TAG = "dagster/partition"
RANGE_START_TAG = "dagster/asset_partition_range_start"
RANGE_END_TAG = "dagster/asset_partition_range_end"

Filter = Mapping[str, str] | Callable[[str], Mapping[str, Any]]
Columns = Mapping[str, sa.ColumnElement[Any]]


@dataclass(frozen=True)
class Partitioning:
    """The partitions of an asset, and where its table shows to which one a row belongs.

    ``filter`` maps each dimension's name to a column (with one dimension, any name), or is a function
    from a partition key to the values of columns. A time window is met by a column of dates or moments
    in the time zone of the partitions; anything else by equality. Raises CheckError for a mapping that
    does not fit the dimensions.
    """

    definition: dg.PartitionsDefinition[str]
    filter: Filter

    def __post_init__(self) -> None:
        if callable(self.filter):
            return
        given, expected = sorted(self.filter), sorted(self._dimensions() or list(self.filter)[:1])
        if not given or given != expected:
            wanted = f"one for each of {expected}" if expected else "one column"
            raise CheckError(f"partition_filter has columns for {given}: give {wanted}")

    def keys_of(self, tags: Mapping[str, str]) -> list[str]:
        """The partition keys that a run with these tags is about; none: all rows."""
        if RANGE_START_TAG in tags and RANGE_END_TAG in tags:
            whole = dg.PartitionKeyRange(tags[RANGE_START_TAG], tags[RANGE_END_TAG])
            return list(self.definition.get_partition_keys_in_range(whole))
        return [tags[PARTITION_TAG]] if PARTITION_TAG in tags else []

    def restriction(self, keys: Sequence[str]) -> Restriction:
        """The rows of these partitions; all rows of a table that lacks one of the columns."""
        places = [self._place(key) for key in keys]

        def restrict(columns: Columns, dialect: Dialect) -> sa.ColumnElement[bool] | None:
            names = {name: find_name(name, columns) for name in places[0]}
            found = {name: columns[exact] for name, exact in names.items() if exact is not None}
            return _any_place(dialect, found, places) if len(found) == len(names) else None

        return restrict

    def _dimensions(self) -> dict[str, dg.PartitionsDefinition[Any]]:
        """The dimensions by name; none where there is only one, without a name."""
        if isinstance(self.definition, dg.MultiPartitionsDefinition):
            return {each.name: each.partitions_def for each in self.definition.partitions_defs}
        return {}

    def _place(self, key: str) -> dict[str, Any]:
        """The value, or time window, of each column in a partition."""
        if callable(self.filter):
            return dict(self.filter(key))
        if isinstance(self.definition, dg.MultiPartitionsDefinition):
            by_dimension = self.definition.get_partition_key_from_str(key).keys_by_dimension
            definitions = self._dimensions()
            return {
                column: _value(definitions[dimension], by_dimension[dimension])
                for dimension, column in self.filter.items()
            }
        return {column: _value(self.definition, key) for column in self.filter.values()}


def _value(definition: dg.PartitionsDefinition[str], key: str) -> Any:
    if isinstance(definition, dg.TimeWindowPartitionsDefinition):
        return definition.time_window_for_partition_key(key)
    return key


def _any_place(
    dialect: Dialect, columns: Columns, places: Sequence[Mapping[str, Any]]
) -> sa.ColumnElement[bool]:
    """Rows in any of the places: column by column where these are every combination of the columns'
    values, as a range of Dagster's is; otherwise place by place."""
    values = {column: list(dict.fromkeys(place[column] for place in places)) for column in places[0]}
    distinct = {tuple(place.values()) for place in places}
    if prod(len(several) for several in values.values()) == len(distinct):
        return sa.and_(*(_any_value(dialect, columns[column], several) for column, several in values.items()))
    one_each = (
        (_any_value(dialect, columns[column], [value]) for column, value in place.items()) for place in places
    )
    return sa.or_(*(sa.and_(*conditions) for conditions in one_each))


def _any_value(
    dialect: Dialect, column: sa.ColumnElement[Any], values: Iterable[Any]
) -> sa.ColumnElement[bool]:
    windows: list[dg.TimeWindow] = []
    plain: list[Any] = []
    for value in values:
        (windows if isinstance(value, dg.TimeWindow) else plain).append(value)
    moment = comparable(dialect, column)
    conditions = [
        sa.and_(moment >= literal(_moment(start)), moment < literal(_moment(end)))
        for start, end in _joined(windows)
    ]
    if plain:
        conditions.append(column.in_([literal(value) for value in plain]))
    return sa.or_(*conditions)


def _joined(windows: Iterable[dg.TimeWindow]) -> list[tuple[datetime, datetime]]:
    """Windows in order, those that follow each other without a gap made one."""
    joined: list[tuple[datetime, datetime]] = []
    for window in sorted(windows, key=lambda window: window.start):
        if joined and joined[-1][1] == window.start:
            joined[-1] = (joined[-1][0], window.end)
        else:
            joined.append((window.start, window.end))
    return joined


def _moment(moment: datetime) -> Any:
    # A day's beginning as a date: any column of dates or moments can be compared with it.
    local = moment.replace(tzinfo=None)
    return local.date() if local.time() == time() else local
