"""Which rows of a table belong to the partitions of a Dagster run, as one condition."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from math import prod
from typing import Any

import dagster as dg
import sqlalchemy as sa

from dbt_like_checks.compile import Restriction
from dbt_like_checks.dialects import literal

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
    in the time zone of the partitions; anything else by equality.
    """

    definition: dg.PartitionsDefinition[str]
    filter: Filter

    def keys_of(self, tags: Mapping[str, str]) -> list[str]:
        """The partition keys that a run with these tags is about; none: all rows."""
        if RANGE_START_TAG in tags and RANGE_END_TAG in tags:
            whole = dg.PartitionKeyRange(tags[RANGE_START_TAG], tags[RANGE_END_TAG])
            return list(self.definition.get_partition_keys_in_range(whole))
        return [tags[PARTITION_TAG]] if PARTITION_TAG in tags else []

    def restriction(self, keys: Sequence[str]) -> Restriction:
        """The rows of these partitions; all rows of a table that lacks one of the columns."""
        places = [self._place(key) for key in keys]

        def restrict(columns: Columns) -> sa.ColumnElement[bool] | None:
            if not places or not set(places[0]) <= set(columns):
                return None
            return _any_place(columns, places)

        return restrict

    def _place(self, key: str) -> dict[str, Any]:
        """The value, or time window, of each column in a partition."""
        if callable(self.filter):
            return dict(self.filter(key))
        if isinstance(self.definition, dg.MultiPartitionsDefinition):
            by_dimension = self.definition.get_partition_key_from_str(key).keys_by_dimension
            definitions = {each.name: each.partitions_def for each in self.definition.partitions_defs}
            return {
                column: _value(definitions[dimension], by_dimension[dimension])
                for dimension, column in self.filter.items()
            }
        return {column: _value(self.definition, key) for column in self.filter.values()}


def _value(definition: dg.PartitionsDefinition[str], key: str) -> Any:
    if isinstance(definition, dg.TimeWindowPartitionsDefinition):
        return definition.time_window_for_partition_key(key)
    return key


def _any_place(columns: Columns, places: Sequence[Mapping[str, Any]]) -> sa.ColumnElement[bool]:
    """Rows in any of the places: column by column where these are every combination of the columns'
    values, as a range of Dagster's is; otherwise place by place."""
    values = {column: list(dict.fromkeys(place[column] for place in places)) for column in places[0]}
    distinct = {tuple(place.values()) for place in places}
    if prod(len(several) for several in values.values()) == len(distinct):
        return sa.and_(*(_any_value(columns[column], several) for column, several in values.items()))
    one_each = ((_any_value(columns[column], [value]) for column, value in place.items()) for place in places)
    return sa.or_(*(sa.and_(*conditions) for conditions in one_each))


def _any_value(column: sa.ColumnElement[Any], values: Iterable[Any]) -> sa.ColumnElement[bool]:
    windows: list[dg.TimeWindow] = []
    plain: list[Any] = []
    for value in values:
        (windows if isinstance(value, dg.TimeWindow) else plain).append(value)
    conditions = [
        sa.and_(column >= literal(_moment(start)), column < literal(_moment(end)))
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
    # A day's beginning as a date: in SQLite's text order it comes before every moment of that day.
    local = moment.replace(tzinfo=None)
    return local.date() if local.time() == time() else local
