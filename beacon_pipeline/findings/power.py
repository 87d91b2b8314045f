"""Before anything is asked: which claims could be found under a plan, how likely, and which never.

Closed forms, no draws. The assumptions are the study's own (a base rate, how much calls differ) and the two
below; they are stated with every figure. Nothing here looks at answers: power after the fact says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import comb, exp, log, sqrt

from scipy import stats

from beacon_pipeline.catalog.study import (
    ERRORS_DIFFER,
    FEWEST_QUESTIONS,
    WITHIN_A_CALL,
    Claim,
    Contrast,
    Outcome,
    Population,
    Study,
)
from beacon_pipeline.findings.contrasts import FEWEST_BLOCKS, FEWEST_CALLS
from beacon_pipeline.findings.outcomes import JUDGED, PEOPLE
from beacon_pipeline.findings.statistics import flips, probes
from beacon_pipeline.findings.statistics.multiplicity import holm
from beacon_pipeline.ledger.records import REGIONAL_ARM

EFFECTS = (0.1, 0.2, 0.3)
QUESTION_SPREAD = 0.15  # sd of a difference between questions, for "questions like these"
LABELS_A_SIDE = 100  # by people, where a claim needs them


@dataclass(frozen=True)
class ClaimPower:
    """``smallest_p`` is after correction: above ``level`` the claim can never be found; ``why_not`` says so.

    ``power``: by effect, at the level that Holm's first step and the looks leave; empty where the effect is
    not a difference of rates. Under ``base_rate`` on one side, calls that differ by ``call_effect`` logits.
    """

    claim: str
    level: float
    smallest_p: float
    why_not: str | None
    power: Mapping[float, float]
    base_rate: float
    call_effect: float

    @property
    def reachable(self) -> bool:
        return self.why_not is None


def power_of(study: Study) -> list[ClaimPower]:
    """The power of each planned claim after the last look, in the study's order."""
    obstacles = [_obstacle(study, claim) for claim in study.claims]
    least = [
        1.0 if obstacle else _smallest_p(study, claim)
        for claim, obstacle in zip(study.claims, obstacles, strict=True)
    ]
    corrected = holm(least, len(study.looks))
    rows = zip(study.claims, obstacles, least, corrected, strict=True)
    return [_power(study, claim, obstacle, p, adjusted or 0.0) for claim, obstacle, p, adjusted in rows]


def chance_of(study: Study, claim: Claim, effect: float) -> float | None:
    """The chance that a claim of the study is found if its effect is this; None where no formula gives it."""
    if not _is_rate(claim):
        return None
    if _obstacle(study, claim) is not None:
        return 0.0
    alpha = max(claim.level / len(study.looks) / len(study.claims), _smallest_p(study, claim))
    return _chance(study, claim, effect, alpha)


def answers_that_decide(delta: float, base_rate: float, level: float = 0.05, power: float = 0.9) -> int:
    """Answers a side for the verdict *no difference* with this power, if there is no difference."""
    z = float(stats.norm.isf(level) + stats.norm.isf((1 - power) / 2))
    return round(z**2 * 2 * base_rate * (1 - base_rate) / delta**2)


def _power(study: Study, claim: Claim, obstacle: str | None, least: float, adjusted: float) -> ClaimPower:
    why_not = obstacle
    if why_not is None and adjusted > claim.level:
        why_not = (
            f"the smallest p is {least:.3g}, and {adjusted:.3g} after correction for "
            f"{len(study.claims)} claims and {len(study.looks)} looks"
        )
    alpha = max(claim.level / len(study.looks) / len(study.claims), least)
    return ClaimPower(
        claim=claim.id,
        level=claim.level,
        smallest_p=adjusted,
        why_not=why_not,
        power={
            effect: 0.0 if why_not else _chance(study, claim, effect, alpha)
            for effect in (EFFECTS if _is_rate(claim) else ())
        },
        base_rate=study.assumptions.base_rate,
        call_effect=study.assumptions.call_effect,
    )


def _is_rate(claim: Claim) -> bool:
    return claim.outcome != Outcome.TEXT and claim.contrast != Contrast.COMPUTATION


