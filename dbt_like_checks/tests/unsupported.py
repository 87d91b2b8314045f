"""Generic tests that exist elsewhere and are not run here: distinguished from names that no package has."""

from __future__ import annotations

# Of the packages whose tests are run here, as published: dbt-utils 1.4, dbt-expectations 0.10.
_KNOWN: dict[str, frozenset[str]] = {
    "dbt_utils": frozenset(),
    "dbt_expectations": frozenset({"expect_column_values_to_be_within_n_moving_stdevs"}),
}


def unsupported_here(kind: str, written_in_project: frozenset[str]) -> str | None:
    """Why a kind that is not run here is none all the same; None where no package has a test of that name.

    ``written_in_project``: the generic tests that the dbt project defines in Jinja itself.
    """
    package, _, name = kind.rpartition(".")
    if not package:
        if name in written_in_project:
            return f"not supported here: {kind!r} is written in Jinja in this project"
        return None
    if package in _KNOWN:
        return f"not supported here: {kind!r}" if name in _KNOWN[package] else None
    return f"not supported here: {kind!r} is of the package {package!r}"
