"""What all values of the contract are made of: strict frozen models, fields that came later, digests."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

SEED_LIMIT = 2**53  # whole numbers below it are the same in every JSON reader


class Value(BaseModel):
    """A frozen value that refuses unknown and missing fields and never coerces types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def since(default: Any, **constraints: Any) -> Any:
    """A field that came later than the first records.

    It is left out of what is written while it has its default, so that an old record is read, and an
    old request is sent again, exactly as it was.
    """
    return Field(default=default, exclude_if=lambda value: value == default, **constraints)


def token_digest(token_ids: Sequence[int]) -> str:
    """sha256 over the generated token ids as little-endian 64-bit integers: equal ids, equal digest."""
    return hashlib.sha256(struct.pack(f"<{len(token_ids)}q", *token_ids)).hexdigest()


def text_digest(text: str) -> str:
    """sha256 of a text in UTF-8; a lone surrogate counts as its three bytes."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
