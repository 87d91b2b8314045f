"""What a set of answers shows without any test: counts, shares with their intervals, times, likeness.

Pure functions of rows as `rows.answer_rows` gives them. Nothing here is a finding: a study is what tests.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from statistics import fmean, quantiles
from typing import Any

from beacon_pipeline.findings.likeness import likeness
from beacon_pipeline.findings.rows import BY_RULES
from beacon_pipeline.findings.statistics.intervals import wilson
from beacon_pipeline.labels.naming import versions_of
from beacon_pipeline.ledger.status import UNSUCCESSFUL

Row = Mapping[str, Any]

SIDE_LIMIT = 5  # samples of one region in one cell that likeness looks at


@dataclass(frozen=True, slots=True)
class Share:
    """``part`` of ``whole`` with its 95 % Wilson interval; no rate where the whole is nothing."""

    part: int
    whole: int

    @property
    def rate(self) -> float | None:
        return self.part / self.whole if self.whole else None

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.part, self.whole)


@dataclass(frozen=True, slots=True)
class Spread:
    """Quartiles of a time in seconds."""

    low: float
    middle: float
    high: float
    longest: float


@dataclass(frozen=True, slots=True)
class Side:
    """One model in one region under one prompt: what was asked and what came."""

    region: str
    model: str
    arm: str
    asked: int
    kinds: Mapping[str, int]  # of usable answers
    rules: tuple[str | None, ...]  # versions of the rules that found them
    lost: int  # failed, timed out, cancelled
    under_way: int
    unusable: int  # answered by another model or in another region
    texts: int  # distinct ones
    seconds: Spread | None

    @property
    def answered(self) -> int:
        return sum(self.kinds.values())

    @property
    def refusals(self) -> Share:
        return Share(self.kinds.get("refusal", 0), self.answered)

    @property
    def completeness(self) -> Share:
        return Share(self.answered, self.asked)


@dataclass(frozen=True, slots=True)
class Likeness:
    """How like each other a model's answers to one question are, 0 to 1, on average over questions.

    ``within``: samples of one region; None where no region has two. ``between``: of two regions.
    """

    model: str
    arm: str
    within: float | None
    between: float | None
    questions: int


@dataclass(frozen=True, slots=True)
class Summary:
    """All of a job, or of several jobs, in figures."""

    asked: int
    answered: int
    lost: int
    under_way: int
    unusable: int
    probes: int
    questions: int
    places: int  # model x question x prompt
    differing: int  # those in which some region's texts are not another's
    comparable: int  # those with usable answers from two regions or more
    prompts_differing: int  # of the next: those in which some prompt's texts are not another's
    prompts_comparable: int  # model x question x region with usable answers under two prompts or more
    most_samples: int  # of one region in one place
    sides: tuple[Side, ...]
    likeness: tuple[Likeness, ...]

    @property
    def rules(self) -> tuple[str | None, ...]:
        return rules_of(self.sides)

    @property
    def kinds(self) -> Counter[str]:
        total: Counter[str] = Counter()
        for side in self.sides:
            total.update(side.kinds)
        return total


def summarized(rows: Iterable[Row]) -> Summary:
    """The summary of these executions; probes are counted and otherwise left out."""
    everything = list(rows)
    asked = [row for row in everything if not row["probe"]]
    sides = sides_of(asked)
    places = _texts_by_place(asked)
    comparable = [regions for regions in places.values() if len(regions) > 1]
    under_prompts = [texts for texts in _texts_by_prompt(places).values() if len(texts) > 1]
    return Summary(
        asked=len(asked),
        answered=sum(side.answered for side in sides),
        lost=sum(side.lost for side in sides),
        under_way=sum(side.under_way for side in sides),
        unusable=sum(side.unusable for side in sides),
        probes=len(everything) - len(asked),
        questions=len({row["question"] for row in asked}),
        places=len({(row["model"], row["question"], row["arm"]) for row in asked}),
        differing=sum(1 for regions in comparable if differ(regions)),
        comparable=len(comparable),
        prompts_differing=sum(1 for texts in under_prompts if differ(texts)),
        prompts_comparable=len(under_prompts),
        most_samples=max(
            (len(texts) for regions in places.values() for texts in regions.values()), default=0
        ),
        sides=sides,
        likeness=tuple(_likeness(places)),
    )


def differ(sides: Mapping[str, Sequence[str]]) -> bool:
    """Whether the texts of some side, a region or a prompt, are not those of another, as sets."""
    return len({frozenset(texts) for texts in sides.values()}) > 1


def changes(rows: Iterable[Row], others: Iterable[Row]) -> tuple[int, int]:
    """Of the places that both asked and got usable answers in, model x question x prompt x region: in how
    many the texts are not the same, as sets; and how many there are."""
    here, there = _texts_by_place(rows), _texts_by_place(others)
    both = [
        {"here": texts, "there": there[place][region]}
        for place, regions in here.items()
        for region, texts in regions.items()
        if region in there.get(place, {})
    ]
    return sum(1 for texts in both if differ(texts)), len(both)


class _Tally:
    """What is counted of one side, row by row: no row is kept."""

    def __init__(self) -> None:
        self.asked = 0
        self.statuses: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.rules: set[str | None] = set()
        self.texts: set[bytes] = set()
        self.seconds: list[float] = []

    def add(self, row: Row) -> None:
        self.asked += 1
        self.statuses[row["status"]] += 1
        if not row["usable"]:
            return
        self.kinds[row["kind"]] += 1
        if row["kind"] in BY_RULES:
            self.rules.add(row["kind_version"])
        text = f"{row['question']}\n{row['answer']}".encode("utf-8", "surrogatepass")
        self.texts.add(hashlib.blake2b(text, digest_size=16).digest())
        if (seconds := seconds_of(row)) is not None:
            self.seconds.append(seconds)

    def side(self, model: str, region: str, arm: str) -> Side:
        return Side(
            region=region,
            model=model,
            arm=arm,
            asked=self.asked,
            kinds=dict(sorted(self.kinds.items())),
            rules=versions_of(self.rules),
            lost=sum(self.statuses[status] for status in UNSUCCESSFUL),
            under_way=self.statuses["pending"] + self.statuses["dispatched"],
            unusable=self.statuses["completed"] - self.kinds.total(),
            texts=len(self.texts),
            seconds=_spread(self.seconds),
        )


def sides_of(rows: Iterable[Row]) -> tuple[Side, ...]:
    """Each model in each region under each prompt, without probes; reads the rows once and keeps none."""
    tallies: dict[tuple[str, str, str], _Tally] = defaultdict(_Tally)
    for row in rows:
        if not row["probe"]:
            tallies[row["model"], row["region"], row["arm"]].add(row)
    return tuple(tally.side(*place) for place, tally in sorted(tallies.items(), key=lambda item: item[0]))


def rules_of(sides: Iterable[Side]) -> tuple[str | None, ...]:
    """Versions of the rules that found the kinds of these sides' answers."""
    return versions_of(version for side in sides for version in side.rules)


