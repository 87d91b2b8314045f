"""Labels by rules: patterns in reviewed YAML files, one for each language, applied to how an answer begins.

A rule that matches says `refusal` or `evasive`; an answer that no rule matches is `complete`. What
follows a refusal may take it back: "I cannot give legal advice, but here is what the law says: …".
Where a language has cues (`labels.cues`), a short answer that no rule matched is a refusal by enough points.

Words of others are not the answer's own: quotations are taken out (`labels.text`), sentences that report a
refusal are passed over (`reports`), and to some questions a no, or words that refuse, are the answer
(`labels.asked`).
"""

from __future__ import annotations

import functools
import math
import re
from dataclasses import dataclass
from importlib import resources
from itertools import accumulate
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from beacon_pipeline.labels.asked import Answered, AnsweredPatterns, Asked, AskedPatterns
from beacon_pipeline.labels.cues import Weighing, compiled
from beacon_pipeline.labels.language import UNKNOWN, language_of
from beacon_pipeline.labels.text import (
    OPENING,
    QUOTED,
    has_text,
    outside_thoughts,
    passages,
    plain,
    sentences,
    weight,
    without_quotes,
)
from beacon_pipeline.ledger.status import LabelKind

VERSION = "7"  # of the rules as a whole: a change of any file or of this module is a new version

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's takes half of the time, where it is there
WINDOW = 400  # letters from the start in which a refusal has to begin
LATE = 1_200  # letters of an answer in all of which `late` rules are looked for
# What has to follow a refusal, in letters, so that it is an answer all the same.
DELIVERED = 60  # after "but here is …"
PROMISED = 400  # after "but I can explain …"
NEAR = 3  # sentences after a refusal in which its turn has to come
CUES = "cues"  # in the place of a rule's id: points decided


@dataclass(frozen=True)
class RuleLabel:
    """``rule``: language and id of the rule that decided (`CUES` for points), None where none did."""

    kind: LabelKind
    rule: str | None
    language: str
    version: str = VERSION


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rule(_Strict):
    """One pattern, matched inside a sentence of the opening.

    ``unless``: not in a sentence that has this. ``with``: only where another sentence has this.
    ``short``: only in answers of at most so many letters. ``late``: in the whole of a short answer.
    ``anywhere``: in any sentence of the opening. ``times``: at least so often.
    ``yields_after``: this many letters that follow make it an answer. ``final``: nothing does; else
    only a turn does (`Turns`). ``example``: a text that it decides; the tests hold it.
    """

    id: str
    kind: Literal["refusal", "evasive"]
    pattern: str
    unless: str | None = None
    also: str | None = Field(default=None, alias="with")
    short: float = math.inf
    late: bool = False
    anywhere: bool = False
    times: int = 1
    yields_after: float = math.inf
    final: bool = False
    example: str


class Turns(_Strict):
    """``delivers``: a turn with which an answer begins. ``promises``: says that one can be had.
    ``other``: an offer, or something else instead: no part of an answer."""

    delivers: str
    promises: str
    other: str


class RuleFile(_Strict):
    """``fold``: characters in pairs, of which the second stands for the first too; ``fold_file`` has more.
    ``weighing_file``: the cues for short answers (`labels.cues`). ``presents``: an answer that hands
    over a text (a letter, samples, a dialogue) or speaks of refusing: what is refused in it is not its own.
    ``reports``: a sentence in which others refuse. ``asked``: kinds of questions to which a no is the answer;
    ``answered``: how this language answers them (`labels.asked`)."""

    fold: str = ""
    fold_file: str | None = None
    weighing_file: str | None = None
    define: dict[str, str] = Field(default_factory=dict)
    presents: str | None = None
    reports: str | None = None
    asked: dict[str, Asked] = Field(default_factory=dict)
    answered: dict[str, Answered] = Field(default_factory=dict)
    rules: tuple[Rule, ...]
    turns: Turns


@dataclass(frozen=True)
class _Compiled:
    rule: Rule
    pattern: re.Pattern[str]
    unless: re.Pattern[str] | None
    also: re.Pattern[str] | None

    def search(self, sentence: str) -> re.Match[str] | None:
        found = self.pattern.search(sentence)
        return None if found and self.unless and self.unless.search(sentence) else found


