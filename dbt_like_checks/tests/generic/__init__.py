"""The generic tests that ship: dbt's own four, those of dbt-utils and those of dbt-expectations."""

from __future__ import annotations

from dbt_like_checks.tests.generic import (
    comparisons,
    core,
    distributions,
    equality,
    expectations,
    expressions,
    recent,
    sequences,
    sets,
    shape,
    utils,
    values,
)
from dbt_like_checks.tests.registry import GenericTest

SHIPPED: tuple[GenericTest, ...] = (
    *core.TESTS,
    *utils.TESTS,
    *sequences.TESTS,
    *comparisons.TESTS,
    *equality.TESTS,
    *expectations.TESTS,
    *values.TESTS,
    *expressions.TESTS,
    *recent.TESTS,
    *sets.TESTS,
    *shape.TESTS,
    *distributions.TESTS,
)
