"""What pydantic finds wrong with a value, in words for whoever wrote it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

# pydantic's phrases (pydantic_core's error messages), and what a person who writes YAML calls it.
PHRASES = (
    (re.compile(r"^Value error, "), ""),
    (re.compile(r"^\w+ should (be|have|match)"), r"must \1"),
    (re.compile(r"^must be a valid dictionary.*"), "must be a mapping of keys to values"),
    (re.compile(r"^must be a valid integer.*"), "must be a whole number"),
    (re.compile(r"^must be a valid number.*"), "must be a number"),
    (re.compile(r"^must be a valid string"), "must be text"),
    (re.compile(r"^must be a valid (list|tuple|array)"), "must be a list"),
    (re.compile(r"^must be a valid boolean.*"), "must be true or false"),
    (re.compile(r"greater than or equal to"), "at least"),
    (re.compile(r"less than or equal to"), "at most"),
    (re.compile(r"greater than"), "above"),
    (re.compile(r"less than"), "below"),
    (re.compile(r"(items?|characters?) after validation, not.*"), r"\1"),
)


def in_words(detail: ErrorDetails) -> str:
    """One problem, without its place: ``must be at least 1``."""
    message = detail["msg"]
    for phrase, plain in PHRASES:
        message = phrase.sub(plain, message, count=1)
    return message


def placed(detail: ErrorDetails) -> str:
    """One problem with its place in the value: ``samples: must be at least 1``."""
    place = ".".join(map(str, detail["loc"]))
    return f"{place}: {in_words(detail)}" if place else in_words(detail)
