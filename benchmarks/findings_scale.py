"""30,000 answers in a ledger: what comparing them and evaluating a study's claims costs in time and memory.

25 questions × 10 blocks × 2 arms × 60 deployments (20 models, 3 regions), texts of about 950 characters, on
SQLite. Of each model: the prompt's effect, a deployment's, their interaction on refusals, both on texts too.
Each step is a process of its own, as a run in Dagster is, and reads the ledger itself.

    python -m benchmarks.findings_scale

writes `benchmarks/findings_scale.md`.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from beacon_pipeline.catalog.study import Study
from beacon_pipeline.findings.compare import comparisons
from beacon_pipeline.findings.rows import answer_rows
from beacon_pipeline.findings.subject import findings_of, subject_named
from beacon_pipeline.ledger import Ledger
from benchmarks.report import keep, machine
from tests.beacon_pipeline.findings.asked import an_answered_study
from tests.beacon_pipeline.findings.simulated import a_claim, a_study, answers

MODELS = tuple(f"model-{i:02}" for i in range(20))
REGIONS = ("us", "eu", "apac")
WORDS = 160  # a text, of about six characters each
PLACE = ["region", "model", "question", "arm", "block", "sample"]


def claims() -> Iterator[Any]:
    """Five of each model."""
    for model in MODELS:
        for contrast in ("prompt", "deployment", "interaction"):
            yield a_claim(contrast, id=f"{model}-{contrast}", model=model, delta=0.1)
        for contrast in ("prompt", "deployment"):
            yield a_claim(contrast, id=f"{model}-{contrast}-text", model=model, outcome="text")


def texts_of(frame: pd.DataFrame) -> dict[tuple[Any, ...], str]:
    """For each place a text of its own: a variation of its question's; a refusal begins as one."""
    rng = np.random.default_rng(1)
    vocabulary = np.array([f"word{i:02}" for i in range(100)])
    base = {question: rng.integers(0, 100, WORDS) for question in frame["question"].unique()}
    found = {}
    for *place, kind in frame[[*PLACE, "kind"]].itertuples(index=False):
        words = base[place[2]].copy()
        places = rng.integers(0, WORDS, 60)
        words[places] = rng.integers(0, 100, 60)
        found[tuple(place)] = ("I'm sorry. " if kind == "refusal" else "") + " ".join(vocabulary[words])
    return found


def a_record(url: str) -> int:
    """Make the ledger; how many answers it has."""
    study: Study = a_study(*claims(), models=MODELS, regions=REGIONS, blocks=10, samples=1)
    texts = texts_of(answers(study, 1, calls=0.25, spread=1.0, models=MODELS))
    with closing(Ledger(url)) as ledger:
        ledger.migrate()
        an_answered_study(ledger, study, lambda one: texts[tuple(getattr(one, name) for name in PLACE)])
    return len(texts)


def step(name: str, url: str) -> None:
    """One step, and its row of the table."""
    wall, cpu = time.monotonic(), time.process_time()
    with closing(Ledger(url)) as ledger:
        subject = subject_named(ledger, "s")
        if name == "comparisons":
            done = f"{len(comparisons(answer_rows(ledger, subject.jobs)))} partitions"
        else:
            done = f"{len(findings_of(ledger, subject))} claims"
    seconds, of_cpu = time.monotonic() - wall, time.process_time() - cpu
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"| {name}: {done} | {seconds:.1f} | {of_cpu:.1f} | {memory} |")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/ledger.db"
        number, load = a_record(url), os.getloadavg()[0]
        rows = [
            subprocess.check_output([sys.executable, "-m", "benchmarks.findings_scale", name, url], text=True)
            for name in ("comparisons", "findings")
        ]
    head = f"{machine()}; load {load:.0f} when it began; {number:,} answers on record"
    table = "| step | seconds | of CPU | most memory, MiB |\n|---|---:|---:|---:|\n" + "".join(rows)
    keep(Path(__file__).with_suffix(".md"), f"{head}\n\n{table.rstrip()}")


if __name__ == "__main__":
    step(*sys.argv[1:3]) if len(sys.argv) > 2 else main()
