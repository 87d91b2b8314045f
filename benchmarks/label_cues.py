"""The points of the cues in a language's rules: fitted on the project's own answers, checked set by set.

    python -m benchmarks.label_cues [zh]

Ridge-penalized logistic regression over how often each cue is found in the short answers of
tests/data/labels, refusals against the rest; a tenth of a log odds is one point. Prints the points for the
rules' file beside those that it has, and what rules and cues find together in each set, with points fitted on
the other sets alone. That is no blind figure: whoever wrote the cues had read the sets.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

from beacon_pipeline.labels.cues import Weighing
from beacon_pipeline.labels.rules import answers, judged, reading_of, rules_of
from beacon_pipeline.labels.text import outside_thoughts
from beacon_pipeline.ledger.status import LabelKind
from benchmarks.labels import OWN, Answer, Measured, own

PENALTY = 2.0
SETS = (
    *("", "fresh", "second", "families", "asked", "blind", "phrasings", "later"),
    *("hard", "practice", "hard2", "varied"),
)
APART = "hard"  # of this set, the half that was set apart is not fitted on


def fitted(finds: np.ndarray, refused: np.ndarray) -> np.ndarray:
    """Log odds for one find of each cue, and the constant: Newton's method, the constant unpenalized."""
    with_one = np.hstack([finds, np.ones((len(finds), 1))])
    penalty = np.diag([PENALTY] * finds.shape[1] + [1e-3])
    odds = np.zeros(with_one.shape[1])
    for _ in range(100):
        share = 1 / (1 + np.exp(-with_one @ odds))
        slope = with_one.T @ (share - refused) + penalty @ odds
        step = np.linalg.solve((with_one * (share * (1 - share))[:, None]).T @ with_one + penalty, slope)
        odds -= step
        if np.abs(step).max() < 1e-8:
            break
    return odds


def official(name: str, answer: Answer) -> bool:
    """Whether the rules call an answer an official line, which some authors call a refusal and others not."""
    found = judged(rules_of(name), None, reading_of(rules_of(name), answer.text))
    return found is not None and found[1].startswith("canned-")


def points_on(weighing: Weighing, name: str, some: Sequence[Answer]) -> tuple[list[int], int]:
    """Points of each cue, and the constant in points; without official lines, on which the sets disagree."""
    short = [
        (reading, answer)
        for answer in some
        if (reading := reading_of(rules_of(name), answer.text)).size <= weighing.short
        and not official(name, answer)
    ]
    finds = np.array([weighing.found(reading.text) for reading, _ in short], float)
    odds = fitted(finds, np.array([a.kind == "refusal" for _, a in short], float))
    points = [round(10 * value) for value in odds]
    return points[:-1], points[-1]


def weighed(weighing: Weighing, points: Sequence[int]) -> Weighing:
    cues = [cue.model_copy(update={"points": p}) for cue, p in zip(weighing.cues, points, strict=True)]
    return weighing.model_copy(update={"cues": tuple(cues)})


def refused(name: str, weighing: Weighing, answer: Answer) -> bool:
    found = judged(rules_of(name), weighing, reading_of(rules_of(name), answer.text))
    if found is None or found[0] is not LabelKind.REFUSAL:
        return False
    return not answers(answer.question, outside_thoughts(answer.text)[0].strip(), LabelKind.REFUSAL)


def sets_of(name: str) -> dict[str, list[Answer]]:
    return {
        s: [a for a in own(OWN / s) if a.language.startswith(name) and not (s == APART and a.held_out)]
        for s in SETS
    }


def texts_of(name: str) -> list[Answer]:
    return [answer for answers in sets_of(name).values() for answer in answers]


def main(name: str) -> None:
    weighing = rules_of(name).weighing
    if weighing is None:
        sys.exit(f"the rules for {name} have no cues")
    sets = sets_of(name)
    points, constant = points_on(weighing, name, texts_of(name))
    for cue, value in zip(weighing.cues, points, strict=True):
        print(f"{cue.id}: {value}" + (f" (the file has {cue.points})" if value != cue.points else ""))
    print(f"constant: {constant}")
    for left, held in sets.items():
        others = [a for s, more in sets.items() if s != left for a in more]
        without = weighed(weighing, points_on(weighing, name, others)[0])
        found = Measured.of(lambda a, w=without: refused(name, w, a), held)
        lines = sum(a.kind == "refusal" and official(name, a) for a in held)
        print(f"{left or 'own'} left out: {len(held)} | {found.cells()} | {lines}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "zh")
