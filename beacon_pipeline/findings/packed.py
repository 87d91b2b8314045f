"""Rows packed for a page: columns, equal values once, gzip, base64. The same rows give the same bytes."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

Packed = dict[str, Any]


def column(values: Iterable[Any]) -> Packed:
    """A column with each distinct value once; nothing on record is -1."""
    places: dict[Any, int] = {}
    codes = [-1 if value is None else places.setdefault(value, len(places)) for value in values]
    return {"values": list(places), "codes": codes}


def columns(rows: Sequence[Mapping[str, Any]], names: Iterable[str]) -> dict[str, Packed]:
    """Each of these columns of the rows; moments as milliseconds since 1970."""
    return {name: column(_plain(row[name]) for row in rows) for name in names}


def compressed(value: Any) -> str:
    """JSON, compressed, in letters that need no escape within HTML."""
    # ASCII only: a lone surrogate, which UTF-8 does not have, stays what it is.
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode("ascii"), 9, mtime=0)).decode("ascii")


def _plain(value: Any) -> Any:
    return round(value.timestamp() * 1000) if isinstance(value, datetime) else value
