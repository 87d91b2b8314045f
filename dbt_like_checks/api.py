"""What the package gives, in one place: `dbt_like_checks` itself gives it, imported when first asked for."""

from __future__ import annotations

from dbt_like_checks.database.access import Reader, open_engine
from dbt_like_checks.database.tables import Tables
from dbt_like_checks.errors import (
    CannotCompile,
    DatabaseUnusable,
    DataTestError,
    Place,
    Problem,
    ProjectError,
)
from dbt_like_checks.parse.grammar import load_project
from dbt_like_checks.parse.project import Column, Config, DataTest, Model, Project, Relation, Severity
from dbt_like_checks.run.compile import Query, Restriction, compile_test
from dbt_like_checks.run.results import Result, RunResults, Status, judge
from dbt_like_checks.run.runner import RunOptions, run_tests
from dbt_like_checks.tests.generic.tested import ColumnName, OtherTable, Sql, Tested
from dbt_like_checks.tests.registry import GenericTest, Registry, default_registry, generic_test
from dbt_like_checks.tests.thresholds import Threshold

__all__ = [
    "CannotCompile",
    "Column",
    "ColumnName",
    "Config",
    "DataTest",
    "DataTestError",
    "DatabaseUnusable",
    "GenericTest",
    "Model",
    "OtherTable",
    "Place",
    "Problem",
    "Project",
    "ProjectError",
    "Query",
    "Reader",
    "Registry",
    "Relation",
    "Restriction",
    "Result",
    "RunOptions",
    "RunResults",
    "Severity",
    "Sql",
    "Status",
    "Tables",
    "Tested",
    "Threshold",
    "compile_test",
    "default_registry",
    "generic_test",
    "judge",
    "load_project",
    "open_engine",
    "run_tests",
]
