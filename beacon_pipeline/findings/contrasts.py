"""Each contrast with its own estimate: what the design makes a unit carries the test, never more.

Two arms of one region, or two languages, are in one call: the sample is the unit. Two deployments, or two
models, are different calls: the block is. With one call a side a deployment cannot be separated from a
call. Raises nothing for answers that cannot carry a claim: `Unanswerable` says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from beacon_pipeline.catalog.study import (
    FEWEST_QUESTIONS,
    WITHIN_A_CALL,
    Claim,
    Contrast,
    Outcome,
    Population,
)
from beacon_pipeline.findings.outcomes import JUDGED, known
from beacon_pipeline.findings.sides import Sides, cell_differences, strata, without_holes
from beacon_pipeline.findings.statistics import flips, population, predictions, probes, similarity
from beacon_pipeline.findings.statistics import stratified as arms
from beacon_pipeline.findings.statistics.estimate import Estimate
from beacon_pipeline.findings.statistics.intervals import newcombe

FEWEST_BLOCKS = 6  # fewer give no p below .05
FEWEST_CALLS = 5  # a side, for the same computation


@dataclass(frozen=True)
class Unanswerable:
    """Why these answers cannot carry the claim."""

    reason: str


@dataclass(frozen=True)
class Settings:
    """How a claim is computed: the interval's level, the seed of random draws, the cap of texts."""

    level: float
    seed: int
    characters: int


Result = Estimate | Unanswerable


def measured(claim: Claim, sides: Sequence[Sides], settings: Settings) -> Result:
    """The estimate of a claim from its sides, as `outcomes.counted` has prepared their answers."""
    if any(side.empty for pair in sides for side in pair):
        return Unanswerable("a side has no answers")
    if claim.contrast == Contrast.COMPUTATION:
        return _computation(sides[0], settings)
    if obstacle := _obstacle(claim, sides):
        return Unanswerable(obstacle)
    if claim.outcome == Outcome.TEXT:
        return _texts(claim, sides[0], settings)
    if claim.outcome in JUDGED and (
        claim.contrast in (Contrast.MODELS, Contrast.LANGUAGES)
        or (claim.contrast == Contrast.PROMPT and has_people(sides[0]))
    ):
        return by_people(sides[0], settings)
    if claim.contrast in WITHIN_A_CALL:
        return _within_calls(claim, sides[0], settings)
    return _between_calls(claim, sides, settings)


def has_people(sides: Sides) -> bool:
    """Whether people labelled at least two answers of each side."""
    return all(side["by_people"].notna().sum() >= 2 for side in sides)


def _obstacle(claim: Claim, sides: Sequence[Sides]) -> str | None:
    """What in the design, not in the numbers, keeps these answers from carrying the claim."""
    rows = pd.concat([pair.both for pair in sides])
    if claim.contrast == Contrast.DEPLOYMENT and (prompts := _prompts_differ(sides[0])):
        return f"region and system prompt cannot be separated in arm {claim.arms[0]!r}: {prompts}"
    if (rows["temperature"] == 0).any():
        return _greedy(sides[0])
    questions = rows["question"].nunique()
    if claim.population == Population.LIKE_THESE and questions < FEWEST_QUESTIONS:
        return f"too few questions: {questions}; questions like these need {FEWEST_QUESTIONS}, better 20"
    return None


def _prompts_differ(sides: Sides) -> str | None:
    """A region's prompt is part of `regional`: whatever differs there may be the prompt."""
    a, b = (set(side["system_prompt"].dropna()) for side in sides)
    return "each region has its own" if a and b and a != b else None


def _greedy(sides: Sides) -> str:
    """Greedy answers to fixed questions are facts, not draws: they are counted."""
    each = [side.dropna(subset=["answer"]).groupby("question")["answer"].first() for side in sides]
    both = pd.concat(each, axis=1, join="inner")
    flips_ = int((both.iloc[:, 0] != both.iloc[:, 1]).sum())
    return f"greedy answers are facts about these questions: {flips_} of {len(both)} differ, and no p exists"


def _within_calls(claim: Claim, sides: Sides, settings: Settings) -> Result:
    if claim.population == Population.LIKE_THESE:
        each = cell_differences(sides).mean(axis=0).to_numpy()
        if len(each) < FEWEST_QUESTIONS:
            return Unanswerable(f"too few questions with answers on both sides: {len(each)}")
        return _never_narrower(population.over_questions(each, settings.level), sides, settings.level)
    counts = strata(sides)
    if not len(counts[0]):
        return Unanswerable("no question has answers of both sides in one block")
    if len(counts[0]) == 1:
        x, n, y, m = (int(column[0]) for column in counts)
        return arms.one_cell(x, n, y, m, settings.level)
    return arms.stratified(*counts, level=settings.level)


def _between_calls(claim: Claim, sides: Sequence[Sides], settings: Settings) -> Result:
    """Rates of two deployments or models, or of an interaction: blocks are flipped."""
    each = cell_differences(sides[0])
    if len(sides) > 1:
        each = (each - cell_differences(sides[1])).dropna(how="all").dropna(axis=1, how="all")
    if few := _too_few_blocks(len(each)):
        return Unanswerable(few)
    if claim.population == Population.LIKE_THESE:
        matrix = without_holes(each)
        if len(matrix) < FEWEST_QUESTIONS:
            return Unanswerable(f"too few questions with answers on both sides: {len(matrix)}")
        estimate = population.over_questions_and_blocks(matrix, settings.level)
    else:
        by_block = each.mean(axis=1).to_numpy()
        estimate = flips.sign_flips(by_block, settings.level, settings.seed)
    return _never_narrower(estimate, sides[0], settings.level)


