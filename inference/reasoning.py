"""Keep what a model thought apart from what it answered. Pure.

Models write their thoughts between tags, or in channels; a chat template may have opened the tag
already, so that the output has only its end. Only what stands where thoughts stand is taken: an
answer that mentions such a tag in the middle of a line keeps it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from inference.contract import FinishReason

TAGS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
)
_PATTERNS = tuple((re.escape(start), re.escape(end)) for start, end in TAGS)
_FLAGS = re.DOTALL | re.IGNORECASE | re.MULTILINE
_OPENED = tuple(re.compile(rf"(?:\A\s*|^[^\S\n]*){start}", _FLAGS) for start, _ in _PATTERNS)
_CLOSED = tuple(re.compile(rf"{end}\s*", _FLAGS) for _, end in _PATTERNS)
_UNCLOSED = tuple(re.compile(rf"\A\s*{start}(.*)\Z", _FLAGS) for start, _ in _PATTERNS)
_START = tuple(re.compile(rf"\A\s*{start}", _FLAGS) for start, _ in _PATTERNS)
# The end of thoughts whose beginning is not in the text: the template wrote it.
_HEADLESS = tuple(
    re.compile(rf"\A(?:\s*{start})?((?:(?!{start}).)*?){end}\s*", _FLAGS) for start, end in _PATTERNS
)
_CHANNEL = re.compile(
    r"<\|channel\|>\s*(\w+)[^<]*<\|message\|>(.*?)"
    r"(?=<\|end\|>|<\|return\|>|<\|call\|>|<\|start\|>|<\|channel\|>|\Z)",
    re.DOTALL,
)
FINAL_CHANNEL = "final"


@dataclass(frozen=True)
class Separated:
    """An answer without its thoughts. ``reasoning`` is None where there are none; ``unfinished``: the
    output ended before the answer began."""

    answer: str
    reasoning: str | None = None
    unfinished: bool = False


def separate(text: str, finish_reason: FinishReason, *, prompt: str | None = None) -> Separated:
    """Take the thoughts out of a model's output.

    ``prompt`` is what the output follows, special tokens and all; None where it is not known, as with
    an endpoint of someone else's. A text without thoughts comes back as it is, character for character.
    """
    if "<|channel|>" in text:
        return _by_channel(text, finish_reason)
    opened = _opened_by(prompt or "")
    thoughts, rest = _headless(text, opened if prompt is not None else tuple(range(len(TAGS))))
    if opened and not thoughts:
        return Separated("", _joined([_START[opened[0]].sub("", text)]), unfinished=True)
    for opening, closing in zip(_OPENED, _CLOSED, strict=True):
        closed, rest = _blocks(rest, opening, closing)
        thoughts += closed
    for pattern in _UNCLOSED:
        if found := pattern.match(rest):
            return Separated("", _joined([*thoughts, found[1]]), unfinished=True)
    return _separated(rest, thoughts, finish_reason) if thoughts else Separated(text)


def _opened_by(prompt: str) -> tuple[int, ...]:
    """The tag that a prompt leaves open, by its place in `TAGS`."""
    return tuple(number for number, (start, _) in enumerate(TAGS) if prompt.rstrip().endswith(start))


def _blocks(text: str, opening: re.Pattern[str], closing: re.Pattern[str]) -> tuple[list[str], str]:
    """Closed thoughts, and the text without them. One pattern for both ends would look for an end after
    each start: with 10,000 starts and no end that takes minutes."""
    thoughts: list[str] = []
    kept: list[str] = []
    position = 0
    while (start := opening.search(text, position)) and (end := closing.search(text, start.end())):
        kept.append(text[position : start.start()])
        thoughts.append(text[start.end() : end.start()])
        position = end.end()
    return thoughts, "".join([*kept, text[position:]])


def _headless(text: str, numbers: tuple[int, ...]) -> tuple[list[str], str]:
    """Thoughts whose beginning is not in the text, and what comes after them."""
    for number in numbers:
        if found := _HEADLESS[number].match(text):
            return [found[1]], text[found.end() :]
    return [], text


def _by_channel(text: str, finish_reason: FinishReason) -> Separated:
    """The answer is the content of the final channel; all other channels are thoughts."""
    parts = _CHANNEL.findall(text)
    finals = [content for channel, content in parts if channel == FINAL_CHANNEL]
    thoughts = [content for channel, content in parts if channel != FINAL_CHANNEL]
    if not finals:
        return Separated("", _joined(thoughts), unfinished=True)
    return _separated("".join(finals), thoughts, finish_reason)


def _separated(answer: str, thoughts: list[str], finish_reason: FinishReason) -> Separated:
    cut_off = not answer.strip() and finish_reason is FinishReason.LENGTH
    return Separated("" if cut_off else answer, _joined(thoughts), unfinished=cut_off)


def _joined(thoughts: list[str]) -> str | None:
    return "\n\n".join(thought.strip() for thought in thoughts if thought.strip()) or None
