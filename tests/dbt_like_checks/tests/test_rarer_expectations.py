"""The rarer tests of dbt-expectations, on every database: how many rows or groups fail."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from dbt_like_checks import RunOptions, Status, load_project, run_tests
from dbt_like_checks.tests.unsupported import unsupported_here
from tests.dbt_like_checks.conftest import fill

READINGS = """
    (1, '2024-01-01', '2024-01-01 10:00:00', 'a', 1, 1.5),
    (2, '2024-01-02', '2024-01-02 10:00:00', 'a', 2, 2),
    (3, '2024-01-02', '2024-01-02 11:00:00', 'b', 4, 4),
    (4, '2024-01-05', '2124-01-04 10:00:00', 'B', 8, NULL),
    (5, '2024-01-06', NULL, NULL, 3, 3)
"""
COLUMNS = "id integer PRIMARY KEY, day date, seen timestamp, kind varchar(9), amount integer, x float"
TABLES = f"""
CREATE TABLE readings ({COLUMNS})
INSERT INTO readings VALUES {" ".join(READINGS.split())}
CREATE TABLE others (id integer, kind varchar(9), amount integer)
INSERT INTO others VALUES (1, 'a', 3), (2, 'b', 5), (3, 'c', 1)
CREATE TABLE empty_table (id integer, day date, kind varchar(9))
"""
EXPECT = "expect_"
MOVING = f"{EXPECT}column_values_to_be_within_n_moving_stdevs"
DAYS = {"date_column_name": "day", "trend_periods": 2, "test_periods": 36_500}
# The test, its column if any, its arguments, and the failures.
CASES: list[tuple[str, str | None, dict[str, Any], int]] = [
    ("expression_is_true", None, {"expression": "amount > 1"}, 1),
    ("expression_is_true", None, {"expression": "amount", "test_condition": "< 4"}, 2),
    ("expression_is_true", None, {"expression": "count(*) > 9"}, 1),
    ("expression_is_true", None, {"expression": "count(*) > 1", "group_by_columns": ["kind"]}, 3),
    ("expression_between", None, {"expression": "sum(amount)", "min_value": 18, "max_value": 18}, 0),
    ("expression_between", None, {"expression": "x + 1", "max_value": 4, "strictly": True}, 2),
    ("equal_expression", None, {"expression": "sum(amount)", "compare_expression": "sum(x)"}, 1),
    ("equal_expression", None, {"expression": "sum(amount)", "compare_expression": "18"}, 0),
    ("equal_expression", None, {"expression": "count(*)", "compare_expression": "6", "tolerance": 1}, 0),
    (
        f"{EXPECT}table_aggregation_to_equal_other_table",
        None,
        {"expression": "sum(amount)", "compare_model": "ref('others')", "group_by": ["kind"]},
        4,  # b: 4 and 5; B, c and NULL on one side only
    ),
    (
        f"{EXPECT}table_aggregation_to_equal_other_table",
        None,
        {"expression": "sum(amount)", "compare_model": "ref('others')", "tolerance_percent": 0.6},
        0,
    ),
    (
        f"{EXPECT}table_row_count_to_equal_other_table",
        None,
        {"compare_model": "others", "group_by": ["kind"]},
        4,
    ),
    (f"{EXPECT}table_row_count_to_equal_other_table", None, {"compare_model": "empty_table"}, 1),
    (
        f"{EXPECT}table_row_count_to_equal_other_table_times_factor",
        None,
        {"compare_model": "others", "factor": 2, "row_condition": "id < 3"},
        1,
    ),
    (f"{EXPECT}column_distinct_count_to_equal_other_table", "kind", {"compare_model": "others"}, 0),
    (
        f"{EXPECT}column_distinct_count_to_equal_other_table",
        "amount",
        {"compare_model": "others", "compare_column_name": "id"},
        1,
    ),
    (f"{EXPECT}multicolumn_sum_to_equal", None, {"column_list": ["id", "amount"], "sum_total": 33}, 0),
    (f"{EXPECT}multicolumn_sum_to_equal", None, {"column_list": ["id"], "sum_total": "amount"}, 1),
    (f"{EXPECT}row_values_to_have_recent_data", "seen", {"datepart": "year", "interval": 50}, 0),
    (f"{EXPECT}row_values_to_have_recent_data", "seen", {"datepart": "day", "interval": 1}, 1),
    (
        f"{EXPECT}row_values_to_have_recent_data",
        "seen",
        {"datepart": "year", "interval": 50, "row_condition": "1 = 0"},
        1,
    ),
    (
        f"{EXPECT}grouped_row_values_to_have_recent_data",
        None,
        {"group_by": ["kind"], "timestamp_column": "seen", "datepart": "day", "interval": 1},
        2,  # a and b; of B and NULL all rows are in the future or without a time
    ),
    (f"{EXPECT}row_values_to_have_data_for_every_n_datepart", None, {"date_col": "day"}, 2),
    (f"{EXPECT}row_values_to_have_data_for_every_n_datepart", None, {"date_col": "day", "interval": 2}, 1),
    (
        f"{EXPECT}row_values_to_have_data_for_every_n_datepart",
        None,
        {"date_col": "day", "exclusion_condition": "date_day <> '2024-01-03 00:00:00'"},
        1,
    ),
    (
        f"{EXPECT}row_values_to_have_data_for_every_n_datepart",
        None,
        {"date_col": "day", "test_start_date": "2023-12-30", "test_end_date": "2024-01-03"},
        2,
    ),
    (
        f"{EXPECT}row_values_to_have_data_for_every_n_datepart",
        None,
        {
            "date_col": "day",
            "date_part": "month",
            "test_start_date": "2023-12-01",
            "test_end_date": "2024-03-01",
        },
        2,
    ),
    (f"{EXPECT}column_distinct_values_to_contain_set", "kind", {"value_set": ["a", "z", "z"]}, 1),
    (f"{EXPECT}column_distinct_values_to_contain_set", "amount", {"value_set": [1, 2, 9]}, 1),
    (
        f"{EXPECT}column_distinct_values_to_contain_set",
        "amount",
        {"value_set": [1, 9, 10], "quote_values": False},
        2,
    ),
    (f"{EXPECT}column_distinct_values_to_equal_set", "kind", {"value_set": ["a", "b", "c"]}, 3),
    (
        f"{EXPECT}column_distinct_values_to_equal_set",
        "kind",
        {"value_set": ["a", "b"], "row_condition": "id < 4"},
        0,
    ),
    (f"{EXPECT}column_most_common_value_to_be_in_set", "kind", {"value_set": ["a", "x"], "top_n": 1}, 0),
    (f"{EXPECT}column_most_common_value_to_be_in_set", "kind", {"value_set": ["x"], "top_n": 1}, 1),
    (
        f"{EXPECT}column_pair_values_to_be_in_set",
        None,
        {"column_A": "id", "column_B": "kind", "value_pairs_set": [[1, "'a'"], [2, "'a'"], [3, "'c'"]]},
        3,  # NULL is no pair's
    ),
    (f"{EXPECT}select_column_values_to_be_unique_within_record", None, {"column_list": ["id", "amount"]}, 2),
    (
        f"{EXPECT}select_column_values_to_be_unique_within_record",
        None,
        {"column_list": ["id", "kind"], "ignore_row_if": "any_value_is_missing"},
        0,
    ),
    (f"{EXPECT}select_column_values_to_be_unique_within_record", None, {"column_list": ["id", "kind"]}, 1),
    (f"{EXPECT}column_values_to_have_consistent_casing", "kind", {}, 1),
    (
        f"{EXPECT}column_values_to_have_consistent_casing",
        "kind",
        {"display_inconsistent_columns": True},
        1,
    ),
    (f"{EXPECT}column_values_to_match_like_pattern", "kind", {"like_pattern": "a%"}, 2),
    (f"{EXPECT}column_values_to_not_match_like_pattern", "kind", {"like_pattern": "_"}, 4),
    (
        f"{EXPECT}column_values_to_match_like_pattern_list",
        "kind",
        {"like_pattern_list": ["a", "c%"], "row_condition": "id < 4"},
        1,
    ),
    (
        f"{EXPECT}column_values_to_not_match_like_pattern_list",
        "kind",
        {"like_pattern_list": ["a", "c%"], "match_on": "all"},
        2,
    ),
    (f"{EXPECT}table_column_count_to_equal", None, {"value": 6}, 0),
    (f"{EXPECT}table_column_count_to_equal", None, {"value": 5}, 1),
    (f"{EXPECT}table_column_count_to_be_between", None, {"min_value": 7}, 1),
    (f"{EXPECT}table_column_count_to_be_between", None, {"min_value": 1, "max_value": 6}, 0),
    (f"{EXPECT}table_column_count_to_equal_other_table", None, {"compare_model": "others"}, 1),
    (f"{EXPECT}table_columns_to_contain_set", None, {"column_list": ["ID", "kind", "gone", "away"]}, 2),
    (f"{EXPECT}table_columns_to_not_contain_set", None, {"column_list": ["ID", "gone"]}, 1),
    (
        f"{EXPECT}table_columns_to_match_set",
        None,
        {"column_list": ["x", "amount", "kind", "seen", "day", "id"]},
        0,
    ),
    (f"{EXPECT}table_columns_to_match_set", None, {"column_list": ["id", "gone"]}, 6),
    (
        f"{EXPECT}table_columns_to_match_ordered_list",
        None,
        {"column_list": ["id", "day", "seen", "amount", "kind", "x"], "transform": "lower"},
        4,
    ),
    (f"{EXPECT}column_median_to_be_between", "amount", {"min_value": 3, "max_value": 3}, 0),
    (f"{EXPECT}column_quantile_values_to_be_between", "x", {"quantile": 0.5, "max_value": 2.5}, 0),
    (f"{EXPECT}column_quantile_values_to_be_between", "x", {"quantile": 0.5, "min_value": 2.51}, 1),
    (f"{EXPECT}column_stdev_to_be_between", "amount", {"min_value": 2.70, "max_value": 2.71}, 0),
    (f"{EXPECT}column_stdev_to_be_between", "amount", {"max_value": 1, "group_by": ["kind"]}, 0),
    (f"{EXPECT}column_values_to_be_within_n_stdevs", "amount", {"group_by": ["id"], "sigma_threshold": 1}, 1),
    (f"{EXPECT}column_values_to_be_within_n_stdevs", "amount", {}, 0),
    # In periods of a day 1, 6, 8 and 3; judged are those with two before them.
    (MOVING, "amount", {**DAYS, "take_diffs": False, "take_logs": False, "sigma_threshold": 1}, 2),
    (MOVING, "amount", {**DAYS, "take_diffs": False, "take_logs": False, "sigma_threshold_upper": 1.2}, 1),
    (MOVING, "amount", {**DAYS, "take_diffs": False, "take_logs": False, "sigma_threshold_lower": -2.8}, 1),
    (MOVING, "amount", {**DAYS, "take_diffs": False, "take_logs": False, "sigma_threshold_lower": 0}, 1),
    (MOVING, "amount", {**DAYS, "take_logs": False}, 1),  # 1, 5, 2 and -5
    (MOVING, "amount", {**DAYS, "take_logs": False, "lookback_periods": 2}, 1),  # 1, 6, 7 and -3
    (MOVING, "amount", {**DAYS, "sigma_threshold": 1.8}, 1),  # 0, 1.8, 0.3 and -1
    (MOVING, "amount", {**DAYS, "sigma_threshold": 2}, 0),
    (MOVING, "amount", {**DAYS, "sigma_threshold": 1.8, "period": "week"}, 0),
    (MOVING, "amount", {**DAYS, "sigma_threshold": 1.8, "test_periods": 14}, 0),  # none of the last days
    (MOVING, "amount", {**DAYS, "sigma_threshold": 0, "group_by": ["kind"]}, 0),
    (f"{EXPECT}column_values_to_be_increasing", "id", {"step": 1}, 0),
    (f"{EXPECT}column_values_to_be_increasing", "amount", {"sort_column": "id"}, 1),
    (f"{EXPECT}column_values_to_be_increasing", "day", {"strictly": False}, 0),
    (f"{EXPECT}column_values_to_be_increasing", "day", {"group_by": ["kind"], "sort_column": "id"}, 0),
    (f"{EXPECT}column_values_to_be_decreasing", "amount", {"sort_column": "-id"}, 1),
    (f"{EXPECT}column_values_to_be_decreasing", "day", {"sort_column": "-id", "strictly": True}, 1),
]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "duckdb"])
def test_what_fails_is_what_dbt_expectations_says(
    make_database: Callable[[str], str], write: Callable[..., Path], kind: str
) -> None:
    url = make_database(kind)
    fill(url, TABLES)
    columns: dict[str, list[dict[str, Any]]] = {}
    of_table: list[dict[str, Any]] = []
    for number, (name, column, arguments, _) in enumerate(CASES):
        place = of_table if column is None else columns.setdefault(column, [])
        place.append({f"dbt_expectations.{name}": {"name": f"t{number}", "arguments": arguments}})
    model = {"name": "readings", "data_tests": of_table}
    model["columns"] = [{"name": name, "data_tests": tests} for name, tests in columns.items()]
    project = load_project(write(yaml.safe_dump({"models": [model]})))
    # Shown and stored as well: their columns are others.
    for options in (RunOptions(), RunOptions(sample=0, share_scans=False)):
        results = {result.test.name: result for result in run_tests(project, url, options)}
        found = [
            (number, name, arguments, results[f"t{number}"].failures, results[f"t{number}"].message)
            for number, (name, _, arguments, _) in enumerate(CASES)
        ]
        wrong = [each for each, (*_, expected) in zip(found, CASES, strict=True) if each[3] != expected]
        assert not wrong


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])  # on DuckDB it is NaN, which is within no bounds
def test_a_sum_without_a_logarithm_is_an_error(
    make_database: Callable[[str], str], write: Callable[..., Path], kind: str
) -> None:
    url = make_database(kind)
    fill(url, "CREATE TABLE debts (day date, amount integer)\nINSERT INTO debts VALUES ('2024-01-01', -5)")
    moving = f"dbt_expectations.{MOVING}: {{date_column_name: day}}"
    path = write(f"models: [{{name: debts, columns: [{{name: amount, data_tests: [{moving}]}}]}}]")
    (result,) = run_tests(load_project(path), url)
    assert (result.status, "logarithm" in (result.message or "")) == (Status.ERROR, True)


def test_every_test_of_both_packages_is_run_here() -> None:
    assert unsupported_here("dbt_utils.equalty", frozenset()) is None  # so it is of no package
