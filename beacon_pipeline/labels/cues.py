"""Cues in a short answer, each worth some points: what no single pattern decides, many small signs do.

A language's file of rules may have them (`weighing`). They are looked for in short answers only: a refusal
that is varied in every sentence still apologizes, speaks of itself, turns to the asker, offers another topic;
an answer has numbers, lists, sources. Points are fitted, not guessed: `python -m benchmarks.label_cues`.
"""

from __future__ import annotations

import functools
import re

from pydantic import BaseModel, ConfigDict


class Cue(BaseModel):
    """``points`` for each find of a pattern, ``most`` of them at most; negative ones speak for an answer.

    ``declines``: a find says that something is not given; all else is a manner that answers have too.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    points: int
    most: int = 1
    declines: bool = False
    pattern: str


class Weighing(BaseModel):
    """``short``: letters of the longest answer that is weighed. From ``enough`` points on it is a refusal;
    from ``sure`` on where a rule calls it evasive, and never if no cue `declines` either; from ``unsaid`` on
    where only that is so."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    short: float
    enough: int
    sure: int
    unsaid: int
    define: dict[str, str] = {}
    cues: tuple[Cue, ...]

    def found(self, text: str) -> list[int]:
        """How often each cue is found in a text, in the spelling of `labels.text.plain`."""
        return [
            min(len(compiled.findall(text)), cue.most)
            for cue, compiled in zip(self.cues, self._compiled, strict=True)
        ]

    def points(self, text: str) -> int:
        return self._sum(self.found(text))

    def refuses(self, text: str, size: float, *, evasive: bool) -> bool:
        """Whether points make it a refusal; ``size`` in letters, ``evasive`` by a rule."""
        if size > self.short:
            return False
        finds = self.found(text)
        declined = any(cue.declines and times for cue, times in zip(self.cues, finds, strict=True))
        if not declined:
            return not evasive and self._sum(finds) >= self.unsaid
        return self._sum(finds) >= (self.sure if evasive else self.enough)

    def _sum(self, finds: list[int]) -> int:
        return sum(cue.points * times for cue, times in zip(self.cues, finds, strict=True))

    @functools.cached_property
    def _compiled(self) -> tuple[re.Pattern[str], ...]:
        return tuple(compiled(cue.pattern, self.define) for cue in self.cues)


def compiled(pattern: str, parts: dict[str, str]) -> re.Pattern[str]:
    """A pattern with its lines joined and its parts put in; a part may use those defined before it."""
    for name, part in reversed(parts.items()):
        pattern = pattern.replace(f"<{name}>", part)
    return re.compile("".join(pattern.splitlines()))
