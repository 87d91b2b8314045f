"""Questions as a sample of questions: the mean difference over questions that one might have asked."""

from __future__ import annotations

import numpy as np
from scipy import stats

from beacon_pipeline.findings.statistics.estimate import Estimate, Numbers, ends_around
from beacon_pipeline.findings.statistics.flips import smallest_p


def over_questions(differences: Numbers, level: float = 0.95) -> Estimate:
    """Student's t over one difference for each question."""
    count = len(differences)
    spread = float(differences.std(ddof=1) / np.sqrt(count))
    mean = float(differences.mean())
    return _from_t(mean, spread, count - 1, level, count, count, "t over questions")


def over_questions_and_blocks(differences: Numbers, level: float = 0.95) -> Estimate:
    """The same where a whole call shifts all its answers: questions × blocks, both drawn from many.

    The variance of the mean is the questions' part plus the blocks' part, less what both count: the
    residual (two crossed random factors). Degrees of freedom by Satterthwaite. Raises ValueError for holes.
    """
    if np.isnan(differences).any():
        raise ValueError("a question lacks answers in a block")
    questions, blocks = differences.shape
    mean = float(differences.mean())
    by_question, by_block = differences.mean(axis=1), differences.mean(axis=0)
    residual = differences - by_question[:, None] - by_block[None, :] + mean
    part_q = float(by_question.var(ddof=1)) / questions
    part_b = float(by_block.var(ddof=1)) / blocks
    both = float((residual**2).sum()) / ((questions - 1) * (blocks - 1)) / (questions * blocks)
    if min(part_q, part_b) > both:
        variance = part_q + part_b - both
        freedom = variance**2 / (part_q**2 / (questions - 1) + part_b**2 / (blocks - 1))
    else:  # one of the factors shows no variance of its own: the other carries it all
        variance, freedom = max((part_q, questions - 1.0), (part_b, blocks - 1.0))
    test = "t over questions and blocks"
    fewer = min(questions, blocks)
    return _from_t(mean, float(np.sqrt(variance)), freedom, level, questions, fewer, test)


def _from_t(
    mean: float, spread: float, freedom: float, level: float, questions: int, units: int, test: str
) -> Estimate:
    """No p is below what sign flips over as many units could give: t alone trusts six equal values fully."""
    (low, high), narrow = ends_around(mean, spread, level, stats.t(freedom).isf)
    least = smallest_p(units)
    p = float(2 * stats.t.sf(abs(mean) / spread, freedom)) if spread > 0 else float(mean == 0)
    return Estimate(
        effect=mean,
        low=low,
        high=high,
        narrow=narrow,
        level=level,
        p=max(p, least),
        smallest_p=least,
        unit="question",
        units=questions,
        test=test,
    )
