"""What rules found is shown with the version of the rules, wherever it is shown. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

NOT_ON_RECORD = "not on record"  # of kinds that were found before their version was kept


def versions_of(found: Iterable[str | None]) -> tuple[str | None, ...]:
    """Each version once, oldest first, as versions count: 9 before 10; None is one that is not on record."""
    return tuple(sorted(set(found), key=lambda one: (one is not None, len(one or ""), one or "")))


def with_versions(name: str, versions: Sequence[str | None]) -> str:
    """A labeller with its versions: ``rules, version 6``, ``rules, versions not on record, 5, 6``."""
    if not versions:
        return name
    listed = ", ".join(version or NOT_ON_RECORD for version in versions)
    return f"{name}, version{'s' if len(versions) > 1 else ''} {listed}"
