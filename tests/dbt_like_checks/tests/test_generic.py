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
    ("flags.flag", "accepted_values", {"values": ["true", "false"]}, 0),
    ("flags.flag", "accepted_values", {"values": ["true"]}, 1),
    ("flags.text", "accepted_values", {"values": ["true", "false"]}, 3),
    ("flags.text", "accepted_values", {"values": [True, False]}, 1),
    # dbt pastes a value between quotes: two in it are one, as its maintainers say to write it.
    ("quotes.degree", "accepted_values", {"values": ["Bachelor''s", "Master''s"]}, 1),
    ("quotes.degree", "accepted_values", {"values": ["Bachelor's", "Master's", "PhD"]}, 0),
    (
        "quotes.degree",
        "dbt_expectations.expect_column_values_to_match_regex",
        {"regex": "^(Bachelor''s|Master''s|PhD)$"},
        0,
    ),
    (
        "quotes.degree",
        "dbt_expectations.expect_column_values_to_not_match_regex_list",
        {"regex_list": ["r''s", "D$"], "flags": "c", "match_on": "all"},
        3,
    ),
    # A month from 31 January is the end of February, and a year from 29 February the 28th.
    ("month_ends.day", "dbt_utils.sequential_values", {"datepart": "month", "group_by_columns": ["n"]}, 1),
    ("leap_days.day", "dbt_utils.sequential_values", {"datepart": "year"}, 0),
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
    ("vacant", "dbt_utils.recency", {"field": "seen", "datepart": "hour", "interval": 1}, 1),
    # A group without a time is not recent; dbt-utils since 1.4.0.
    (
        "orders",
        "dbt_utils.recency",
        {"field": "placed", "datepart": "year", "interval": 900, "group_by_columns": ["status"]},
        1,
    ),
    # An expression, as dbt pastes it.
    (
        "orders",
        "dbt_utils.recency",
        {"field": "coalesce(placed, placed)", "datepart": "day", "interval": 7},
        1,
    ),
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


def _expect(subject: str, kind: str, failures: int, **arguments: Any) -> Case:
    return subject, f"dbt_expectations.expect_{kind}", arguments, failures


PAIR = "column_pair_values_A_to_be_greater_than_B"
OTHERS: list[Case] = [
    ("orders.customer", "dbt_utils.relationships_where", {"to": "ref('customers')", "field": "id"}, 2),
    (
        "orders.customer",
        "dbt_utils.relationships_where",
        {"to": "customers", "field": "id", "from_condition": "total <> 30", "to_condition": "name = 'Bo'"},
        4,
    ),
    ("orders", "dbt_utils.equality", {"compare_model": "ref('orders')"}, 0),
    ("orders", "dbt_utils.equality", {"compare_model": "paid_orders", "compare_columns": ["status"]}, 10),
    (
        "customers",
        "dbt_utils.equality",
        {"compare_model": "customers", "exclude_columns": "since", "precision": 2},
        0,
    ),
    ("orders.status", "dbt_utils.not_accepted_values", {"values": ["paid", ""]}, 2),
    _expect("orders.total", "column_values_to_be_between", 1, min_value=0),
    _expect("orders.total", "column_values_to_be_between", 2, max_value=60, strictly=True),
    _expect("orders.total", "column_values_to_be_between", 1, min_value="id * 10", row_condition="id < 3"),
    _expect("orders.status", "column_values_to_be_in_set", 4, value_set=["paid", "lost"]),
    _expect("orders.customer", "column_values_to_be_in_set", 2, value_set=[1, 9], quote_values=False),
    _expect("orders.status", "column_values_to_not_be_in_set", 2, value_set="paid"),
    _expect("orders.customer", "column_distinct_values_to_be_in_set", 2, value_set=[1, 2]),
    _expect("orders.status", "column_values_to_not_be_null", 1),
    _expect("orders.status", "column_values_to_not_be_null", 0, row_condition="id <> 4"),
    _expect("orders.status", "column_values_to_be_null", 6),
    _expect("customers.id", "column_values_to_be_unique", 1),
    _expect("vacant.id", "column_values_to_be_unique", 0),
    _expect("orders.id", "column_values_to_be_of_type", 0, column_type="integer"),
    _expect("orders.id", "column_values_to_be_of_type", 1, column_type="text"),
    _expect("orders.status", "column_values_to_be_in_type_list", 0, column_type_list=["TEXT", "varchar"]),
    _expect("orders.customer", "column_distinct_count_to_equal", 0, value=3),
    _expect("orders.customer", "column_distinct_count_to_equal", 2, value=1, group_by=["status"]),
    _expect("orders.customer", "column_distinct_count_to_be_greater_than", 1, value=3),
    _expect("orders.customer", "column_distinct_count_to_be_less_than", 0, value=4),
    _expect("orders.total", "column_min_to_be_between", 1, min_value=0),
    _expect("orders.total", "column_max_to_be_between", 0, max_value=70),
    _expect("vacant.id", "column_max_to_be_between", 0, max_value=70),
    _expect("orders.total", "column_sum_to_be_between", 0, min_value=215, max_value=215),
    _expect("orders.total", "column_mean_to_be_between", 1, min_value=36),
    _expect("orders.customer", "column_unique_value_count_to_be_between", 0, min_value=3),
    _expect("orders.customer", "column_proportion_of_unique_values_to_be_between", 1, min_value=0.6),
    _expect("vacant.id", "column_proportion_of_unique_values_to_be_between", 0, min_value=1),
    _expect("orders", "table_row_count_to_equal", 0, value=7),
    _expect("customers", "table_row_count_to_equal", 1, value=2, group_by="name", row_condition="id > 0"),
    _expect("orders", "table_row_count_to_equal_other_table", 1, compare_model="ref('customers')"),
    _expect("customers", "table_row_count_to_equal_other_table", 0, compare_model="paid_orders", factor=2),
    _expect("vacant", "table_row_count_to_equal_other_table", 1, compare_model="orders"),
    _expect("orders", PAIR, 1, column_A="total", column_B="id * 10", or_equal=True),
    _expect("orders", PAIR, 1, column_A="total", column_B="id", row_condition="id < 3"),
    _expect("orders", "column_pair_values_to_be_equal", 4, column_A="id", column_B="customer"),
    _expect("customers", "compound_columns_to_be_unique", 2, column_list=["name"]),
    _expect("ranges", "compound_columns_to_be_unique", 1, column_list=["high"]),
]
CASES: list[Case] = [*ON_COLUMN, *ON_MODEL, *OTHERS]


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
