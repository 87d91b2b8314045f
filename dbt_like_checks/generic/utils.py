"""The generic tests of dbt-utils."""

TESTS = ()