def _obstacle(study: Study, claim: Claim) -> str | None:
    """What in the plan keeps a claim from ever being answered."""
    if claim.contrast == Contrast.COMPUTATION:
        return _of_probes(study)
    if study.parameters.temperature == 0:
        return "greedy answers are facts: no p exists for them; use probes, or a temperature"
    if claim.contrast == Contrast.DEPLOYMENT and claim.arms == (REGIONAL_ARM,):
        return "each region has its own prompt in arm regional: deployment and prompt cannot be separated"
    questions = _questions(study, claim)
    needs_questions = claim.population == Population.LIKE_THESE or _by_people(study, claim)
    if needs_questions and questions < FEWEST_QUESTIONS:
        return f"too few questions: {questions}, {FEWEST_QUESTIONS} are needed, better 20"
    across = claim.contrast in (Contrast.MODELS, Contrast.LANGUAGES)
    if across and claim.outcome in JUDGED and not _by_people(study, claim):
        return (
            f"labels' errors differ between {claim.contrast.value}: it needs labels by people, and the study "
            "has none"
        )
    if _by_blocks(study, claim) and study.blocks < FEWEST_BLOCKS:
        return _blocks(study.blocks)
    return _of_texts(study, claim) if claim.outcome == Outcome.TEXT else None


def _blocks(blocks: int) -> str:
    if blocks == 1:
        return "one call a side: a deployment cannot be separated from a call"
    return f"{blocks} blocks: no p below {flips.smallest_p(blocks):.3g} exists, {FEWEST_BLOCKS} are needed"


def _of_probes(study: Study) -> str | None:
    if not study.probes.greedy:
        return "no greedy probes: nothing is equal between the calls of one region"
    if study.blocks < FEWEST_CALLS:
        return f"{study.blocks} calls a side: {FEWEST_CALLS} are needed"
    return None


def _of_texts(study: Study, claim: Claim) -> str | None:
    if claim.contrast == Contrast.INTERACTION:
        return "an interaction of similarities is not defined: claim each region's prompt effect"
    if claim.population == Population.LIKE_THESE and claim.contrast != Contrast.PROMPT:
        return "similarity between deployments is tested for these questions only"
    if claim.contrast == Contrast.PROMPT and study.samples * study.blocks < 2:
        return "similarity within an arm needs at least two answers of it"
    return None


def _by_people(study: Study, claim: Claim) -> bool:
    has = any(labeller.method == PEOPLE for labeller in study.labellers)
    return has and claim.outcome in JUDGED and claim.contrast in ERRORS_DIFFER


def _by_blocks(study: Study, claim: Claim) -> bool:
    return claim.contrast not in WITHIN_A_CALL and not _by_people(study, claim)


def _questions(study: Study, claim: Claim) -> int:
    """How many questions carry a claim: of two languages, those that are asked in both."""
    return len(claim.pairs) or len(study.questions)


def _smallest_p(study: Study, claim: Claim) -> float:
    questions, blocks = _questions(study, claim), study.blocks
    if claim.contrast == Contrast.COMPUTATION:
        return probes.smallest_p(blocks, blocks)
    if _by_people(study, claim):
        return 0.0
    like = claim.population == Population.LIKE_THESE
    if claim.contrast in WITHIN_A_CALL:
        if like:
            return flips.smallest_p(questions)
        # A stratum's events all on one side, in every stratum alike: two ways among all there are.
        ways = questions * blocks * log(comb(2 * study.samples, study.samples))
        return 2 * exp(-min(ways, 600.0))
    return flips.smallest_p(min(questions, blocks) if like else blocks)


def _chance(study: Study, claim: Claim, effect: float, alpha: float) -> float:
    """The chance to find this effect: Student's t with the unit's own variance, two-sided."""
    base, calls = study.assumptions.base_rate, study.assumptions.call_effect
    other = base + effect if base + effect < 1 else base - effect
    if not 0 < other < 1:
        return 1.0
    questions, blocks, samples = _questions(study, claim), study.blocks, study.samples
    spreads = base * (1 - base), other * (1 - other)
    of_samples = sum(spreads) / (questions * samples * blocks)
    of_calls = sum((calls * spread) ** 2 for spread in spreads) / blocks
    like = claim.population == Population.LIKE_THESE
    of_questions = QUESTION_SPREAD**2 / questions if like else 0.0
    if _by_people(study, claim):
        return _t_power(
            effect, sum(spreads) / LABELS_A_SIDE + QUESTION_SPREAD**2 / questions, questions, alpha
        )
    if claim.contrast in WITHIN_A_CALL:
        units = questions if like else 10**6
        return _t_power(effect, of_samples + of_questions, units, alpha)
    times = 2 if claim.contrast == Contrast.INTERACTION else 1
    # Both arms of a call share what it did: an interaction is free of it.
    of_calls = 0.0 if claim.contrast == Contrast.INTERACTION else of_calls
    variance = times * of_samples + of_calls + of_questions
    return _t_power(effect, variance, min(questions, blocks) if like else blocks, alpha)


def _t_power(effect: float, variance: float, units: int, alpha: float) -> float:
    freedom, shift = units - 1, effect / sqrt(variance)
    limit = float(stats.t.isf(alpha / 2, freedom))
    return round(float(stats.nct.sf(limit, freedom, min(shift, 35.0))), 3)
