"""``--select`` and ``--exclude``, in the part of dbt's syntax that fits tests.

Criteria between spaces add up, criteria between commas must all hold: ``tag:nightly orders,unique*``.
A criterion is ``tag:…``, ``test_name:…`` (the kind of test), ``source:…`` or the name of a test,
model or source table; ``*`` stands for anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase

from dbt_like_checks.errors import DataTestError, did_you_mean
from dbt_like_checks.project import DataTest


class NothingSelected(DataTestError):
    """A criterion that no test meets: most likely a typing error."""


def select_tests(
    tests: Iterable[DataTest], select: Sequence[str] = (), exclude: Sequence[str] = ()
) -> list[DataTest]:
    """The enabled tests that meet a criterion of ``select`` and none of ``exclude``, in their order.

    Without ``select`` all are meant. Raises NothingSelected.
    """
    enabled = [test for test in tests if test.config.enabled]
    wanted = _matching(enabled, select, "--select") if select else set(map(_key, enabled))
    unwanted = _matching(enabled, exclude, "--exclude") if exclude else set()
    return [test for test in enabled if _key(test) in wanted - unwanted]


def _key(test: DataTest) -> str:
    return test.unique_id


def _matching(tests: Sequence[DataTest], criteria: Sequence[str], option: str) -> set[str]:
    found: set[str] = set()
    for union in (part for given in criteria for part in given.split()):
        conditions = [_condition(part) for part in union.split(",") if part]
        matching = {_key(test) for test in tests if conditions and all(holds(test) for holds in conditions)}
        if not matching:
            raise NothingSelected(f"{option}: no test meets {union!r}{did_you_mean(union, _known(tests))}")
        found |= matching
    return found


def _condition(criterion: str) -> Callable[[DataTest], bool]:
    method, colon, value = criterion.partition(":")
    if not colon:
        return lambda test: any(fnmatchcase(name, criterion) for name in _names(test))
    match method:
        case "tag":
            return lambda test: any(fnmatchcase(tag, value) for tag in test.tags)
        case "test_name":
            return lambda test: any(fnmatchcase(name, value) for name in _kinds(test))
        case "source":
            return lambda test: any(
                fnmatchcase(name, value) for name in _names(test)[1:] if test.model and "." in test.model.name
            )
        case _:
            raise NothingSelected(
                f"unknown selection {method + ':'!r}: use tag:, test_name:, source: or a name"
            )


def _names(test: DataTest) -> list[str]:
    """What a test may be called by: itself, its model, and of a source table also its source."""
    if test.model is None:
        return [test.name]
    source, dot, _ = test.model.name.partition(".")
    return [test.name, test.model.name, *([source] if dot else [])]


def _kinds(test: DataTest) -> set[str]:
    return {test.kind, test.kind.rpartition(".")[2]}


def _known(tests: Iterable[DataTest]) -> set[str]:
    return {name for test in tests for name in (*_names(test), *(f"tag:{tag}" for tag in test.tags))}
