"""What of an answer is judged: no thoughts, no quotes, one spelling; in time linear in the text."""

from __future__ import annotations

import re
import unicodedata

from inference.reasoning import TAGS

# Enough for the longest opening that a rule looks at; what is behind it is only measured.
OPENING = 2_000
SENTENCE_LIMIT = 400  # characters of a sentence that a pattern sees: bounds the work of every pattern

# A thought begins where a line begins; an answer that mentions a tag in the middle of one keeps it.
_TAG = re.compile(
    rf"^[^\S\n]*(?:{'|'.join(re.escape(start) for start, _ in TAGS)})"
    rf"|(?:{'|'.join(re.escape(end) for _, end in TAGS)})",
    re.IGNORECASE | re.MULTILINE,
)
_ENDS = {start.lower(): end.lower() for start, end in TAGS}
QUOTED = "␣"  # in the place of words that are not the answer's own
# Only what is longer than a name or a term is a quotation; a title in quotes stays readable. A Chinese
# refusal can be as short as a name.
_SHORT = r"(?=[^“”「」『』\n]{0,4}(?:[不无無拒婉]|[换換聊别別]))"
_QUOTES = re.compile(
    r'"[^"\n]{12,400}"|“[^”\n]{12,400}”|”[^”\n]{12,400}”|«[^»\n]{12,400}»|„[^“”\n]{12,400}[“”]'
    r"|「[^」\n]{6,200}」|『[^』\n]{6,200}』|“(?=[^”\n]{0,9}[\u4e00-\u9fff])[^”\n]{6,200}”"
    rf"|「{_SHORT}[^」\n]{{2,5}}」|『{_SHORT}[^』\n]{{2,5}}』|“{_SHORT}[^”\n]{{2,5}}”"
)
_PASSAGE = re.compile(
    r'"([^"\n]+)"|“([^”\n]+)”|”([^”\n]+)”|«([^»\n]+)»|„([^“”\n]+)[“”]|「([^」\n]+)」|『([^』\n]+)』|[:：](.+)\Z'
)
_QUOTED_LINE = re.compile(r"^[^\S\n]*>[^\n]*$", re.MULTILINE)
_MARKUP = re.compile(r"[*_#`~]+")
_SAME = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "`": "'", "、": ",", "…": "."})
_SENTENCE = re.compile(rf"[^.!?。؟\n]{{1,{SENTENCE_LIMIT}}}[.!?。؟]*")
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
WIDE_WEIGHT = 2.5  # a Chinese or Japanese character says about as much as this many Latin letters


def outside_thoughts(text: str) -> tuple[str, bool]:
    """The text outside of thoughts, and whether it ends inside one. What precedes a lone end was thought."""
    kept: list[str] = []
    position, closing = 0, None
    for tag in _TAG.finditer(text):
        word = tag[0].strip().lower()
        if closing is None and word in _ENDS:
            kept.append(text[position : tag.start()])
            closing = _ENDS[word]
        elif word == closing:
            position, closing = tag.end(), None
        elif closing is None and not kept:
            position = tag.end()
    if closing is None:
        kept.append(text[position:])
    return "".join(kept), closing is not None


def has_text(text: str) -> bool:
    """Whether a reader can see anything of it."""
    return any(map(is_visible, text))


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
    return _QUOTES.sub(f" {QUOTED} ", _QUOTED_LINE.sub(" ", text))


def passages(question: str) -> tuple[list[str], str]:
    """What a question quotes, or puts behind a colon; and what is around it."""
    quoted = [passage for found in _PASSAGE.findall(question) for passage in found if passage]
    return quoted, _PASSAGE.sub(QUOTED, question)


def sentences(text: str) -> list[str]:
    return [found.strip() for found in _SENTENCE.findall(text) if found.strip()]