def seconds_of(row: Row) -> float | None:
    """From dispatch to completion, in seconds; None where one is not on record."""
    if row["dispatched_at"] is None or row["completed_at"] is None:
        return None
    return max(float((row["completed_at"] - row["dispatched_at"]).total_seconds()), 0.0)


def _spread(seconds: Sequence[float]) -> Spread | None:
    if not seconds:
        return None
    several = [*seconds, *seconds]  # `quantiles` takes no single value; twice the same has the same quartiles
    low, middle, high = quantiles(seconds if len(seconds) > 1 else several, n=4, method="inclusive")
    return Spread(low, middle, high, max(seconds))


Place = tuple[str, str, str]  # model, question, arm


def _texts_by_place(rows: Iterable[Row]) -> dict[Place, dict[str, list[str]]]:
    """Usable answers by place, then region."""
    places: dict[Place, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row["usable"]:
            places[row["model"], row["question"], row["arm"]][row["region"]].append(row["answer"])
    return places


def _texts_by_prompt(
    places: Mapping[Place, Mapping[str, Sequence[str]]],
) -> dict[Place, dict[str, Sequence[str]]]:
    """The same by model, question and region, then prompt."""
    found: dict[Place, dict[str, Sequence[str]]] = defaultdict(dict)
    for (model, question, arm), regions in places.items():
        for region, texts in regions.items():
            found[model, question, region][arm] = texts
    return found


def _likeness(places: Mapping[Place, Mapping[str, Sequence[str]]]) -> Iterator[Likeness]:
    within: dict[tuple[str, str], list[float]] = defaultdict(list)
    between: dict[tuple[str, str], list[float]] = defaultdict(list)
    questions: Counter[tuple[str, str]] = Counter()
    for (model, _, arm), regions in places.items():
        sides = [texts[:SIDE_LIMIT] for texts in regions.values()]
        same = [likeness(a, b) for texts in sides for a, b in combinations(texts, 2)]
        other = [likeness(a, b) for one, two in combinations(sides, 2) for a, b in product(one, two)]
        questions[model, arm] += 1
        if same:
            within[model, arm].append(fmean(same))
        if other:
            between[model, arm].append(fmean(other))
    for model, arm in sorted(questions):
        key = model, arm
        yield Likeness(
            model,
            arm,
            fmean(within[key]) if within[key] else None,
            fmean(between[key]) if between[key] else None,
            questions[key],
        )
