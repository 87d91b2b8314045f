"""The rarest tests of dbt-expectations, on the tables of people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.compare_dbt.case import Case

COLUMNS = ["id", "name", "email", "age", "country", "score", "joined", "seen_at"]


def rarest_on_people(table: str) -> Iterator[Case]:
    """Each of them with arguments that some of the tables meet."""
    yield from _expressions(table)
    yield from _sets(table)
    yield from _shapes(table)
    yield from _times_and_order(table)


def _expect(table: str, test: str, column: str | None = None, **arguments: Any) -> Case:
    return Case(table, column, f"dbt_expectations.{test}", arguments)


def _expressions(table: str) -> Iterator[Case]:
    clean = {"compare_model": "ref('clean_people')"}
    yield _expect(table, "expression_is_true", expression="age > 18")
    yield _expect(
        table, "expression_is_true", expression="count(*)", test_condition="> 3", group_by_columns=["country"]
    )
    yield _expect(table, "expression_between", expression="age * 2", min_value=40, row_condition="id > 3")
    yield _expect(table, "expression_between", expression="avg(score)", max_value=30, strictly=True)
    yield _expect(table, "equal_expression", expression="count(id)", compare_expression="count(*)")
    yield _expect(
        table, "equal_expression", expression="sum(age)", compare_expression="sum(id)", tolerance=500
    )
    grouped = {"group_by": ["country"], **clean}
    aggregation = "expect_table_aggregation_to_equal_other_table"
    yield _expect(table, aggregation, expression="sum(age)", **clean)
    yield _expect(table, aggregation, expression="count(distinct id)", **grouped)
    yield _expect(table, aggregation, expression="max(age)", tolerance_percent=0.2, **grouped)
    yield _expect(table, "expect_table_row_count_to_equal_other_table", **grouped)
    times = "expect_table_row_count_to_equal_other_table_times_factor"
    yield _expect(table, times, factor=2, row_condition="age > 30", **clean)
    distinct = "expect_column_distinct_count_to_equal_other_table"
    yield _expect(table, distinct, "country", compare_column_name="country", **clean)
    yield _expect(table, distinct, "id", compare_column_name="age", **clean)
    yield _expect(table, "expect_multicolumn_sum_to_equal", column_list=["id", "age"], sum_total=3000)
    yield _expect(
        table, "expect_multicolumn_sum_to_equal", column_list=["id"], sum_total="age", group_by=["country"]
    )


def _sets(table: str) -> Iterator[Case]:
    def expect(test: str, column: str | None = None, **arguments: Any) -> Case:
        return _expect(table, f"expect_{test}", column, **arguments)

    yield expect("column_distinct_values_to_contain_set", "country", value_set=["fr", "jp", "xx", "xx"])
    yield expect("column_distinct_values_to_contain_set", "age", value_set=[18, 30, 1000], quote_values=False)
    yield expect("column_distinct_values_to_equal_set", "country", value_set=["fr", "jp", "de", "br"])
    yield expect("column_most_common_value_to_be_in_set", "name", value_set=["nobody"], top_n=1)
    pairs = [["'fr'", 30], ["'jp'", 40]]
    yield expect("column_pair_values_to_be_in_set", column_A="country", column_B="age", value_pairs_set=pairs)
    record = "select_column_values_to_be_unique_within_record"
    yield expect(record, column_list=["id", "age"])
    yield expect(record, column_list=["id", "age", "email"], ignore_row_if="any_value_is_missing")
    yield expect("column_values_to_have_consistent_casing", "country")
    yield expect("column_values_to_have_consistent_casing", "name", display_inconsistent_columns=True)
    yield expect("column_values_to_match_like_pattern", "email", like_pattern="%@%.org")
    yield expect("column_values_to_not_match_like_pattern", "name", like_pattern="O''B%")
    some = {"like_pattern_list": ["%a%", "%5"]}
    yield expect("column_values_to_match_like_pattern_list", "name", **some)
    yield expect("column_values_to_not_match_like_pattern_list", "name", match_on="all", **some)


def _shapes(table: str) -> Iterator[Case]:
    def expect(test: str, **arguments: Any) -> Case:
        return _expect(table, f"expect_table_{test}", **arguments)

    yield expect("column_count_to_equal", value=8)
    yield expect("column_count_to_be_between", min_value=9)
    yield expect("column_count_to_equal_other_table", compare_model="ref('orders')")
    yield expect("columns_to_contain_set", column_list=["ID", "gone", "gone"])
    yield expect("columns_to_not_contain_set", column_list=["ID", "gone"])
    yield expect("columns_to_match_set", column_list=[*reversed(COLUMNS), "more"])
    yield expect("columns_to_match_ordered_list", column_list=["id", "name", "age", "email", *COLUMNS[4:]])


def _times_and_order(table: str) -> Iterator[Case]:
    def expect(test: str, column: str | None = None, **arguments: Any) -> Case:
        return _expect(table, f"expect_{test}", column, **arguments)

    yield expect("row_values_to_have_recent_data", "seen_at", datepart="day", interval=1)
    yield expect("row_values_to_have_recent_data", "joined", datepart="month", interval=500)
    yield expect(
        "grouped_row_values_to_have_recent_data",
        group_by=["country"],
        timestamp_column="seen_at",
        datepart="day",
        interval=1,
        row_condition="country is not null",
    )
    every = "row_values_to_have_data_for_every_n_datepart"
    ends = {"test_start_date": "2020-01-01", "test_end_date": "2021-01-01"}
    yield expect(every, date_col="joined", date_part="month", **ends)
    yield expect(every, date_col="joined", date_part="day", interval=7, **ends)
    yield expect("column_median_to_be_between", "age", min_value=30, max_value=60)
    yield expect("column_quantile_values_to_be_between", "score", quantile=0.9, max_value=50)
    yield expect("column_stdev_to_be_between", "age", max_value=20, group_by=["country"])
    yield expect("column_values_to_be_within_n_stdevs", "age", group_by=["name"], sigma_threshold=2)
    moving = {"date_column_name": "joined", "period": "month", "test_periods": 400, "trend_periods": 3}
    yield expect("column_values_to_be_within_n_moving_stdevs", "age", sigma_threshold=1, **moving)
    yield expect(
        "column_values_to_be_within_n_moving_stdevs",
        "score",
        group_by=["country"],
        lookback_periods=2,
        sigma_threshold_upper=1.5,
        sigma_threshold_lower=-2,
        take_logs=False,
        **moving,
    )
    yield expect(
        "column_values_to_be_within_n_moving_stdevs",
        "id",
        take_diffs=False,
        sigma_threshold=2,
        **moving | {"period": "week", "test_periods": 2000, "trend_periods": 7},
    )
    yield expect("column_values_to_be_increasing", "id", step=1)
    # No two rows with different values are alike in order, and none has no place: databases differ there.
    order = "coalesce(id, 0) * 1000 + coalesce({}, 0)"
    grouped = {"sort_column": order.format("age"), "group_by": ["country"]}
    yield expect("column_values_to_be_increasing", "age", **grouped)
    yield expect("column_values_to_be_decreasing", "age", **grouped)
    yield expect("column_values_to_be_increasing", "age", sort_column=order.format("age"), strictly=False)
    yield expect("column_values_to_be_decreasing", "score", sort_column=f"-({order.format('score')})")
