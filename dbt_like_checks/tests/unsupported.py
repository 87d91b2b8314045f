"""Generic tests that exist elsewhere and are not run here: distinguished from names that no package has."""

from __future__ import annotations

# Those of the packages whose tests are run here, as published: dbt-utils 1.3, dbt-expectations 0.10.
# What is run here is found before anybody looks into this list.
_OF_EXPECTATIONS = """
    equal_expression expect_column_distinct_count_to_equal_other_table
    expect_column_distinct_values_to_contain_set expect_column_distinct_values_to_equal_set
    expect_column_median_to_be_between expect_column_most_common_value_to_be_in_set
    expect_column_pair_values_to_be_in_set expect_column_quantile_values_to_be_between
    expect_column_stdev_to_be_between expect_column_values_to_be_decreasing
    expect_column_values_to_be_increasing expect_column_values_to_be_within_n_moving_stdevs
    expect_column_values_to_be_within_n_stdevs expect_column_values_to_have_consistent_casing
    expect_column_values_to_match_like_pattern expect_column_values_to_match_like_pattern_list
    expect_column_values_to_not_match_like_pattern expect_column_values_to_not_match_like_pattern_list
    expect_grouped_row_values_to_have_recent_data expect_multicolumn_sum_to_equal
    expect_row_values_to_have_data_for_every_n_datepart expect_row_values_to_have_recent_data
    expect_select_column_values_to_be_unique_within_record expect_table_aggregation_to_equal_other_table
    expect_table_column_count_to_be_between expect_table_column_count_to_equal
    expect_table_column_count_to_equal_other_table expect_table_columns_to_contain_set
    expect_table_columns_to_match_ordered_list expect_table_columns_to_match_set
    expect_table_columns_to_not_contain_set expect_table_row_count_to_equal_other_table_times_factor
    expression_between expression_is_true
"""
_KNOWN = {
    "dbt_utils": frozenset(("equality", "not_accepted_values", "relationships_where")),
    "dbt_expectations": frozenset(_OF_EXPECTATIONS.split()),
}


def unsupported_here(kind: str, written_in_project: frozenset[str]) -> str | None:
    """Why a kind that is not run here is none all the same; None where no package has a test of that name.

    ``written_in_project``: the generic tests that the dbt project defines in Jinja itself.
    """
    package, _, name = kind.rpartition(".")
    if not package:
        if name in written_in_project:
            return f"not supported here: {kind!r} is written in Jinja in this project"
        return None
    if package in _KNOWN:
        return f"not supported here: {kind!r}" if name in _KNOWN[package] else None
    return f"not supported here: {kind!r} is of the package {package!r}"
