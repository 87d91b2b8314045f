"""What of an answer is judged: no thoughts, no quotes, one spelling. Every step takes time linear in the text."""

from __future__ import annotations

import re
import unicodedata

from inference.reasoning import TAGS

# Enough for the longest opening that a rule looks at; what is behind it is only measured.
OPENING = 2_000
SENTENCE_LIMIT = 400  # characters of a sentence that a pattern sees: bounds the work of every pattern

_TAG = re.compile("|".join(re.escape(tag) for pair in TAGS for tag in pair), re.IGNORECASE)
_STARTS = {start.lower() for start, _ in TAGS}
_ENDS = {start.lower(): end.lower() for start, end in TAGS}
# Only what is longer than a name or a term is a quotation; a title in quotes stays readable.
_QUOTES = re.compile(
    r'"[^"\n]{12,400}"|“[^”\n]{12,400}”|«[^»\n]{12,400}»|„[^“”\n]{12,400}[“”]'
    r"|「[^」\n]{6,200}」|『[^』\n]{6,200}』|”[^”\n]{12,400}”|“[^”\n]{6,200}(?<=[\u4e00-\u9fff。])”"
)
_QUOTED_LINE = re.compile(r"^[^\S\n]*>[^\n]*$", re.MULTILINE)
_MARKUP = re.compile(r"[*_#`~]+")
_SAME = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "`": "'", "、": ",", "。": "。", "…": "."})
_SENTENCE = re.compile(r"[^.!?。؟\n]{1,%d}[.!?。؟]*" % SENTENCE_LIMIT)
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
WIDE_WEIGHT = 2.5  # a Chinese or Japanese character says about as much as this many Latin letters


def without_thoughts(text: str) -> str:
    """The text outside of thoughts, closed or not; what precedes a lone end tag was thought too."""
    kept: list[str] = []
    position, closing = 0, None
    for tag in _TAG.finditer(text):
        word = tag[0].lower()
        if closing is None and word in _STARTS:
            kept.append(text[position : tag.start()])
            closing = _ENDS[word]
        elif word == closing:
            position, closing = tag.end(), None
        elif closing is None and not kept:
            position = tag.end()
    return "".join(kept) + ("" if closing else text[position:])


def is_visible(character: str) -> bool:
    """Whether a reader can see it: neither space nor control, format, surrogate or unassigned."""
    return not character.isspace() and unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Cn")


def weight(text: str) -> float:
    """The length of a text in letters of an alphabet."""
    return len(text) + (WIDE_WEIGHT - 1) * len(_WIDE.findall(text))


def plain(text: str) -> str:
    """One spelling: lower case, straight apostrophes, no markup, single spaces; lines stay."""
    text = unicodedata.normalize("NFKC", text.translate(_SAME)).translate(_SAME)
    text = _MARKUP.sub("", text.lower())
    return "\n".join(" ".join(line.split()) for line in text.splitlines())


def without_quotes(text: str) -> str:
    """Quotations taken out; a text that is one quotation as a whole is what it quotes."""
    stripped = text.strip()
    if whole := _QUOTES.fullmatch(stripped):
        return whole[0][1:-1]
    return _QUOTES.sub(" ␣ ", _QUOTED_LINE.sub(" ", text))


def sentences(text: str) -> list[str]:
    return [found.strip() for found in _SENTENCE.findall(text) if found.strip()]
