"""One's own generic tests: functions, registered by entry points."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from dbt_like_checks import (
    DataTestError,
    ProjectError,
    Registry,
    Status,
    Tested,
    default_registry,
    generic_test,
    load_project,
    run_tests,
)

Write = Callable[..., Path]

DISTRIBUTION = """
import sqlalchemy as sa
from dbt_like_checks import generic_test

@generic_test(package="shop")
def divisible(tested, *, by: int):
    "Every number is divisible."
    return tested.failing(tested.column % by != 0)

def no_rows(tested):
    return tested.failing(sa.true())

nonsense = 1
"""


def install(folder: Path, entry_points: str) -> None:
    """Lay a distribution out in a folder, as an installer would."""
    (folder / "shop_tests.py").write_text(DISTRIBUTION)
    metadata = folder / "shop_tests-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: shop-tests\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[dbt_like_checks.tests]\n{entry_points}\n")


def test_a_test_of_ones_own_by_entry_point(
    planted: str, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "divisible = shop_tests:divisible\nno_rows = shop_tests:no_rows")
    monkeypatch.syspath_prepend(str(tmp_path))
    path = write(
        "models: [{name: orders, columns: [{name: total, data_tests:"
        " [{shop.divisible: {arguments: {by: 10}}}, {divisible: {arguments: {by: 5}}}, no_rows]}]}]"
    )
    results = run_tests(load_project(path), planted)
    assert [(result.status, result.failures) for result in results] == [
        (Status.FAIL, 1),
        (Status.PASS, 0),
        (Status.FAIL, 7),
    ]
    assert results.results[0].rows == ({"id": 2, "total": -5},)
    with pytest.raises(ProjectError, match=r"'shop\.divisible': by: Input should be a valid integer"):
        load_project(write(path.read_text().replace("by: 10", "by: ten")))


@pytest.mark.parametrize(
    ("entry_point", "said"),
    [
        ("x = shop_tests:gone", r"the generic test 'shop_tests:gone' cannot be imported"),
        ("x = shop_tests:nonsense", r"'shop_tests:nonsense' in the entry points .* is no generic test"),
        ("a = shop_tests:divisible\nb = shop_tests:divisible", r"'shop\.divisible' is registered twice"),
    ],
)
def test_an_entry_point_that_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry_point: str, said: str
) -> None:
    install(tmp_path, entry_point)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(DataTestError, match=said):
        default_registry()


@generic_test(package="shop", name="unique")
def shops_unique(tested: Tested) -> sa.Select[Any]:
    """No value occurs in two rows."""
    return tested.failing(sa.false())


def test_a_bare_name_that_two_packages_share_is_dbts_own_or_refused() -> None:
    registry = Registry([*default_registry(), shops_unique])
    assert registry.find("unique").package is None
    assert registry.find("shop.unique") is shops_unique

    @generic_test(package="other", name="recency")
    def recency(tested: Tested) -> sa.Select[Any]:
        return tested.failing(sa.false())

    with pytest.raises(LookupError, match=r"write dbt_utils\.recency or other\.recency"):
        Registry([*default_registry(), recency]).find("recency")


def test_a_function_that_fails_is_an_error_of_its_test(planted: str, write: Write) -> None:
    @generic_test(package="shop")
    def broken(tested: Tested) -> Any:
        return "SELECT 1"

    @generic_test(package="shop")
    def raising(tested: Tested) -> sa.Select[Any]:
        raise RuntimeError("out of stock\nand more")

    registry = Registry([*default_registry(), broken, raising])
    path = write("models: [{name: orders, columns: [{name: id, data_tests: [broken, raising, unique]}]}]")
    first, second, third = run_tests(load_project(path, registry=registry), planted, registry=registry)
    assert first.message == "the generic test 'shop.broken' must return a SQLAlchemy select, not str"
    assert second.message == "the generic test 'shop.raising' failed: RuntimeError: out of stock"
    assert third.status is Status.PASS


class Unwritable(sa.ColumnElement[bool]):
    """An expression that no database has."""

    __visit_name__ = "unwritable"
    inherit_cache = True


def test_what_cannot_be_written_for_people_is_no_fault_of_the_test(planted: str, write: Write) -> None:
    @generic_test(package="shop")
    def at_most(tested: Tested, *, most: int) -> sa.Select[Any]:
        # Bound without a type, a value is sent, but SQLAlchemy does not know how to write it.
        return tested.failing(tested.column > sa.bindparam("most", most, sa.types.NullType()))

    @generic_test(package="shop")
    def unwritable(tested: Tested) -> sa.Select[Any]:
        return tested.failing(Unwritable())

    registry = Registry([*default_registry(), at_most, unwritable])
    path = write(
        "models: [{name: orders, columns: [{name: total, data_tests:"
        " [{at_most: {arguments: {most: 50}}}, unwritable]}]}]"
    )
    results = run_tests(load_project(path, registry=registry), planted, registry=registry)
    written, not_written = results
    assert (written.status, written.failures) == (Status.FAIL, 2)
    assert "total" in (written.compiled_code or "")
    assert (not_written.status, not_written.compiled_code) == (Status.ERROR, None)
    assert "Unwritable" in (not_written.message or "")
    assert [result.to_json()["compiled"] for result in results] == [True, False]
