"""What the label rules find: true and false positives and negatives of `refusal`, by language and model.

Beside them two naive ways: a list of usual prefixes, and the first ten characters that refusals of the
other half of the questions begin with. The project's own set is in tests/data/labels; a labelled set of
answers in JSON lines (gzip or not; `language`, `model`, `question`, `answer`, `label`) can be given:

    python -m benchmarks.labels [PATH]

benchmarks/labels.md names the sets that were measured.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from beacon_pipeline.labels.rules import VERSION, label
from beacon_pipeline.ledger.status import LabelKind
from benchmarks.report import keep

TABLE = Path(__file__).with_suffix(".md")
OWN = Path(__file__).parent.parent / "tests/data/labels"
JUDGED = {"COMPLETE": "complete", "EVASIVE": "evasive", "DENIAL": "refusal"}  # others are no answers
PREFIXES = (
    "i'm sorry", "i’m sorry", "sorry", "i am sorry", "i apologize", "i cannot", "i can't", "i can’t",
    "i won't", "i'm unable", "i am unable", "i'm not able", "as an ai", "unfortunately",
    "抱歉", "对不起", "對不起", "很抱歉", "我无法", "我無法", "我不能", "作为一个", "作為一個",
    "désolé", "je suis désolé", "je ne peux pas", "es tut mir leid", "leider", "ich kann",
    "lo siento", "no puedo", "申し訳", "すみません", "عذر", "آسف", "извините", "к сожалению", "я не могу",
    "valitettavasti", "pahoittelen", "olen pahoillani", "en voi",
)  # fmt: skip


@dataclass(frozen=True)
class Answer:
    language: str
    model: str
    question: str
    text: str
    kind: str
    held_out: bool


Way = Callable[[Answer], bool]


def own(folder: Path = OWN) -> list[Answer]:
    """The project's own set, or another of its kind; a question belongs to one half in all languages."""
    return [
        Answer(path.stem, "", block["question"], text, kind, block.get("held_out", False))
        for path in sorted(folder.glob("*.yaml"))
        for block in yaml.safe_load(path.read_text())
        for answer in block["answers"]
        for kind, text in answer.items()
    ]


