"""The answers to one question side by side: who answered alike, what differs, and in what they were made.

Pure functions of rows as `rows.answer_rows` gives them. They describe; what a difference means is a
study's to say. Probes are left out: they serve one contrast of a study.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from beacon_pipeline.findings.likeness import likenesses
from beacon_pipeline.findings.rows import BY_RULES, PROVENANCE
from beacon_pipeline.labels.naming import versions_of

Row = Mapping[str, Any]

TEXTS_LIMIT = 60  # different texts of one place that are compared
# Of a call or of the prompt, not of what serves.
_MEASURED = ("provenance_region", "provenance_batch_size", "provenance_rendered_prompt_sha256")


@dataclass(frozen=True)
class Place:
    """Who answered: a region, under a system prompt by its arm."""

    region: str
    arm: str

    def __str__(self) -> str:
        return self.region if self.arm == "regional" else f"{self.region}, {self.arm}"


@dataclass(frozen=True)
class Answers:
    """What came from one place: different texts with their counts, the most frequent first.

    ``rules``: versions of the rules that found the kinds.
    """

    place: Place
    asked: int
    texts: tuple[tuple[str, int], ...]
    kinds: Mapping[str, int]
    statuses: Mapping[str, int]
    system_prompt: str | None
    rules: tuple[str | None, ...] = ()

    @property
    def answered(self) -> int:
        return sum(count for _, count in self.texts)

    @property
    def text(self) -> str | None:
        """The most frequent answer."""
        return self.texts[0][0] if self.texts else None


@dataclass(frozen=True)
class Pair:
    """Two places that differ in region or in arm: how alike their texts are, 0 to 1, and what else differs.

    ``within`` is None where each place has one answer: then ``between`` has nothing to be held against.
    """

    a: Place
    b: Place
    between: float
    within: float | None
    same_prompt: bool
    provenance: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """One model's answers to one question."""

    model: str
    question: str
    prompt: str | None
    answers: tuple[Answers, ...]
    pairs: tuple[Pair, ...]

    @property
    def different(self) -> bool:
        """Whether the places' sets of answers are not all the same."""
        return len({frozenset(text for text, _ in one.texts) for one in self.answers if one.texts}) > 1

    @property
    def distinct(self) -> int:
        return len({text for one in self.answers for text, _ in one.texts})

    @property
    def answered(self) -> int:
        return sum(one.answered for one in self.answers)

    @property
    def rules(self) -> tuple[str | None, ...]:
        return versions_of(version for one in self.answers for version in one.rules)

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self) | {"different": self.different, "distinct": self.distinct}


def comparisons(rows: Iterable[Row]) -> list[Comparison]:
    """One for each model and question, in their order by name."""
    cells: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if not row["probe"]:
            cells.setdefault((row["model"], row["question"]), []).append(row)
    return [_compared(model, question, mine) for (model, question), mine in sorted(cells.items())]


def _compared(model: str, question: str, rows: Sequence[Row]) -> Comparison:
    places: dict[Place, list[Row]] = {}
    for row in rows:
        places.setdefault(Place(row["region"], row["arm"]), []).append(row)
    answers = {place: _answers(place, mine) for place, mine in places.items()}
    within = {place: _within(of_place) for place, of_place in answers.items()}
    pairs = (
        _pair(answers[a], answers[b], [within[a], within[b]], (places[a], places[b]))
        for a, b in combinations(places, 2)
        if (a.region == b.region or a.arm == b.arm) and answers[a].texts and answers[b].texts
    )
    prompt = next((row["prompt"] for row in rows if row["prompt"] is not None), None)
    return Comparison(model, question, prompt, tuple(answers.values()), tuple(pairs))


def _answers(place: Place, rows: Sequence[Row]) -> Answers:
    there = [row for row in rows if row["answer"] is not None]
    return Answers(
        place,
        len(rows),
        tuple(Counter(row["answer"] for row in there).most_common()),
        dict(Counter(row["kind"] for row in there)),
        dict(Counter(row["status"] for row in rows)),
        next((row["system_prompt"] for row in rows if row["system_prompt"] is not None), None),
        versions_of(row["kind_version"] for row in there if row["kind"] in BY_RULES),
    )


def _pair(
    a: Answers, b: Answers, within: Sequence[float | None], rows: tuple[Sequence[Row], Sequence[Row]]
) -> Pair:
    inside = [found for found in within if found is not None]
    return Pair(
        a.place,
        b.place,
        round(_between(a, b), 4),
        round(sum(inside) / len(inside), 4) if inside else None,
        a.system_prompt == b.system_prompt,
        tuple(field for field in PROVENANCE if field not in _MEASURED and _differs(field, *rows)),
    )


def _differs(field: str, rows_a: Sequence[Row], rows_b: Sequence[Row]) -> bool:
    a, b = ({row[field] for row in rows if row[field] is not None} for rows in (rows_a, rows_b))
    return bool(a and b and a != b)


def _texts(texts: Sequence[tuple[str, int]]) -> list[str]:
    return [text for text, _ in texts]


def _times(texts: Sequence[tuple[str, int]]) -> np.ndarray:
    return np.array([times for _, times in texts], dtype=float)


def _between(a: Answers, b: Answers) -> float:
    one, other = a.texts[:TEXTS_LIMIT], b.texts[:TEXTS_LIMIT]
    weight = np.outer(_times(one), _times(other))
    return float((likenesses(_texts(one), _texts(other)) * weight).sum() / weight.sum())


def _within(answers: Answers) -> float | None:
    """Of all pairs of different answers of the place; None where there are none."""
    texts = answers.texts[:TEXTS_LIMIT]
    times = _times(texts)
    weight = np.outer(times, times) - np.diag(times)  # no answer is a pair with itself
    if not weight.any():
        return None
    each = _texts(texts)
    return float((likenesses(each, each) * weight).sum() / weight.sum())
