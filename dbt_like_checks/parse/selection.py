"""``--select`` and ``--exclude``, in the part of dbt's syntax that fits tests.

Criteria between spaces add up, criteria between commas must all hold: ``tag:nightly orders,unique*``.
A criterion is ``tag:…``, ``test_name:…`` (the kind of test), ``test_type:…`` (singular, generic, data),
``source:…``, ``path:…`` or a path (of the file a test is in, or a folder above) or the name of a test, or
of a model or source table that it is on or refers to; ``*`` stands for anything. What is a name from end to
end, with its spaces, commas and colons, is that name. dbt's ``+`` before or behind changes nothing: which
models are made of which is not known here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from dbt_like_checks.errors import DataTestError, did_you_mean
from dbt_like_checks.parse.files import within_project
from dbt_like_checks.parse.project import SINGULAR, DataTest, Project, Relation

ENDINGS = (".sql", ".yaml", ".yml")
_GRAPH = re.compile(r"^@|^\d*\+|\+\d*$")  # dbt's operators for what is before and behind in its graph


class NothingSelected(DataTestError):
    """A criterion that no test meets: most likely a typing error."""


def select_tests(
    tests: Project | Iterable[DataTest], select: Sequence[str] = (), exclude: Sequence[str] = ()
) -> list[DataTest]:
    """The enabled tests that meet a criterion of ``select`` and none of ``exclude``, in their order.

    Without ``select`` all are meant. Raises NothingSelected.
    """
    listed = list(tests)
    declared = tests.models if isinstance(tests, Project) else [test.model for test in listed if test.model]
    models = {model.relation: model.name for model in declared}
    candidates = [_Candidate.of(test, models) for test in listed if test.config.enabled]
    wanted = _matching(candidates, select, "--select") if select else set(candidates)
    unwanted = _matching(candidates, exclude, "--exclude") if exclude else set()
    chosen = wanted - unwanted
    return [each.test for each in candidates if each in chosen]


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A test, and what it can be selected by.

    ``tables``: those it is on or refers to. ``sources``: of these those of sources, ``raw.orders``, and
    the sources themselves.
    """

    test: DataTest
    tables: frozenset[str]
    sources: frozenset[str]
    kinds: frozenset[str]

    @classmethod
    def of(cls, test: DataTest, models: Mapping[Relation, str]) -> _Candidate:
        on = [test.model.name] if test.model else []
        tables = frozenset((*on, *(models.get(other, str(other)) for other in test.others)))
        of_sources = [name for name in tables if "." in name]
        sources = frozenset((*of_sources, *(name.partition(".")[0] for name in of_sources)))
        return cls(test, tables, sources, frozenset((test.kind, test.kind.rpartition(".")[2])))

    @property
    def types(self) -> frozenset[str]:
        """What ``test_type:`` selects it by; ``data`` are all that are no unit tests."""
        return frozenset(("data", "singular" if self.test.kind == SINGULAR else "generic"))

    @property
    def names(self) -> frozenset[str]:
        """What it may be called by, without saying what that is."""
        return self.tables | self.sources | {self.test.name}


def _matching(candidates: Sequence[_Candidate], criteria: Sequence[str], option: str) -> set[_Candidate]:
    names = frozenset(name for each in candidates for name in each.names)
    found: set[_Candidate] = set()
    for union in (part for given in criteria for part in _split(given, None, names)):
        conditions = [_condition(part, names) for part in _split(union, ",", names) if part]
        matching = [each for each in candidates if conditions and all(holds(each) for holds in conditions)]
        if not matching:
            tags = {f"tag:{tag}" for each in candidates for tag in each.test.tags}
            raise NothingSelected(f"{option}: no test meets {union!r}{did_you_mean(union, names | tags)}")
        found.update(matching)
    return found


def _split(text: str, separator: str | None, names: frozenset[str]) -> list[str]:
    return [text] if text in names else text.split(separator)


def _condition(criterion: str, names: frozenset[str]) -> Callable[[_Candidate], bool]:
    if criterion not in names:
        criterion = _GRAPH.sub("", criterion)
    method, colon, value = criterion.partition(":")
    if criterion not in names and not colon and ("/" in criterion or criterion.endswith(ENDINGS)):
        method, colon, value = "path", ":", criterion
    if criterion in names or not colon:
        return lambda each: criterion in each.names or _any_like(each.names, criterion)
    match method:
        case "tag":
            return lambda each: _any_like(each.test.tags, value)
        case "test_name":
            return lambda each: _any_like(each.kinds, value)
        case "test_type":
            return lambda each: _any_like(each.types, value)
        case "path":
            return lambda each: _is_in(Path(each.test.place.file), value)
        case "source":
            return lambda each: _any_like(each.sources, value)
        case _:
            raise NothingSelected(
                f"unknown selection {method + ':'!r}:"
                " use tag:, test_name:, test_type:, source:, path: or a name"
            )


def _is_in(file: Path, wanted: str) -> bool:
    """Whether a file is this one, or in this folder: seen from here, or from the project as dbt says it."""
    asked, whole = Path(wanted).resolve(), file.resolve()
    if asked == whole or asked in whole.parents:
        return True
    within = Path(*within_project(whole.parent), whole.name)
    pattern = wanted.strip("/").removeprefix("./")
    return any(fnmatchcase(each.as_posix(), pattern) for each in (within, *within.parents))


def _any_like(names: Iterable[str], pattern: str) -> bool:
    return any(fnmatchcase(name, pattern) for name in names)