@dataclass(frozen=True)
class RuleSet:
    """The rules of one language, ready for use."""

    name: str
    refusals: tuple[_Compiled, ...]
    evasions: tuple[_Compiled, ...]
    delivers: re.Pattern[str]
    promises: re.Pattern[str]
    other: re.Pattern[str]
    fold: dict[int, str]
    weighing: Weighing | None
    presents: re.Pattern[str] | None
    reports: re.Pattern[str] | None
    asked: tuple[AskedPatterns, ...]
    answered: dict[str, AnsweredPatterns]


@dataclass(frozen=True)
class Reading:
    """An answer as rules see it: its opening, whole and in sentences, the letters before each, and of all.

    ``own`` are the sentences without those that report what others say (a ␣ in their place); so is ``text``.
    """

    text: str
    opening: list[str]
    own: list[str]
    before: list[float]
    size: float

    @classmethod
    def of(cls, rules: RuleSet, answer: str, spelled: str) -> Reading:
        text = spelled.translate(rules.fold)
        found = sentences(text)
        before = list(accumulate(map(weight, found), initial=0.0))
        own = [QUOTED if rules.reports and rules.reports.search(s) else s for s in found]
        for sentence, kept in zip(found, own, strict=True):
            if kept is QUOTED:
                text = text.replace(sentence, QUOTED, 1)
        return cls(text, found, own, before, weight(answer[: 10 * OPENING]))

    def may_decide(self, rule: _Compiled, number: int) -> bool:
        """Whether a rule looks at this sentence of this answer at all."""
        if self.size > rule.rule.short:
            return False
        if rule.also and not any(map(rule.also.search, self.opening)):
            return False
        if rule.rule.late:
            return self.size <= LATE
        return rule.rule.anywhere or self.before[number] <= WINDOW


def label(text: str, question: str = "") -> RuleLabel | None:
    """The label of an answer; None where there is none to judge: nothing visible outside of thoughts.

    ``question``: what was asked. Where a no, or words that refuse, are the answer to it, they are no refusal.
    """
    answer = outside_thoughts(text)[0].strip()
    if not has_text(answer):
        return None
    spelled = plain(without_quotes(answer[:OPENING]))
    language = language_of(spelled)
    found = _found(answer, spelled, language)
    if found.kind is not LabelKind.COMPLETE and answers(question, answer, found.kind):
        return RuleLabel(LabelKind.COMPLETE, None, language)
    return found


def answers(question: str, answer: str, seems: LabelKind) -> bool:
    """Whether an answer that seems a refusal, or evasive, gives what the question asked for."""
    spelled = plain(without_quotes(answer[:OPENING]))
    sets, size = rule_sets(language_of(spelled)), weight(answer[: 10 * OPENING])
    for asked in asked_in(question):
        if seems is LabelKind.EVASIVE and not asked.evasions:
            continue
        ways = [(rules, rules.answered[asked.id]) for rules in sets if asked.id in rules.answered]
        if ways and all(way.answers(spelled.translate(rules.fold), size) for rules, way in ways):
            return True
        if not ways and asked.abroad:
            return True
    return False


@functools.lru_cache(maxsize=1024)  # a job asks few questions, often
def asked_in(question: str) -> tuple[AskedPatterns, ...]:
    """Which kinds of questions one is to which a no, or words that refuse, are the answer."""
    question = question[:OPENING]
    quoted, around = passages(question)
    kinds: list[AskedPatterns] = []
    for rules in rule_sets(language_of(plain(around))):
        spelled = plain(question).translate(rules.fold)
        others = [plain(passage).translate(rules.fold) for passage in quoted]
        kinds += [asked for asked in rules.asked if asked.asks(spelled, others, _by_pattern)]
    return tuple(kinds)


def _by_pattern(passage: str) -> bool:
    """Whether a passage, whatever its language, is a refusal by a rule alone."""
    spelled = plain(passage.strip())
    return any(
        _refusal(rules, Reading.of(rules, passage, spelled)) is not None
        for rules in rule_sets(language_of(spelled))
    )


def _found(answer: str, spelled: str, language: str) -> RuleLabel:
    for rules in rule_sets(language):
        reading = Reading.of(rules, answer, spelled)
        if found := judged(rules, rules.weighing, reading):
            return RuleLabel(found[0], f"{rules.name}/{found[1]}", language)
    return RuleLabel(LabelKind.COMPLETE, None, language)


