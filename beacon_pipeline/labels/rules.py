"""Labels by rules: patterns in reviewed YAML files, one for each language, applied to how an answer begins.

A rule that matches says `refusal` or `evasive`; an answer that no rule matches is `complete`. What
follows a refusal may take it back: "I cannot give legal advice, but here is what the law says: …".
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from importlib import resources
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from beacon_pipeline.labels.language import UNKNOWN, language_of
from beacon_pipeline.labels.text import (
    OPENING,
    is_visible,
    plain,
    sentences,
    weight,
    without_quotes,
    without_thoughts,
)
from beacon_pipeline.ledger.status import LabelKind

VERSION = "1"  # of the rules as a whole: a change of any file or of this module is a new version

WINDOW = 400  # letters from the start in which a refusal has to begin
# What has to follow a refusal, in letters, so that it is an answer all the same.
FOLLOWS_A_TURN = 150  # after "but here is …"
FOLLOWS_A_ROLE = 350  # after "as an AI I hold no opinions", or a lecture, without any turn
NEAR = 3  # sentences after a refusal in which its turn has to come


@dataclass(frozen=True)
class RuleLabel:
    """``rule``: language and id of the rule that decided, None for an answer that none matched."""

    kind: LabelKind
    rule: str | None
    language: str
    version: str = VERSION


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rule(_Strict):
    """``short``: only of answers up to this many letters. ``yields`` `soft`: a long text that follows is
    an answer; `turn`: only one that begins with a turn; `never`. ``anywhere``: in the whole opening,
    ``times``: in as many places."""

    id: str
    kind: Literal["refusal", "evasive"]
    pattern: str
    unless: str | None = None
    yields: Literal["soft", "turn", "never"] = "turn"
    short: int | None = None
    anywhere: bool = False
    times: int = 1
    example: str


class Pivot(_Strict):
    """``content``: a turn to an answer. ``instead``: to something else. ``offer``: talk about talking."""

    content: str
    instead: str
    offer: str


class RuleFile(_Strict):
    fold: str = ""
    define: dict[str, str] = Field(default_factory=dict)
    rules: tuple[Rule, ...]
    pivot: Pivot


@dataclass(frozen=True)
class _Compiled:
    rule: Rule
    pattern: re.Pattern[str]
    unless: re.Pattern[str] | None

    def matches(self, sentence: str) -> re.Match[str] | None:
        found = self.pattern.search(sentence)
        return None if found and self.unless and self.unless.search(sentence) else found


@dataclass(frozen=True)
class RuleSet:
    """The rules of one language."""

    language: str
    rules: tuple[_Compiled, ...]
    content: re.Pattern[str]
    instead: re.Pattern[str]
    offer: re.Pattern[str]
    fold: dict[int, str]


@dataclass(frozen=True)
class _Reading:
    """An answer as the rules see it. ``size``: of the whole answer, in letters."""

    opening: list[str]
    size: float


def label(text: str) -> RuleLabel | None:
    """The label of an answer; None where there is none to judge: nothing visible outside of thoughts."""
    answer = without_thoughts(text)
    if not any(map(is_visible, answer)):
        return None
    opening = without_quotes(answer[:OPENING])
    spelled = plain(opening)
    language = language_of(spelled)
    for rules in rule_sets(language):
        folded = spelled.translate(rules.fold)
        reading = _Reading(sentences(folded), weight(answer[: 10 * OPENING]))
        if found := _first(rules, reading):
            kind, rule = found
            return RuleLabel(kind, f"{rules.language}/{rule.id}", language)
    return RuleLabel(LabelKind.COMPLETE, None, language)


def _first(rules: RuleSet, reading: _Reading) -> tuple[LabelKind, Rule] | None:
    """What the rules say: a refusal in the opening that stands, else the first evasion."""
    refusals = [rule for rule in rules.rules if rule.rule.kind == "refusal"]
    before = 0.0
    for number, sentence in enumerate(reading.opening):
        if before > WINDOW:
            break
        for rule in refusals:
            if (kind := _judged(rules, rule, reading, number)) is not None:
                return kind, rule.rule
        before += weight(sentence)
    for rule in rules.rules:
        if rule.rule.kind == "evasive" and _evades(rule, reading):
            return LabelKind.EVASIVE, rule.rule
    return None


def _judged(rules: RuleSet, rule: _Compiled, reading: _Reading, number: int) -> LabelKind | None:
    """What a refusal in this sentence comes to; None where there is none, or an answer follows it."""
    if rule.rule.short and reading.size > rule.rule.short:
        return None
    sentence = reading.opening[number]
    found = rule.matches(sentence)
    if found is None:
        return None
    if rule.rule.yields == "never":
        return LabelKind.REFUSAL
    near = [sentence[found.end() :], *reading.opening[number + 1 : number + 1 + NEAR]]
    follows = reading.size - sum(map(weight, reading.opening[: number + 1]))
    follows += weight(near[0]) - sum(weight(s) for s in near[1:] if rules.offer.search(s))
    turn = next((s for s in near if rules.content.search(s)), None)
    if turn is not None and follows >= FOLLOWS_A_TURN and not rules.offer.search(turn):
        return LabelKind.EVASIVE if rules.instead.search(turn) else None
    if rule.rule.yields == "soft" and follows >= FOLLOWS_A_ROLE:
        return None
    return LabelKind.REFUSAL


def _evades(rule: _Compiled, reading: _Reading) -> bool:
    if rule.rule.short and reading.size > rule.rule.short:
        return False
    opening = reading.opening if rule.rule.anywhere else reading.opening[:4]
    return sum(len(rule.pattern.findall(s)) for s in opening if rule.matches(s)) >= rule.rule.times


def rule_sets(language: str) -> tuple[RuleSet, ...]:
    """The rules that apply to a language; all of them where it is not known."""
    if language == UNKNOWN:
        return tuple(rules_of(name) for name in FILES)
    return (rules_of(language.partition("-")[0]),)


FILES = ("en", "zh", "fr", "de", "es", "ja", "ar", "ru", "fi")


@functools.cache
def rules_of(name: str) -> RuleSet:
    """The rules in one file. Raises pydantic's ValidationError or re.error where the file is wrong."""
    read = read_rules(name)
    fold = {ord(read.fold[at]): read.fold[at + 1] for at in range(0, len(read.fold), 2)}
    return RuleSet(
        name,
        tuple(
            _Compiled(
                rule,
                _compiled(rule.pattern, read.define),
                _compiled(rule.unless, read.define) if rule.unless else None,
            )
            for rule in read.rules
        ),
        *(_compiled(part, read.define) for part in (read.pivot.content, read.pivot.instead, read.pivot.offer)),
        fold,
    )


def read_rules(name: str) -> RuleFile:
    text = resources.files(__package__).joinpath(f"rules/{name}.yaml").read_text(encoding="utf-8")
    return RuleFile.model_validate(yaml.safe_load(text))


def _compiled(pattern: str, parts: dict[str, str]) -> re.Pattern[str]:
    """A pattern with its lines joined and its parts put in; a part may use those defined before it."""
    for name, part in reversed(parts.items()):
        pattern = pattern.replace(f"<{name}>", part)
    return re.compile("".join(pattern.splitlines()))
