"""30,000 answers: what comparing them and evaluating a study's claims costs in time and memory.

25 questions × 10 blocks × 2 arms × 60 deployments (20 models, 3 regions), texts of about 950 characters.
Of each model: the prompt's effect, a deployment's and their interaction on refusals, and both on texts.

    python -m benchmarks.findings_scale

writes `benchmarks/findings_scale.md`.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from beacon_pipeline.findings.compare import comparisons
from beacon_pipeline.findings.evaluate import evaluate
from beacon_pipeline.findings.power import power_of
from beacon_pipeline.findings.rows import COLUMNS
from benchmarks.report import keep, machine
from tests.beacon_pipeline.findings.simulated import a_claim, a_study, answers

MODELS = tuple(f"model-{i:02}" for i in range(20))
REGIONS = ("us", "eu", "apac")
WORDS = 160  # a text, of about six characters each


def claims() -> Iterator[Any]:
    """Five of each model."""
    for model in MODELS:
        for contrast in ("prompt", "deployment", "interaction"):
            yield a_claim(contrast, id=f"{model}-{contrast}", model=model, delta=0.1)
        for contrast in ("prompt", "deployment"):
            yield a_claim(contrast, id=f"{model}-{contrast}-text", model=model, outcome="text")


def with_texts(frame: pd.DataFrame) -> pd.DataFrame:
    """Each answer a text of its own: a variation of its question's."""
    rng = np.random.default_rng(1)
    vocabulary = np.array([f"word{i:02}" for i in range(100)])
    base = {question: rng.integers(0, 100, WORDS) for question in frame["question"].unique()}
    said = []
    for question in frame["question"]:
        words = base[question].copy()
        places = rng.integers(0, WORDS, 60)
        words[places] = rng.integers(0, 100, 60)
        said.append(" ".join(vocabulary[words]))
    return frame.assign(answer=said)


def memory() -> int:
    """The most memory that this process has held, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    load = os.getloadavg()[0]
    study = a_study(*claims(), models=MODELS, regions=REGIONS, blocks=10, samples=1)
    frame = with_texts(answers(study, 1, calls=0.25, spread=1.0, models=MODELS))
    rows = [dict.fromkeys(COLUMNS) | row for row in frame.to_dict("records")]
    lines = [f"| answers in memory ({len(frame):,}) | | | {memory()} |"]

    def measured(name: str, started: tuple[float, float]) -> None:
        wall, cpu = time.monotonic() - started[0], time.process_time() - started[1]
        lines.append(f"| {name} | {wall:.1f} | {cpu:.1f} | {memory()} |")
        print(lines[-1], flush=True)

    now = time.monotonic(), time.process_time()
    measured(f"comparisons: {len(comparisons(rows))} partitions", now)
    now = time.monotonic(), time.process_time()
    measured(f"findings: {len(evaluate(study, frame))} claims", now)
    now = time.monotonic(), time.process_time()
    measured(f"power of the plan: {len(power_of(study))} claims", now)
    head = "| step | seconds | of CPU | most memory so far, MiB |\n|---|---:|---:|---:|"
    keep(
        Path(__file__).with_suffix(".md"),
        f"{machine()}; load {load:.0f} when it began\n\n" + "\n".join([head, *lines]),
    )


if __name__ == "__main__":
    main()
