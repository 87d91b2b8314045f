"""What each generic test counts, the same on every database: dbt's counts.

A case is a test under a model or column, and how many failing rows dbt would report. The counts
that hold for the real dbt as well are compared with it in ``tests/compare_dbt``.
"""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from dbt_like_checks import Result, Status, load_project, run_tests

Case = tuple[str, str, dict[str, Any], int]
ON_COLUMN: list[Case] = [
    ("orders.id", "not_null", {}, 0),
    ("orders.status", "not_null", {}, 1),
    ("orders.STATUS", "not_null", {}, 1),
    ("orders.id", "unique", {}, 0),
    ("orders.customer", "unique", {}, 2),
    ("customers.id", "unique", {}, 1),
    ("orders.status", "accepted_values", {"values": ["paid", "lost"]}, 3),
    ("orders.status", "accepted_values", {"values": ["paid", "lost", "", "  ", "größe"]}, 0),
    ("orders.customer", "accepted_values", {"values": [1, 2]}, 1),
    ("orders.customer", "accepted_values", {"values": [1, 2], "quote": False}, 1),
    ("orders.customer", "accepted_values", {"values": ["1 + 0", "3 - 1"], "quote": False}, 1),
    ("orders.status", "accepted_values", {"values": ["it's", "'; DROP TABLE orders; --"]}, 5),
    ("flags.flag", "accepted_values", {"values": [True, False]}, 0),
    ("flags.flag", "accepted_values", {"values": [True]}, 1),
    ("flags.flag", "accepted_values", {"values": [False], "quote": False}, 1),
    ("flags.text", "accepted_values", {"values": [True, False]}, 1),
    ("flags.text", "accepted_values", {"values": [True, False, None]}, 0),
    ('flags."Order"', "not_null", {}, 1),
    ("flags.Order", "dbt_utils.not_constant", {"group_by_columns": ['"Order"']}, 2),
    ("orders.customer", "relationships", {"to": "flags", "field": '"Order"'}, 2),
    ("orders.customer", "relationships", {"to": "ref('customers')", "field": "id"}, 2),
    ("vacant.id", "relationships", {"to": "ref('customers')", "field": "id"}, 0),
    ("customers.id", "relationships", {"to": "vacant", "field": "id"}, 3),
    ("orders.total", "dbt_utils.accepted_range", {"min_value": 0}, 1),
    ("orders.total", "dbt_utils.accepted_range", {"min_value": -5, "max_value": 60}, 1),
    ("orders.total", "dbt_utils.accepted_range", {"max_value": 70, "inclusive": False}, 1),
    ("orders.total", "dbt_utils.accepted_range", {"min_value": "id * 10"}, 1),
    ("orders.total", "dbt_utils.accepted_range", {}, 0),
    ("orders.total", "dbt_utils.expression_is_true", {"expression": "> 10 or id = 1"}, 1),
    ("orders.status", "dbt_utils.not_empty_string", {}, 2),
    ("orders.status", "dbt_utils.not_empty_string", {"trim_whitespace": False}, 1),
    ("orders.status", "dbt_utils.not_constant", {}, 0),
    ("vacant.name", "dbt_utils.not_constant", {}, 0),
    ("customers.name", "dbt_utils.not_constant", {"group_by_columns": ["id"]}, 2),
    ("customers.name", "dbt_utils.at_least_one", {}, 0),
    ("vacant.name", "dbt_utils.at_least_one", {}, 1),
    ("customers.since", "dbt_utils.at_least_one", {"group_by_columns": ["name"]}, 0),
    ("orders.total", "dbt_utils.at_least_one", {"group_by_columns": ["status"]}, 1),
    ("customers.id", "dbt_utils.cardinality_equality", {"to": "ref('customers')", "field": "id"}, 0),
    ("orders.customer", "dbt_utils.cardinality_equality", {"to": "ref('customers')", "field": "id"}, 5),
    ("customers.id", "dbt_utils.not_null_proportion", {"at_least": 0.75}, 0),
    ("customers.id", "dbt_utils.not_null_proportion", {"at_least": 0.76}, 1),
    ("customers.id", "dbt_utils.not_null_proportion", {"at_least": 0, "at_most": 0.5}, 1),
    ("vacant.id", "dbt_utils.not_null_proportion", {"at_least": 1}, 0),
    ("steps.n", "dbt_utils.sequential_values", {"group_by_columns": ["series"]}, 1),
    ("steps.n", "dbt_utils.sequential_values", {"interval": 2}, 3),
    ("steps.day", "dbt_utils.sequential_values", {"datepart": "day", "group_by_columns": ["series"]}, 1),
    ("orders.placed", "dbt_utils.sequential_values", {"datepart": "day"}, 2),
    ("orders.status", "dbt_expectations.expect_column_values_to_match_regex", {"regex": "^[a-z]+$"}, 3),
    (
        "orders.status",
        "dbt_expectations.expect_column_values_to_match_regex",
        {"regex": "PAID", "flags": "i"},
        4,
    ),
    ("orders.status", "dbt_expectations.expect_column_values_to_not_match_regex", {"regex": "a.d"}, 2),
    (
        "orders.status",
        "dbt_expectations.expect_column_values_to_match_regex_list",
        {"regex_list": ["^p", "^l"]},
        3,
    ),
    (
        "orders.status",
        "dbt_expectations.expect_column_values_to_match_regex_list",
        {"regex_list": ["p", "d"], "match_on": "all"},
        4,
    ),
    (
        "orders.status",
        "dbt_expectations.expect_column_values_to_not_match_regex_list",
        {"regex_list": ["p", "o"], "match_on": "all"},
        3,
    ),
    ("orders.status", "dbt_expectations.expect_column_value_lengths_to_equal", {"value": 4}, 3),
    (
        "orders.status",
        "dbt_expectations.expect_column_value_lengths_to_be_between",
        {"min_value": 2, "max_value": 4},
        2,
    ),
    (
        "orders.status",
        "dbt_expectations.expect_column_value_lengths_to_be_between",
        {"max_value": 5, "strictly": True, "row_condition": "id > 6"},
        1,
    ),
    ("orders.status", "dbt_expectations.expect_column_to_exist", {}, 0),
    ("orders.STATUS", "dbt_expectations.expect_column_to_exist", {"column_index": 2}, 0),
    ("orders.status", "dbt_expectations.expect_column_to_exist", {"column_index": 1}, 1),
    ("orders.state", "dbt_expectations.expect_column_to_exist", {}, 1),
]
ON_MODEL: list[Case] = [
    ("orders", "dbt_utils.expression_is_true", {"expression": "total >= 0"}, 1),
    ("orders", "dbt_utils.expression_is_true", {"expression": "total % 10 = 0 -- a comment"}, 1),
    ("orders", "dbt_utils.expression_is_true", {"expression": "status <> ':bound' or status like '%'"}, 0),
    ("customers", "dbt_utils.unique_combination_of_columns", {"combination_of_columns": ["name"]}, 2),
    ("flags", "dbt_utils.unique_combination_of_columns", {"combination_of_columns": ['"Order"']}, 0),
    ("customers", "dbt_utils.unique_combination_of_columns", {"combination_of_columns": ["id", "name"]}, 0),
    ("customers", "dbt_utils.equal_rowcount", {"compare_model": "ref('customers')"}, 0),
    ("orders", "dbt_utils.equal_rowcount", {"compare_model": "ref('customers')"}, 3),
    ("orders", "dbt_utils.equal_rowcount", {"compare_model": "vacant"}, 7),
    ("vacant", "dbt_utils.equal_rowcount", {"compare_model": "ref('orders')"}, 7),
    ("orders", "dbt_utils.equal_rowcount", {"compare_model": "ref('orders')", "group_by_columns": ["id"]}, 0),
    ("vacant", "dbt_utils.equal_rowcount", {"compare_model": "vacant"}, 0),
    *(
        (
            "orders",
            "dbt_utils.equal_rowcount",
            {"compare_model": other, "group_by_columns": ["status"]},
            count,
        )
        # NULL is a group like the others; what only one table has counts by all its rows.
        for other, count in (("ref('orders')", 0), ("paid_orders", 5))
    ),
    (
        "paid_orders",
        "dbt_utils.fewer_rows_than",
        {"compare_model": "orders", "group_by_columns": ["status"]},
        1,
    ),
    ("orders", "dbt_utils.fewer_rows_than", {"compare_model": "vacant"}, 7),
    ("vacant", "dbt_utils.fewer_rows_than", {"compare_model": "vacant"}, 1),
    ("customers", "dbt_utils.fewer_rows_than", {"compare_model": "ref('orders')"}, 0),
    ("orders", "dbt_utils.fewer_rows_than", {"compare_model": "ref('customers')"}, 3),
    ("orders", "dbt_utils.fewer_rows_than", {"compare_model": "ref('orders')"}, 1),
    ("vacant", "dbt_utils.fewer_rows_than", {"compare_model": "ref('orders')"}, 0),
    ("orders", "dbt_utils.recency", {"field": "placed", "datepart": "day", "interval": 7}, 1),
    ("orders", "dbt_utils.recency", {"field": "placed", "datepart": "quarter", "interval": 4000}, 0),
    ("vacant", "dbt_utils.recency", {"field": "seen", "datepart": "hour", "interval": 1}, 0),
    (
        "customers",
        "dbt_utils.recency",
        {"field": "since", "datepart": "week", "interval": 2, "group_by_columns": ["name"]},
        2,
    ),
    (
        "customers",
        "dbt_utils.recency",
        {"field": "since", "datepart": "year", "interval": 900, "ignore_time_component": True},
        0,
    ),
    (
        "ranges",
        "dbt_utils.mutually_exclusive_ranges",
        {"lower_bound_column": "low", "upper_bound_column": "high", "partition_by": "room"},
        3,
    ),
    (
        "ranges",
        "dbt_utils.mutually_exclusive_ranges",
        {
            "lower_bound_column": "low",
            "upper_bound_column": "high",
            "partition_by": "room",
            "gaps": "not_allowed",
            "zero_length_range_allowed": True,
        },
        3,
    ),
    (
        "ranges",
        "dbt_utils.mutually_exclusive_ranges",
        {"lower_bound_column": "low", "upper_bound_column": "high", "partition_by": "room, low"},
        2,
    ),
    ("orders", "dbt_expectations.expect_table_row_count_to_be_between", {"min_value": 7, "max_value": 7}, 0),
    ("orders", "dbt_expectations.expect_table_row_count_to_be_between", {"min_value": 8}, 1),
    ("vacant", "dbt_expectations.expect_table_row_count_to_be_between", {"min_value": 1}, 1),
    (
        "customers",
        "dbt_expectations.expect_table_row_count_to_be_between",
        {"max_value": 2, "strictly": True, "group_by": ["name"]},
        2,
    ),
]


