"""The generic tests of dbt-expectations."""

TESTS = ()
