"""Nulls through the whole of `evaluate`: from a frame of answers to verdicts with their qualifiers.

`benchmarks/findings.py` draws 2,000 times from the statistics alone; here fewer studies go all the way, so
that what is around the statistics (sides, units, labels, corrections, looks, losses) is counted too.

    python -m benchmarks.findings_whole

writes `benchmarks/findings_whole.md`; with names of its functions only those are drawn again.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd

from beacon_pipeline.catalog.study import Labeller
from beacon_pipeline.findings.evaluate import evaluate
from beacon_pipeline.findings.finding import Qualifier, Verdict
from beacon_pipeline.findings.statistics.intervals import wilson
from benchmarks.report import keep, machine
from tests.beacon_pipeline.findings.simulated import a_claim, a_study, answers, labels_by

TABLE = Path(__file__).with_suffix(".md")
DRAWS = 1000
FALSE_ALARMS = 123 / 2000  # the most that are allowed at .05

Draw = Callable[[int], Iterator[str]]


def call_effects(seed: int) -> Iterator[str]:
    """Calls of one deployment differ by half a logit; nothing else does."""
    study = a_study(blocks=6, samples=2)
    frame = answers(study, seed, calls=0.5, spread=1.0)
    for contrast in ("prompt", "deployment", "interaction"):
        (found,) = evaluate(study.model_copy(update={"claims": (a_claim(contrast),)}), frame)
        if found.verdict == Verdict.DIFFERS:
            yield f"call effects of .5 logit, 6 blocks: {contrast}"


def losses(seed: int) -> Iterator[str]:
    """A fifth of the long answers under one prompt is lost; "differs" counts where no qualifier says so."""
    study = a_study(a_claim("prompt"))
    frame = answers(study, seed, spread=1.0)
    lost = ((frame["arm"] == "strict") & (frame["kind"] == "substantive")).to_numpy(dtype=bool)
    lost = lost & (np.random.default_rng(seed).random(len(frame)) < 0.2)
    frame = frame.assign(status=frame["status"].mask(lost, "failed"), kind=frame["kind"].mask(lost))
    (found,) = evaluate(study, frame)
    if found.verdict == Verdict.DIFFERS and Qualifier.DEPENDS_ON_LOST_ANSWERS not in found.qualifiers:
        yield "20 % of one side's long answers lost, unqualified"


def labellers(seed: int) -> Iterator[str]:
    """The rules find .8 of the refusals under one prompt and .6 under the other; people label 100 a side."""
    both = (Labeller(method="rules"), Labeller(method="people"))
    study = a_study(a_claim("prompt"), labellers=both)
    frame = answers(study, seed, spread=0.5)
    recall = pd.Series(np.where(frame["arm"] == "plain", 0.8, 0.6), index=frame.index)
    (found,) = evaluate(study, *labels_by(frame, frame["kind"] == "refusal", recall, seed))
    if found.verdict == Verdict.DIFFERS:
        yield "labellers' recall .8 and .6, 100 labels a side"


def looks(seed: int) -> Iterator[str]:
    """Three planned looks of eight blocks each, one after the other."""
    study = a_study(a_claim("deployment"), blocks=24, looks=(8, 8, 8))
    frame = answers(study, seed, calls=0.25, spread=1.0)
    seen = (evaluate(study, frame[frame["block"] <= blocks]) for blocks in (8, 16, 24))
    if any(found.verdict == Verdict.DIFFERS for (found,) in seen):
        yield "three planned looks of 8 blocks: any of them"


def question_by_region(seed: int) -> Iterator[str]:
    """Questions react to the region each in its own way, and not on average: questions like these."""
    study = a_study(a_claim("deployment", population="like_these"))
    reacts = np.random.default_rng(seed + 10_000).normal(0, 0.7, len(study.questions))
    of_question = dict(zip(study.questions, reacts, strict=True))
    frame = answers(
        study,
        seed,
        calls=0.25,
        shift=lambda rows: rows["question"].map(of_question) * (rows["region"] == "eu"),
    )
    (found,) = evaluate(study, frame)
    if found.verdict == Verdict.DIFFERS:
        yield "question × region, questions like these"


def languages(seed: int) -> Iterator[str]:
    """The labeller finds .9 of the refusals in English and .5 in Chinese; people label 150 of both."""
    both = (Labeller(method="rules"), Labeller(method="people"))
    study = a_study(a_claim("languages"), questions=24, samples=2, labellers=both)
    frame = answers(study, seed, spread=0.5)
    recall = pd.Series(np.where(frame["question"] < "q12", 0.5, 0.9), index=frame.index)
    (found,) = evaluate(study, *labels_by(frame, frame["kind"] == "refusal", recall, seed, each=150))
    if found.verdict == Verdict.DIFFERS:
        yield "two languages, labellers' recall .5 and .9"


def two_models(seed: int) -> Iterator[str]:
    """FACTS' pair: recalls of .06 and .73, both models refuse three of ten; 100 labels a side."""
    both = (Labeller(method="rules"), Labeller(method="people"))
    study = a_study(a_claim("models"), labellers=both)
    frame = answers(study, seed, spread=0.5, models=("m", "n"))
    recall = frame["model"].map({"m": 0.06, "n": 0.73})
    (found,) = evaluate(study, *labels_by(frame, frame["kind"] == "refusal", recall, seed))
    if found.verdict == Verdict.DIFFERS:
        yield "two models, recalls .06 and .73, 100 labels a side"


NULLS: dict[Draw, tuple[str, ...]] = {
    call_effects: tuple(
        f"call effects of .5 logit, 6 blocks: {contrast}"
        for contrast in ("prompt", "deployment", "interaction")
    ),
    losses: ("20 % of one side's long answers lost, unqualified",),
    labellers: ("labellers' recall .8 and .6, 100 labels a side",),
    looks: ("three planned looks of 8 blocks: any of them",),
    question_by_region: ("question × region, questions like these",),
    languages: ("two languages, labellers' recall .5 and .9",),
    two_models: ("two models, recalls .06 and .73, 100 labels a side",),
}


def _drawn(draw: Draw, seed: int) -> list[str]:
    return list(draw(seed))


def rows_of(draw: Draw, names: tuple[str, ...]) -> Iterator[str]:
    """The nulls of a draw, as rows of the table."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found = Counter(chain.from_iterable(pool.map(partial(_drawn, draw), range(DRAWS), chunksize=20)))
    for name in names:
        count = found[name]
        low, high = wilson(count, DRAWS, 0.99)
        good = "yes" if count / DRAWS <= FALSE_ALARMS else "no"
        row = (
            f"| {name} | {DRAWS:,} | {count} | {count / DRAWS:.3f} | {low:.3f} to {high:.3f} "
            f"| {FALSE_ALARMS:.4f} | {good} |"
        )
        print(row, flush=True)
        yield row


def main(chosen: list[str]) -> None:
    """Run all, or the functions of these names, and write the table."""
    load = os.getloadavg()[0]
    kept = {row.split(" | ")[0][2:]: row for row in TABLE.read_text().splitlines() if row.startswith("| ")}
    lines = [
        '| null | draws | "differs" | rate | 99 % interval | at most | |',
        "|---|" + "---:|" * 5 + "---|",
    ]
    for draw, names in NULLS.items():
        again = not chosen or draw.__name__ in chosen or not set(names) <= set(kept)
        lines += rows_of(draw, names) if again else [kept[name] for name in names]
    head = f"{machine()}, numpy {np.__version__}; fixed seeds; load {load:.0f} when it began"
    keep(TABLE, head + "\n\n" + "\n".join(lines))


if __name__ == "__main__":
    main(sys.argv[1:])