CASES: list[Case] = [*ON_COLUMN, *ON_MODEL]


@pytest.fixture(scope="module")
def results(planted: str, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Result]:
    """The results of every case, from one run, by the number of the case."""
    models: dict[str, dict[str, Any]] = {}
    for number, (subject, kind, arguments, _) in enumerate(CASES):
        name, _, column = subject.partition(".")
        model = models.setdefault(name, {"name": name, "columns": {}, "data_tests": []})
        tests = model["data_tests"]
        if column:
            tests = model["columns"].setdefault(column, {"name": column, "data_tests": []})["data_tests"]
        tests.append({kind: {"name": str(number), "arguments": arguments}})
    for model in models.values():
        model["columns"] = list(model["columns"].values())
    path = tmp_path_factory.mktemp("cases") / "schema.yml"
    # JSON is YAML too.
    path.write_text(json.dumps({"models": list(models.values())}), encoding="utf-8")
    return {result.test.name: result for result in run_tests(load_project(path), planted)}


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda n: f"{n}-{CASES[n][0]}-{CASES[n][1]}")
def test_counts(results: Mapping[str, Result], number: int) -> None:
    result, failures = results[str(number)], CASES[number][3]
    assert (result.failures, result.status) == (failures, Status.FAIL if failures else Status.PASS), result
    assert bool(result.rows) is bool(failures)
