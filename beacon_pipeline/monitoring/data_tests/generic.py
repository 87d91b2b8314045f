"""Beacon's own generic tests, registered by entry point: what dbt's tests cannot know or cannot say.

Every `dbt-like-checks` command imports this file, so the catalog is imported where it is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from dbt_like_checks import CannotCompile, ColumnName, OtherTable, Tested, generic_test
from dbt_like_checks.database.dialects import Dialect, literal

if TYPE_CHECKING:
    from beacon_pipeline.catalog import Catalog

DAY_SECONDS = 86_400


@generic_test(package="beacon")
def region_of_the_catalog(tested: Tested) -> sa.Select[Any]:
    """Every value is the id of a region, in its one canonical spelling: no alias, no unknown name."""
    ids = [literal(region.id) for region in _catalog().regions]
    return tested.failing(tested.column.not_in(ids))


@generic_test(package="beacon", column="none")
def attempts_within_budget(tested: Tested, *, executions: OtherTable, jobs: OtherTable) -> sa.Select[Any]:
    """No execution has more attempts than the catalog allows.

    Only jobs asked from the catalog of now, word for word, are judged: another had its own budget.
    """
    catalog = _catalog()
    asked, job = tested.other(executions).from_clause, tested.other(jobs).from_clause
    ids = (
        sa.select(asked.c.id)
        .join(job, job.c.id == asked.c.job_id)
        .where(job.c.catalog_digest == literal(catalog.digest))
    )
    too_many = tested.named("number") > literal(catalog.settings.attempt_budget)
    return tested.failing(sa.and_(too_many, tested.named("execution_id").in_(ids)))


@generic_test(package="beacon")
def seconds_after(
    tested: Tested, *, start: ColumnName, min_value: float | None = None, max_value: float | None = None
) -> sa.Select[Any]:
    """The moment in the column is so many seconds after the one in ``start``; a missing one may be."""
    begin, end = tested.named(start), tested.column
    seconds = _seconds_between(tested.dialect, begin, end)
    outside = []
    if min_value is not None:
        outside.append(seconds < literal(min_value))
    if max_value is not None:
        outside.append(seconds > literal(max_value))
    if not outside:
        raise CannotCompile("seconds_after needs min_value, max_value or both")
    return tested.failing(sa.or_(*outside), begin, end)


def _seconds_between(
    dialect: Dialect, begin: sa.ColumnElement[Any], end: sa.ColumnElement[Any]
) -> sa.ColumnElement[Any]:
    match dialect:
        case Dialect.SQLITE:
            days = sa.func.julianday(end) - sa.func.julianday(begin)
            return days * sa.literal_column(str(DAY_SECONDS))
        case Dialect.POSTGRESQL | Dialect.DUCKDB:
            return sa.extract("epoch", sa.cast(end, sa.TIMESTAMP()) - sa.cast(begin, sa.TIMESTAMP()))


def _catalog() -> Catalog:
    from beacon_pipeline.catalog import CatalogError, load_catalog

    try:
        return load_catalog()
    except CatalogError as error:
        raise CannotCompile(f"it needs the catalog: {error}") from error
