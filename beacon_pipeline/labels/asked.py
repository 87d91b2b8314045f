"""Questions to which a no, or words that refuse, are the answer.

A letter that says no, a translation, a part that is played, a question of law, one about the model itself:
what looks like a refusal in the answer is what was asked for, unless the answer also refuses to give it. A
language's file of rules says how such questions are put (`asked`) and how answers refuse (`answered`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from beacon_pipeline.labels.cues import compiled


class Asked(BaseModel):
    """A kind of question. ``pattern``: how it is put, ``unless``: how not.

    ``passage``: only where what it quotes, or all that follows the pattern, has this; ``refused``: or is a
    refusal by a rule. ``abroad``: also where the answer's language has no `Answered` for the kind.
    ``evasions``: what rules call evasive (an official line) is what was asked for as well.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    pattern: str
    unless: str | None = None
    passage: str | None = None
    refused: bool = False
    abroad: bool = False
    evasions: bool = False


class Answered(BaseModel):
    """How a language answers a kind of question: a refusal stands where the answer has ``refuses``, lacks
    ``has``, or is shorter than ``longer`` letters."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    refuses: str
    has: str | None = None
    longer: float = 0


@dataclass(frozen=True)
class AskedPatterns:
    """A kind of question, ready for use."""

    id: str
    abroad: bool
    evasions: bool
    refused: bool
    pattern: re.Pattern[str]
    unless: re.Pattern[str] | None
    passage: re.Pattern[str] | None

    @classmethod
    def of(cls, name: str, asked: Asked, parts: dict[str, str]) -> AskedPatterns:
        unless = compiled(asked.unless, parts) if asked.unless else None
        passage = compiled(asked.passage, parts) if asked.passage else None
        pattern = compiled(asked.pattern, parts)
        return cls(name, asked.abroad, asked.evasions, asked.refused, pattern, unless, passage)

    def asks(self, question: str, quoted: Iterable[str], refuses: Callable[[str], bool]) -> bool:
        """Whether a question is of this kind; ``refuses``: whether a passage refuses by a rule."""
        found = self.pattern.search(question)
        if not found or (self.unless and self.unless.search(question)):
            return False
        if not self.refused and not self.passage:
            return True
        passages = (*quoted, question[found.end() :])
        return any(
            (self.refused and refuses(passage)) or (self.passage and self.passage.search(passage) is not None)
            for passage in passages
        )


@dataclass(frozen=True)
class AnsweredPatterns:
    """How a kind of question is answered, ready for use."""

    refuses: re.Pattern[str]
    has: re.Pattern[str] | None
    longer: float

    @classmethod
    def of(cls, answered: Answered, parts: dict[str, str]) -> AnsweredPatterns:
        has = compiled(answered.has, parts) if answered.has else None
        return cls(compiled(answered.refuses, parts), has, answered.longer)

    def answers(self, text: str, size: float) -> bool:
        """Whether an answer of so many letters gives what was asked for."""
        if size < self.longer or (self.has and not self.has.search(text)):
            return False
        return self.refuses.search(text) is None
