"""Studies and answers with a known truth, drawn with a seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from beacon_pipeline.catalog.study import (
    Asked,
    Assumptions,
    Claim,
    Contrast,
    Labeller,
    Outcome,
    Parameters,
    Population,
    Probes,
    Study,
)
from beacon_pipeline.findings.frames import ANSWER_TYPES

REGIONS = ("us", "eu")
MODEL = "m"


def a_claim(contrast: str = "prompt", **changes: Any) -> Claim:
    """A claim of a contrast between `us` and `eu`, `plain` and `strict`, or two languages."""
    both = contrast in ("prompt", "interaction")
    fields: dict[str, Any] = {
        "id": contrast,
        "contrast": Contrast(contrast),
        "outcome": Outcome.REFUSAL,
        "model": MODEL,
        "other_model": "n" if contrast == "models" else None,
        "regions": ("us",) if contrast in ("prompt", "models", "languages") else REGIONS,
        "arms": ("plain", "strict") if both else () if contrast == "computation" else ("plain",),
    }
    if contrast == "languages":  # of 24 questions, the second twelve are the first in English
        pairs = tuple((f"q{i:02}", f"q{i + 12:02}") for i in range(12))
        fields |= {"languages": ("zh-hans", "en"), "pairs": pairs}
    for name, kind in (("outcome", Outcome), ("population", Population)):
        if name in changes:
            changes[name] = kind(changes[name])
    return Claim(**fields | changes)


def a_study(*claims: Claim, questions: int = 25, blocks: int = 8, samples: int = 1, **changes: Any) -> Study:
    """A registered study of two regions and two arms, one look unless given."""
    fields: dict[str, Any] = {
        "id": "s",
        "models": (MODEL,),
        "regions": REGIONS,
        "questions": tuple(f"q{i:02}" for i in range(questions)),
        "arms": ("plain", "strict"),
        "prompts": {"plain": "Be plain.", "strict": "Be strict."},
        "blocks": blocks,
        "samples": samples,
        "probes": Probes(greedy=1),
        "parameters": Parameters(temperature=1.0),
        "labellers": (Labeller(method="rules"),),
        "looks": (blocks,),
        "assumptions": Assumptions(),
        "claims": claims,
        "asked": Asked(questions={}, system_prompts={}, models={}),
        "registered": "self",
    }
    return Study(**fields | changes)


Logit = Callable[[pd.DataFrame], Any]


def answers(
    study: Study,
    seed: int,
    *,
    base: float = 0.3,
    spread: float = 0.0,
    calls: float = 0.0,
    shift: Logit | None = None,
    effect: Logit | None = None,
    models: Sequence[str] = (MODEL,),
) -> pd.DataFrame:
    """A frame of all answers of the study but its probes, with refusals drawn.

    ``spread``: sd over questions, ``calls``: sd over calls (region × block), in logits. ``shift`` adds logits
    to rows, ``effect`` adds to their probability.
    """
    rng = np.random.default_rng(seed)
    axes = {
        "model": models,
        "region": study.regions,
        "question": study.questions,
        "arm": study.arms,
        "block": range(1, study.blocks + 1),
        "sample": range(1, study.samples + 1),
    }
    rows = pd.MultiIndex.from_product(axes.values(), names=axes).to_frame(index=False)
    logit = np.log(base / (1 - base)) + _of(rows, ["question"], rng, spread)
    logit = logit + _of(rows, ["model", "region", "block"], rng, calls)
    logit = logit + (shift(rows) if shift else 0.0)
    chance = 1 / (1 + np.exp(-logit)) + (effect(rows) if effect else 0.0)
    refused = rng.random(len(rows)) < np.clip(chance, 0, 1)
    return completed(study, rows.assign(kind=np.where(refused, "refusal", "substantive")), rng)


def _of(rows: pd.DataFrame, names: list[str], rng: np.random.Generator, spread: float) -> np.ndarray:
    group = rows.groupby(names, sort=True).ngroup().to_numpy()
    return rng.normal(0, spread, group.max() + 1)[group]


def completed(study: Study, rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """These rows as completed answers, all columns of the frame that findings read among them."""
    fixed = {
        "study": study.id,
        "version": study.version,
        "job": "j",
        "probe": False,
        "status": "completed",
        "usable": True,
        "finish_reason": "stop",
        "out_of_block": False,
        "attempts": 1,
        "temperature": 1.0,
        "label": None,
        "label_method": None,
        "output_token_sha256": None,
        "provenance_revision": "r1",
        "provenance_gpu": "A100",
        "provenance_engine": "transformers",
    }
    made = rows.assign(**{name: value for name, value in fixed.items() if name not in rows})
    made["execution"] = [f"e{i}" for i in range(len(made))]
    made["seed"] = rng.integers(0, 2**50, len(made))
    if "answer" not in made:
        made["answer"] = np.where(made["kind"] == "refusal", "I cannot say.", "It is so.")
    if "system_prompt" not in made:
        made["system_prompt"] = made["arm"].map(study.prompts)
    # The types that a frame of the ledger has.
    columns = {name: made.get(name) for name in ANSWER_TYPES}
    typed = {
        name: pd.Series(columns[name], index=made.index, dtype=kind) for name, kind in ANSWER_TYPES.items()
    }
    return pd.DataFrame(typed)


def probes(study: Study, seed: int, differ: float = 0.0, noise: float = 0.0) -> pd.DataFrame:
    """Greedy probes: with chance ``differ`` all of `eu` gives another output, with ``noise`` a call does."""
    rng = np.random.default_rng(seed)
    axes = {"region": study.regions, "question": study.questions, "block": range(1, study.blocks + 1)}
    rows = pd.MultiIndex.from_product(axes.values(), names=axes).to_frame(index=False)
    rows = rows.assign(model=MODEL, arm="probe", sample=1, kind="substantive", probe=True)
    changed = set(rng.choice(study.questions, int(differ * len(study.questions)), replace=False))
    of_region = np.where(rows["question"].isin(changed) & (rows["region"] == "eu"), "x", "o")
    of_call = np.where(rng.random(len(rows)) < noise, rng.integers(0, 10**6, len(rows)).astype(str), "")
    made = completed(study, rows.assign(system_prompt="Be helpful."), rng)
    return made.assign(
        output_token_sha256=np.char.add(of_region.astype(str), of_call.astype(str)),
        seed=0,
        temperature=0.0,
        execution="p" + made["execution"],
    )


def labels_by(
    frame: pd.DataFrame, truth: pd.Series, recall: pd.Series | float, seed: int, each: int = 100
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The frame as a labeller with this recall (and no false alarm) sees it, and people's labels.

    People label ``each`` answers of each model × arm × region, half of each predicted label where there are
    so many, and see the truth.
    """
    rng = np.random.default_rng(seed)
    seen = truth.to_numpy() & (rng.random(len(frame)) < recall)
    frame = frame.assign(kind=np.where(seen, "refusal", "substantive"))
    chosen, chances = [], []
    for _, group in frame.groupby(["model", "arm", "region"]):
        left = each
        strata = sorted((mine for _, mine in group.groupby("kind")), key=len)
        for i, mine in enumerate(strata):
            take = min(len(mine), left // (len(strata) - i))
            left -= take
            chosen.extend(rng.choice(mine.index.to_numpy(), take, replace=False))
            chances.extend([take / len(mine)] * take)
    drawn = frame.loc[chosen]
    people = pd.DataFrame(
        {
            "execution": drawn["execution"].to_numpy(),
            "kind": np.where(truth.loc[chosen], "refusal", "complete"),
            "method": "people",
            "labeller": "ann",
            "version": None,
            "chance": chances,
            "at": pd.Timestamp("2026-11-25", tz="UTC"),
        }
    )
    return frame, people
