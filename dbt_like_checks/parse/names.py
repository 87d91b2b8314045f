"""The names dbt gives to tests, so that its users find theirs again."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

ALIAS_LIMIT = 63  # characters of a table's name on PostgreSQL
PREFIX = 30  # characters of a long name that stay in its alias


def test_name(kind: str, model: str, arguments: Mapping[str, object]) -> str:
    """An unnamed test's name: ``not_null_orders_id``, ``dbt_utils_accepted_range_orders_total__0``."""
    flat: list[object] = []
    for _, value in sorted(arguments.items()):
        if isinstance(value, Mapping):
            flat += value.values()
        elif isinstance(value, list | tuple):
            flat += value
        else:
            flat.append(value)
    cleaned = "__".join(re.sub(r"[^0-9a-zA-Z_]+", "_", str(part)) for part in flat)
    return f"{kind.replace('.', '_')}_{model}_{cleaned}"


def identifier(name: str) -> str:
    """``name`` in the letters of an identifier, which are those that Dagster allows."""
    return re.sub(r"[^A-Za-z0-9_]", "_", name)


def alias(name: str) -> str:
    """``name`` where it may name a table, else its beginning and a hash of it."""
    return name if len(name.encode()) <= ALIAS_LIMIT else hashed(name, name)


def hashed(name: str, identity: str) -> str:
    """A table's name: the beginning of ``name`` and a hash of ``identity``."""
    beginning = re.sub(r"[^0-9a-zA-Z_]+", "_", name)[:PREFIX]
    return f"{beginning}_{_digest(identity)}"


def unique_id(project: str, name: str, *identity: object) -> str:
    """dbt's shape, ``test.<project>.<name>.<hash>``; the hash is of what the test is."""
    return f"test.{project}.{name}.{short_hash(repr(identity))}"


def short_hash(text: str) -> str:
    """Ten characters that stand for a text, as in dbt's unique ids."""
    return _digest(text)[-10:]


def _digest(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