def _too_few_blocks(blocks: int) -> str | None:
    if blocks == 0:
        return "no block has answers on both sides"
    if blocks == 1:
        return "one call a side: a deployment cannot be separated from a call"
    if blocks < FEWEST_BLOCKS:
        return (
            f"{blocks} blocks: no p below {flips.smallest_p(blocks):.3f} exists, {FEWEST_BLOCKS} are needed"
        )
    return None


def _never_narrower(estimate: Estimate, sides: Sides, level: float) -> Estimate:
    """Where all units agree their spread is nothing: then the answers' own number sets the width."""
    if estimate.high - estimate.low > 1e-9:
        return estimate
    columns = [side["value"].dropna() for side in sides]
    a, b = ((float(column.sum()), len(column)) for column in columns)
    wide, narrow = newcombe(*a, *b, level=level), newcombe(*a, *b, level=2 * level - 1)
    return estimate.widened(wide, narrow)


def by_people(sides: Sides, settings: Settings) -> Result:
    """Rates whose labels err differently on the sides: people's labels set them right."""
    if not has_people(sides):
        return Unanswerable("no labels by people: the labeller's errors may differ between the sides")
    questions = sides.both["question"].nunique()
    if questions < FEWEST_QUESTIONS:
        return Unanswerable(f"too few questions to cluster by: {questions} of {FEWEST_QUESTIONS}")
    return predictions.prediction_powered(*_labelled_sides(sides), settings.level)


def rates_by_people(sides: Sides) -> tuple[float, float]:
    """The true rates of both sides as people's labels give them."""
    a, b = (predictions.corrected_rate(side) for side in _labelled_sides(sides))
    return a, b


def _labelled_sides(sides: Sides) -> tuple[predictions.Side, predictions.Side]:
    codes = {name: i for i, name in enumerate(sorted(set(sides.both["question"])))}
    a, b = (_labelled(side, codes) for side in sides)
    return a, b


def _labelled(side: pd.DataFrame, questions: dict[str, int]) -> predictions.Side:
    rows = side.dropna(subset=["value"])
    # Answers were drawn by what the rules say of them; another labeller divides further.
    stratum = rows.groupby(["by_rules", "predicted"], dropna=False).ngroup()
    question = rows["question"].map(questions)
    columns = question, stratum, rows["value"], rows["by_people"]
    return predictions.Side(*(np.asarray(column, dtype=np.float64) for column in columns))


def _texts(claim: Claim, sides: Sides, settings: Settings) -> Result:
    if claim.contrast == Contrast.INTERACTION:
        return Unanswerable(
            "an interaction of similarities is not defined: claim each region's prompt effect"
        )
    groups = _groups(sides, settings.characters)
    if not groups:
        return Unanswerable("no question has at least two answers on each side")
    if claim.contrast == Contrast.PROMPT:
        if claim.population == Population.LIKE_THESE:
            return _texts_over_questions(groups, settings.level)
        return similarity.within_strata(groups, settings.level, settings.seed)
    blocks = len(set(np.concatenate([group.block for group in groups])))
    if few := _too_few_blocks(blocks):
        return Unanswerable(few)
    if claim.population == Population.LIKE_THESE:
        return Unanswerable("similarity between deployments is tested for these questions only")
    return similarity.over_blocks(groups, settings.level, settings.seed)


def _texts_over_questions(groups: Sequence[similarity.Group], level: float) -> Result:
    if len(groups) < FEWEST_QUESTIONS:
        return Unanswerable(f"too few questions with texts on both sides: {len(groups)}")
    apart = [
        similarity.discrepancy(group.kernel, group.of_a, ~np.eye(len(group.of_a), dtype=bool))
        for group in groups
    ]
    return population.over_questions(np.array(apart), level)


def _groups(sides: Sides, characters: int) -> list[similarity.Group]:
    groups = []
    for _, mine in sides.marked.dropna(subset=["text"]).groupby("question", sort=True):
        of_a = mine["of_a"].to_numpy(dtype=bool)
        if min(of_a.sum(), (~of_a).sum()) < 2:
            continue
        kernel = similarity.similarity(mine["text"].tolist(), characters)
        groups.append(similarity.Group(kernel, of_a, mine["unit"].to_numpy(dtype=int)))
    return groups


def _computation(sides: Sides, settings: Settings) -> Result:
    rows = sides.marked
    rows = rows[known(rows) & ~rows["out_of_block"].to_numpy(dtype=bool)]
    outputs = rows["output_token_sha256"].fillna(rows["answer"])
    keys = [rows[name] for name in ("question", "sample", "seed")]
    calls = outputs.groupby([rows["of_a"], rows["unit"], *keys], dropna=False).first().unstack([2, 3, 4])
    of_a = calls.index.get_level_values(0).to_numpy(dtype=bool)
    shared = calls.loc[:, (calls[of_a].notna().sum() > 1) & (calls[~of_a].notna().sum() > 1)]
    fewest = min(of_a.sum(), (~of_a).sum())
    if fewest == 1:
        return Unanswerable("one call a side: calls of one deployment may differ as well")
    if fewest < FEWEST_CALLS or shared.empty:
        return Unanswerable(f"{fewest} calls a side with the same probes: {FEWEST_CALLS} are needed")
    outputs_of_calls = shared.astype(object).where(shared.notna(), None).to_numpy()
    return probes.same_computation(outputs_of_calls, of_a, settings.level, settings.seed)
