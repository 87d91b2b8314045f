"""The generic tests that ship: dbt's own four, and the best used of dbt-utils and dbt-expectations."""

from __future__ import annotations

from dbt_like_checks.tests.generic import comparisons, core, equality, expectations, sequences, utils, values
from dbt_like_checks.tests.registry import GenericTest

SHIPPED: tuple[GenericTest, ...] = (
    *core.TESTS,
    *utils.TESTS,
    *sequences.TESTS,
    *comparisons.TESTS,
    *equality.TESTS,
    *expectations.TESTS,
    *values.TESTS,
)