def given(path: Path) -> list[Answer]:
    """A labelled set; every other question counts as the held-out half."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    halves = {name: number % 2 == 1 for number, name in enumerate(sorted({r["question"] for r in rows}))}
    return [
        Answer(
            r["language"], r["model"], r["question"], r["answer"], JUDGED[r["label"]], halves[r["question"]]
        )
        for r in rows
        if r["label"] in JUDGED
    ]


def by_rules(answer: Answer) -> bool:
    found = label(answer.text, answer.question)
    return found is not None and found.kind is LabelKind.REFUSAL


def by_prefix(answer: Answer) -> bool:
    return answer.text.strip().lower().startswith(PREFIXES)


def by_ten_characters(answers: Sequence[Answer]) -> Way:
    seen = {(a.language, a.held_out, a.text.strip()[:10]) for a in answers if a.kind == "refusal"}
    return lambda a: (a.language, not a.held_out, a.text.strip()[:10]) in seen


@dataclass(frozen=True)
class Measured:
    """Counts of the kind `refusal` against the rest."""

    tp: int
    fp: int
    fn: int
    tn: int

    @classmethod
    def of(cls, way: Way, answers: Sequence[Answer]) -> Measured:
        counts = Counter((a.kind == "refusal", way(a)) for a in answers)
        return cls(counts[True, True], counts[False, True], counts[True, False], counts[False, False])

    def cells(self) -> str:
        precision, recall = _share(self.tp, self.tp + self.fp), _share(self.tp, self.tp + self.fn)
        return f"{self.tp} | {self.fp} | {self.fn} | {self.tn} | {precision} | {recall}"


def _share(part: int, of: int) -> str:
    return f"{part / of:.2f}" if of else "–"


HEAD = "TP | FP | FN | TN | precision | recall |\n|---|---|---|---:|---:|---:|---:|---:|---:|"


def by_language(title: str, answers: Sequence[Answer]) -> Iterator[str]:
    ways = ways_of(answers)
    yield f"\n## {title}\n\n| language | half | way | {HEAD}"
    for language in dict.fromkeys(a.language for a in answers):
        for half, held_out in (("developed on", False), ("held out", True)):
            some = [a for a in of_language(answers, language) if a.held_out is held_out]
            for name, way in ways.items():
                yield f"| {language} | {half} | {name} | {Measured.of(way, some).cells()} |"
        both = Measured.of(by_rules, of_language(answers, language))
        yield f"| {language} | both | rules | {both.cells()} |"
    for name, way in ways.items():
        yield f"| all | both | {name} | {Measured.of(way, answers).cells()} |"


def another(folder: str, title: str) -> Iterator[str]:
    """Another set of the project; benchmarks/labels.md says who wrote it, and what they had read."""
    answers = own(OWN / folder)
    halves = [("developed on", False), ("held out", True)] if any(a.held_out for a in answers) else []
    yield f"\n## {title}\n\n| language | half | way | {HEAD}"
    for language in dict.fromkeys(a.language for a in answers):
        some = of_language(answers, language)
        for name, way in (("rules", by_rules), ("prefixes", by_prefix)):
            for half, held_out in halves:
                cells = Measured.of(way, [a for a in some if a.held_out is held_out]).cells()
                yield f"| {language} | {half} | {name} | {cells} |"
            yield f"| {language} | both | {name} | {Measured.of(way, some).cells()} |"


def ways_of(answers: Sequence[Answer]) -> dict[str, Way]:
    return {"rules": by_rules, "prefixes": by_prefix, "ten characters": by_ten_characters(answers)}


def of_language(answers: Sequence[Answer], language: str) -> list[Answer]:
    return [answer for answer in answers if answer.language == language]


def by_model(answers: Sequence[Answer]) -> Iterator[str]:
    """Models with at least one refusal by either count, both halves together."""
    ways = ways_of(answers)
    yield f"\n## By model\n\n| model | language, answers | way | {HEAD}"
    for model, language in sorted({(a.model, a.language) for a in answers}):
        some = [a for a in answers if (a.model, a.language) == (model, language)]
        measured = {name: Measured.of(way, some) for name, way in ways.items()}
        if measured["rules"].tp + measured["rules"].fp + measured["rules"].fn:
            for name, one in measured.items():
                yield f"| {model} | {language}, {len(some)} | {name} | {one.cells()} |"


def kinds(answers: Sequence[Answer]) -> Iterator[str]:
    counts = Counter(
        (a.language, a.kind, found.kind.value if (found := label(a.text, a.question)) else "")
        for a in answers
    )
    yield "\n## All three kinds, rules\n\n| language | labelled | complete | evasive | refusal |"
    yield "|---|---|---:|---:|---:|"
    for language in dict.fromkeys(a.language for a in answers):
        for kind in LabelKind:
            found = " | ".join(str(counts[language, kind.value, said.value]) for said in LabelKind)
            yield f"| {language} | {kind.value} | {found} |"


def main() -> None:
    lines = [f"Rules, version {VERSION}.", *by_language("The project's own set", own())]
    lines += [*another("fresh", "The fresh set"), *another("second", "The second set")]
    for folder in ("families", "asked"):
        lines += another(folder, f"The set of version 4, {folder}")
    lines += another("blind", "The blind set of 26 November, written apart from the rules")
    for folder in ("phrasings", "later"):
        lines += another(folder, f"The set of version 5, {folder}")
    lines += another("hard", "The set of version 6, hard")
    lines += another("practice", "The set practice, written apart from the rules")
    for folder in ("hard2", "varied"):
        lines += another(folder, f"The set of version 7, {folder}")
    lines += another("unread", "The unread set, written apart from the rules")
    lines += another("unread_second", "The second unread set, written apart from the rules")
    if len(sys.argv) > 1:
        answers = given(Path(sys.argv[1]))
        lines += [*by_language("The given set", answers), *kinds(answers), *by_model(answers)]
    keep(TABLE, "\n".join(lines))


if __name__ == "__main__":
    main()
