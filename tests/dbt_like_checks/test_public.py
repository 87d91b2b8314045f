"""The public surface of `dbt_like_checks`: changing it is a change for whoever uses the package alone."""

import dbt_like_checks

NAMES = """
CannotCompile Column ColumnName Config DataTest DataTestError DatabaseUnusable GenericTest Model OtherTable
Place Problem Project ProjectError Query Reader Registry Relation Restriction Result RunOptions RunResults
Severity Sql Status Tables Tested Threshold
compile_test default_registry generic_test judge load_project open_engine run_tests
"""


def test_the_exported_names() -> None:
    assert sorted(dbt_like_checks.__all__) == NAMES.split()
    assert all(getattr(dbt_like_checks, name) is not None for name in NAMES.split())
