"""The ``config:`` of a test: plain values into a `Config`, every problem reported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from dbt_like_checks.errors import did_you_mean
from dbt_like_checks.parse.project import Config, Severity
from dbt_like_checks.tests.thresholds import Threshold

Report = Callable[[str, str], None]  # hears the key and what is wrong with it
# dbt's, and without effect here: failing rows are always stored under their test's own name.
WITHOUT_EFFECT = frozenset(("alias", "database", "group", "schema"))


def read_config(values: Mapping[str, object], report: Report) -> Config:
    """A Config of plain values. What is wrong is reported and left at its default."""
    read: dict[str, Any] = {}
    # In the order of the keys: store_failures_as, the newer of the two, wins over store_failures.
    for key, value in sorted(values.items()):
        if key in WITHOUT_EFFECT or value is None:
            continue
        if key not in _READERS:
            report(key, f"unknown config {key!r}{did_you_mean(key, CONFIG_KEYS)}")
            continue
        name, reader = _READERS[key]
        try:
            read[name] = reader(value)
        except ValueError as error:
            report(key, f"{key}: {error}")
    return Config(**read)


def _severity(value: object) -> Severity:
    if isinstance(value, str) and value.lower() in ("error", "warn"):
        return Severity(value.lower())
    raise ValueError(f"must be 'error' or 'warn', not {value!r}")


def _threshold(value: object) -> Threshold:
    if not isinstance(value, str):
        raise ValueError(f"must be text such as '> 10', not {value!r}")
    return Threshold.parse(value)


def sql_text(value: object) -> str:
    """An SQL expression as text. Raises ValueError."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be SQL text")
    return value.strip()


def _where(value: object) -> str | None:
    # An empty one is none to dbt, which pastes it only where it holds something.
    return None if isinstance(value, str) and not value.strip() else sql_text(value)


def _limit(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63:
        return value
    raise ValueError(f"must be a whole number above 0, not {value!r}")


def _flag(value: object) -> bool:
    spelled = {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) else value
    if isinstance(spelled, bool):
        return spelled
    raise ValueError(f"must be true or false, not {value!r}")


def _stored_as(value: object) -> bool:
    if value in ("table", "ephemeral"):
        return value == "table"
    raise ValueError(f"must be 'table' or 'ephemeral', not {value!r}")


def tags(value: object) -> frozenset[str]:
    """One tag or a list of them. Raises ValueError."""
    given = [value] if isinstance(value, str) else value
    if isinstance(given, list) and all(isinstance(tag, str) for tag in given):
        return frozenset(given)
    raise ValueError("must be a text or a list of texts")


def _meta(value: object) -> Mapping[str, object]:
    if isinstance(value, dict):
        return MappingProxyType(value)
    raise ValueError("must be a mapping")


_READERS: Mapping[str, tuple[str, Callable[[object], object]]] = {
    "enabled": ("enabled", _flag),
    "error_if": ("error_if", _threshold),
    "fail_calc": ("fail_calc", sql_text),
    "limit": ("limit", _limit),
    "meta": ("meta", _meta),
    "severity": ("severity", _severity),
    "store_failures": ("store_failures", _flag),
    "store_failures_as": ("store_failures", _stored_as),
    "tags": ("tags", tags),
    "warn_if": ("warn_if", _threshold),
    "where": ("where", _where),
}
CONFIG_KEYS = frozenset((*_READERS, *WITHOUT_EFFECT))
