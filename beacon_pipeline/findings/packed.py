"""Rows packed for a page: columns, equal values once, gzip, base64. The same rows give the same bytes."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

Packed = dict[str, Any]

# A word with the space before it, at most 32 characters of one; of scripts without spaces one character.
_WORDS = re.compile(r"[\u2e80-\uffff]| ?[^\s\u2e80-\uffff]{1,32}|\s")
# Codes of words, the most frequent first: so many have one byte, so many two, so many three, the rest four.
ONE, TWO, THREE = 128, 112 * 2**8, 15 * 2**16


def column(values: Iterable[Any]) -> Packed:
    """A column with each distinct value once; nothing on record is -1."""
    places: dict[Any, int] = {}
    codes = [-1 if value is None else places.setdefault(value, len(places)) for value in values]
    return {"values": list(places), "codes": codes}


def columns(rows: Sequence[Mapping[str, Any]], names: Iterable[str]) -> dict[str, Packed]:
    """Each of these columns of the rows; moments as milliseconds since 1970."""
    return {name: column(_plain(row[name]) for row in rows) for name in names}


def packed_texts(texts: Sequence[str]) -> tuple[Packed, bytes]:
    """Texts as codes of their words, and the words with each text's number of bytes, for `data.js`.

    gzip sees texts through a window of 32 KiB, in which answers that share words and not sentences have
    nothing in common. Codes make them half as large, and a browser spells out only the texts that it shows.
    """
    counted: Counter[str] = Counter()
    for text in texts:
        counted.update(_WORDS.findall(text))
    words = [word for word, _ in counted.most_common()]
    codes = {word: code_of(place) for place, word in enumerate(words)}
    written = bytearray()
    sizes = []
    for text in texts:
        before = len(written)
        written += b"".join(map(codes.__getitem__, _WORDS.findall(text)))
        sizes.append(len(written) - before)
    return {"words": words, "sizes": sizes}, bytes(written)


def code_of(place: int) -> bytes:
    """The bytes of the word at this place."""
    for lead, size, held in ((0, 1, ONE), (ONE, 2, TWO), (240, 3, THREE)):
        if place < held:
            return (place + (lead << 8 * (size - 1))).to_bytes(size, "big")
        place -= held
    return b"\xff" + place.to_bytes(3, "big")


def compressed(value: Any) -> str:
    """JSON, compressed, in letters that need no escape within HTML."""
    # ASCII only: a lone surrogate, which UTF-8 does not have, stays what it is.
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return compressed_bytes(text.encode("ascii"))


def compressed_bytes(content: bytes) -> str:
    """Compressed, in letters that need no escape within HTML."""
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode("ascii")


def _plain(value: Any) -> Any:
    return round(value.timestamp() * 1000) if isinstance(value, datetime) else value
