"""Paths of Dagster's UI: where a person looks at what an alert is about."""

from __future__ import annotations

from urllib.parse import quote, urlencode


def asset_path(asset: str, partition: str | None = None) -> str:
    """An asset's partitions, with one of them chosen. ``asset`` is a key such as ``inference``."""
    query = {"view": "partitions"} | ({"partition": partition} if partition else {})
    return f"/assets/{quote(asset)}?{urlencode(query)}"


def check_path(asset: str, check: str) -> str:
    """A check of an asset."""
    return f"/assets/{quote(asset)}?{urlencode({'view': 'checks', 'checkDetail': check})}"


def run_path(run_id: str) -> str:
    """A run."""
    return f"/runs/{run_id}"


def automation_path(location: str, kind: str, name: str) -> str:
    """A ``sensor`` or ``schedule`` of a code location."""
    return f"/locations/{quote(location)}/{kind}s/{quote(name)}"
