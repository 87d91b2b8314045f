"""Two texts word by word: what both have, and what only one has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from rapidfuzz.distance import Levenshtein

Piece = tuple[str, bool]  # a piece of the text, and whether the other text lacks it

COMMON_SHARE = 0.4  # below it two texts are two texts, not changes of one: the page has the same
WORDS_LIMIT = 5_000  # of each text; what follows is one piece
# Chinese, Japanese and Thai have no spaces: each of their characters counts as a word.
_ALONE = r"\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORDS = re.compile(rf"\s+|[{_ALONE}]|[^\s{_ALONE}]+")


def words_of(text: str) -> list[str]:
    """The text in words and the spaces between them; joined they are the text."""
    words = [found[0] for found in _WORDS.finditer(text)]
    if len(words) <= WORDS_LIMIT:
        return words
    return [*words[:WORDS_LIMIT], "".join(words[WORDS_LIMIT:])]


def word_differences(one: str, other: str) -> tuple[list[Piece], list[Piece]]:
    """The pieces of both texts, the fewest words marked; joined, the pieces of a text are the text."""
    left, right = words_of(one), words_of(other)
    left_pieces: list[Piece] = []
    right_pieces: list[Piece] = []
    for edit in Levenshtein.opcodes(left, right):
        same = edit.tag == "equal"
        left_pieces.extend(_piece(left[edit.src_start : edit.src_end], not same))
        right_pieces.extend(_piece(right[edit.dest_start : edit.dest_end], not same))
    return _gathered(left_pieces), _gathered(right_pieces)


def _gathered(pieces: Sequence[Piece]) -> list[Piece]:
    """Marked pieces with nothing but space between them as one, so that they can be read."""
    found: list[Piece] = []
    for at, (text, marked) in enumerate(pieces):
        between = not text.strip() and 0 < at < len(pieces) - 1 and pieces[at - 1][1] and pieces[at + 1][1]
        if found and found[-1][1] == (marked or between):
            found[-1] = found[-1][0] + text, found[-1][1]
        else:
            found.append((text, marked or between))
    return found


def common_share(one: Iterable[Piece], other: Iterable[Piece]) -> float:
    """How much of the longer of two compared texts is in both, by letters; 1 for two texts without any."""
    sizes = [[(_letters(text), lacking) for text, lacking in pieces] for pieces in (one, other)]
    longer = max(sum(size for size, _ in pieces) for pieces in sizes)
    common = sum(size for size, lacking in sizes[1] if not lacking)
    return common / longer if longer else 1.0


def _letters(text: str) -> int:
    return sum(letter.isalnum() for letter in text)


def _piece(words: list[str], marked: bool) -> Iterator[Piece]:
    if words:
        yield "".join(words), marked
