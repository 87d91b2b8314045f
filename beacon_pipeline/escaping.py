"""Untrusted text, made safe to show. Model output reaches no page or terminal in any other way."""

from __future__ import annotations

import re

from dbt_like_checks.output.shown import visible

__all__ = ["defused", "escape_markdown", "one_line", "visible"]

ANSWER_LIMIT = 4000  # characters of an answer shown in Dagster's metadata
BACKSLASH = "\\"
LINE_LIMIT = 200  # characters of anything shown on one line
# What a spreadsheet takes for the beginning of a formula (OWASP, "CSV Injection").
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")

_ASCII_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
# GitHub's extension of CommonMark, which Dagster's page uses, makes links of bare addresses, escaped or
# not, wherever the text of one is in one piece: a code span within it makes it two.
_BARE_ADDRESS = re.compile(
    r"(?<=http)\\:(?=\\/\\/)|(?<=https)\\:(?=\\/\\/)|(?<=www)\\\.|(?:\\@)+", re.IGNORECASE
)


def escape_markdown(text: str, limit: int = ANSWER_LIMIT) -> str:
    """``text`` as CommonMark that renders to exactly these characters: no markup, link or HTML.

    CommonMark lets any ASCII punctuation be escaped by a backslash (section 2.4). Text past
    ``limit`` characters is cut, and the cut is announced.
    """
    shown = text[:limit]
    escaped = _ASCII_PUNCTUATION.sub(r"\\\1", visible(shown)).replace("\n", "  \n")
    escaped = _BARE_ADDRESS.sub(lambda found: f"`{found[0].replace(BACKSLASH, '')}`", escaped)
    cut = len(text) - len(shown)
    return f"{escaped}\n\n*… {cut} more characters*" if cut else escaped


def defused(text: str, formula: tuple[str, ...] = FORMULA) -> str:
    """``text`` as a cell of CSV that no spreadsheet takes for a formula: a ``'`` stands before it."""
    return f"'{text}" if text.startswith(formula) else text


def one_line(text: str, limit: int = LINE_LIMIT) -> str:
    """``text`` made visible on one line of at most ``limit`` characters, and without addressing anyone.

    Chat services turn ``@everyone`` and ``<!channel>`` into a call to all; here they stay words.
    """
    line = " ".join(visible(text[: 4 * limit]).split())
    cut = line if len(line) <= limit else f"{line[: limit - 1]}…"
    return cut.replace("@", "＠").replace("<", "‹").replace(">", "›")
