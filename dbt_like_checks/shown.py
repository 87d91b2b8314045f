"""Values of the database, made safe to show: they may have been written by anyone."""

from __future__ import annotations

import unicodedata

_KEPT = frozenset("\n\t")


def visible(text: str) -> str:
    """``text`` with every character that a screen would obey rather than show spelled out.

    Control characters, lone surrogates and formatting characters (bidirectional overrides,
    zero-width ones) become ``\\u{202e}``; newlines and tabs stay.
    """

    def spell(character: str) -> str:
        if character in _KEPT or unicodedata.category(character) not in ("Cc", "Cf", "Cs"):
            return character
        return f"\\u{{{ord(character):x}}}"

    return "".join(map(spell, text))
