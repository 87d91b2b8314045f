"""Generic tests that exist elsewhere and are not run here: distinguished from names that no package has."""

from __future__ import annotations

# The packages all of whose generic tests are run here: a name that is not known is of no test of theirs.
_WHOLE = frozenset({"dbt_utils", "dbt_expectations"})


def unsupported_here(kind: str, written_in_project: frozenset[str]) -> str | None:
    """Why a kind that is not run here is none all the same; None where no package has a test of that name.

    ``written_in_project``: the generic tests that the dbt project defines in Jinja itself.
    """
    package, _, name = kind.rpartition(".")
    if package in _WHOLE:
        return None
    if package:
        return f"not supported here: {kind!r} is of the package {package!r}"
    if name in written_in_project:
        return f"not supported here: {kind!r} is written in Jinja in this project"
    return None
