"""Data tests as Dagster asset checks."""

from dbt_like_checks.dagster.checks import Target as Target
from dbt_like_checks.dagster.checks import build_asset_checks as build_asset_checks
