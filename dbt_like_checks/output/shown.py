"""Values of the database, made safe to show: they may have been written by anyone."""

from __future__ import annotations

import json
import unicodedata

_KEPT = frozenset("\n\t")
_OBEYED = frozenset(("Cc", "Cf", "Cs"))  # control and formatting characters, lone surrogates
_NONCHARACTERS = 0xFFFE  # the last two of every plane are none, and XML forbids the first such two


def visible(text: str) -> str:
    """``text`` with every character that a screen would obey rather than show spelled out.

    Control characters, lone surrogates, formatting characters (bidirectional overrides, zero-width
    ones) and what is no character become ``\\u{202e}``; newlines and tabs stay.
    """
    if text.replace("\n", "").replace("\t", "").isprintable():  # as most are; nothing to spell is
        return text
    return "".join(f"\\u{{{ord(each):x}}}" if _is_spelled(each) else each for each in text)


def _is_spelled(character: str) -> bool:
    if character in _KEPT:
        return False
    obeyed = unicodedata.category(character) in _OBEYED
    return obeyed or ord(character) & _NONCHARACTERS == _NONCHARACTERS


def as_text(value: object) -> str:
    """A value as text that is not Python's: JSON for what holds others, hexadecimal digits for bytes."""
    match value:
        case bytes() | bytearray() | memoryview():
            return f"\\x{bytes(value).hex()}"
        case dict() | list() | tuple():
            try:
                return json.dumps(value, ensure_ascii=False, default=as_text)
            except (TypeError, ValueError):  # a key that JSON does not have
                return str(value)
        case _:
            return str(value)