def judged(rules: RuleSet, weighing: Weighing | None, reading: Reading) -> tuple[LabelKind, str] | None:
    """What makes an answer less than complete, and its id: a rule, or the points of a short answer.

    Points have to be more where a rule calls the answer evasive.
    """
    if rules.presents and rules.presents.search(reading.text):
        return None
    if refusal := _refusal(rules, reading):
        return LabelKind(refusal.kind), refusal.id
    evasion = _evasion(rules, reading)
    if weighing and weighing.refuses(reading.text, reading.size, evasive=evasion is not None):
        return LabelKind.REFUSAL, CUES
    return (LabelKind(evasion.kind), evasion.id) if evasion else None


def reading_of(rules: RuleSet, text: str) -> Reading:
    """An answer as one language's rules read it."""
    answer = outside_thoughts(text)[0].strip()
    return Reading.of(rules, answer, plain(without_quotes(answer[:OPENING])))


def _refusal(rules: RuleSet, reading: Reading) -> Rule | None:
    """The first refusal that stands."""
    for number, sentence in enumerate(reading.own):
        for rule in rules.refusals:
            found = rule.search(sentence) if reading.may_decide(rule, number) else None
            if found and _stands(rules, rule.rule, reading, number, sentence[found.end() :]):
                return rule.rule
    return None


def _stands(rules: RuleSet, rule: Rule, reading: Reading, number: int, rest: str) -> bool:
    """Whether a refusal in a sentence is one, by what follows: ``rest`` of it, and further sentences."""
    if rule.final:
        return True
    near = [rest, *reading.opening[number + 1 : number + 1 + NEAR]]
    follows = reading.size - reading.before[number + 1] + weight(rest)
    follows -= sum(weight(sentence) for sentence in near[1:] if rules.other.search(sentence))
    for sentence in near:
        enough = DELIVERED if rules.delivers.search(sentence) else PROMISED
        turns = enough == DELIVERED or rules.promises.search(sentence)
        if turns and follows >= enough and not rules.other.search(sentence):
            return False
    return follows < rule.yields_after


def _evasion(rules: RuleSet, reading: Reading) -> Rule | None:
    """The first evasion."""
    answers = any(map(rules.delivers.search, reading.opening))
    for rule in rules.evasions:
        if answers and rule.rule.short < math.inf:  # "a sensitive question. In short: …"
            continue
        seen = [s for number, s in enumerate(reading.own) if reading.may_decide(rule, number)]
        if sum(len(rule.pattern.findall(s)) for s in seen if rule.search(s)) >= rule.rule.times:
            return rule.rule
    return None


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
    pairs = read.fold + (_pairs_in(read.fold_file) if read.fold_file else "")
    fold = {ord(pairs[at]): pairs[at + 1] for at in range(0, len(pairs), 2)}

    def with_parts(pattern: str) -> re.Pattern[str]:
        return compiled(pattern, read.define)

    def ready(kind: str) -> tuple[_Compiled, ...]:
        return tuple(
            _Compiled(
                rule,
                with_parts(rule.pattern),
                with_parts(rule.unless) if rule.unless else None,
                with_parts(rule.also) if rule.also else None,
            )
            for rule in read.rules
            if rule.kind == kind
        )

    turns = read.turns
    return RuleSet(
        name,
        ready("refusal"),
        ready("evasive"),
        with_parts(turns.delivers),
        with_parts(turns.promises),
        with_parts(turns.other),
        fold,
        _weighing_in(read.weighing_file) if read.weighing_file else None,
        with_parts(read.presents) if read.presents else None,
        with_parts(read.reports) if read.reports else None,
        tuple(AskedPatterns.of(kind, asked, read.define) for kind, asked in read.asked.items()),
        {kind: AnsweredPatterns.of(answered, read.define) for kind, answered in read.answered.items()},
    )


def read_rules(name: str) -> RuleFile:
    return RuleFile.model_validate(yaml.load(_text_of(f"{name}.yaml"), _LOADER))


def _pairs_in(file: str) -> str:
    lines = _text_of(file).splitlines()
    return "".join(line.strip() for line in lines if not line.startswith("#"))


def _weighing_in(file: str) -> Weighing:
    return Weighing.model_validate(yaml.load(_text_of(file), _LOADER))


def _text_of(file: str) -> str:
    return resources.files(__package__).joinpath(f"rules/{file}").read_text(encoding="utf-8")
