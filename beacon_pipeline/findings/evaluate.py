"""From a study's answers to its findings: each claim measured, held against its losses, and corrected."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from beacon_pipeline.catalog.study import ERRORS_DIFFER, Claim, Contrast, Outcome, Population, Study
from beacon_pipeline.findings.attribution import attribution
from beacon_pipeline.findings.contrasts import (
    Result,
    Settings,
    Unanswerable,
    has_people,
    measured,
    rates_by_people,
)
from beacon_pipeline.findings.elsewhere import Elsewhere, elsewhere
from beacon_pipeline.findings.finding import Finding, Qualifier, Verdict
from beacon_pipeline.findings.outcomes import (
    JUDGED,
    counted,
    counting_labeller,
    decoding_of,
    filled,
    known,
    labelled_by,
    named,
    sampled,
    unit_of,
    with_labels,
)
from beacon_pipeline.findings.power import answers_that_decide
from beacon_pipeline.findings.sides import Sides, sides_of
from beacon_pipeline.findings.statistics import predictions
from beacon_pipeline.findings.statistics.estimate import Estimate
from beacon_pipeline.findings.statistics.multiplicity import benjamini_hochberg, holm
from beacon_pipeline.findings.versions import of_ended_looks, older_answers, own_answers


@dataclass(frozen=True)
class Measured:
    """A claim with its estimate, as seen and under both extremes of what is lost; ``version`` asked for the
    answers."""

    claim: Claim
    version: int
    planned: bool
    sides: tuple[Sides, ...]
    settings: Settings
    result: Result
    extremes: tuple[Result, ...]
    elsewhere: Elsewhere | None = None


def evaluate(study: Study, frame: pd.DataFrame, labels: pd.DataFrame | None = None) -> list[Finding]:
    """A finding for each claim of the study, planned ones first, then the exploratory.

    ``frame``: answers as `frames.answers` gives them; those of looks under way and of other studies are left
    out: nothing is found before a look has ended. ``labels``: as `frames.labels` gives them. Planned
    claims are corrected by Holm and for the looks that were planned. Without a registration, or with a number
    of blocks that is no planned look, all are exploratory: corrected by Benjamini and Hochberg. So is what
    the answers of older versions say of the claims, which come last, named ``claim@version``.
    """
    ended = of_ended_looks(frame)
    own = own_answers(study, ended)
    claims = (*study.claims, *study.exploratory)
    found = []
    if not own.empty:
        on_plan, of_own = _on_plan(study, own), _Answers.of(study, own, labels, study.version)
        found = [_measure(study, of_own, claim, on_plan and claim.planned) for claim in claims]
    for version, older in older_answers(study, ended):
        of_older = _Answers.of(study, older, labels, version)
        measured_again = (_measure(study, of_older, claim, False) for claim in claims)
        found += [one for one in measured_again if not _one_sided(one)]
    confirmed = [one for one in found if one.planned]
    explored = [one for one in found if not one.planned]
    looks = len(study.looks)
    adjusted = dict(zip(map(_key, confirmed), holm(_ps(confirmed), looks), strict=True))
    for version in {one.version for one in explored}:  # each version's answers are a screening of their own
        mine = [one for one in explored if one.version == version]
        adjusted |= dict(zip(map(_key, mine), benjamini_hochberg(_ps(mine)), strict=True))
    reachable = dict(zip(map(_key, confirmed), holm(_ps(confirmed, least=True), looks), strict=True))
    return [_finding(study, one, adjusted[_key(one)], reachable.get(_key(one))) for one in found]


# Under two prompts a labeller may err differently: what its known errors explain is not the prompt's doing.
BY_ERRORS_ALONE = "with the labeller's errors as measured elsewhere none is left: people's labels decide"


@dataclass(frozen=True)
class _Answers:
    """The answers of a version: those of the sampling stream, with labels, and the probes."""

    version: int
    sampled: pd.DataFrame
    probes: pd.DataFrame

    @classmethod
    def of(cls, study: Study, frame: pd.DataFrame, labels: pd.DataFrame | None, version: int) -> _Answers:
        probes = frame[frame["probe"].to_numpy(dtype=bool)]
        return cls(
            version,
            with_labels(sampled(frame), labels, study.labellers),
            probes.assign(unit=unit_of(frame)[probes.index]),
        )


def seed_of(study: Study, claim: Claim) -> int:
    """The seed of a claim's random draws: of its names alone, so that whoever computes it again gets it."""
    name = f"{study.id}/{study.version}/{claim.id}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")


def _on_plan(study: Study, own: pd.DataFrame) -> bool:
    """Whether the study is on record, and its answers are all those of a planned look."""
    return study.registered is not None and int(unit_of(own).nunique()) in np.cumsum(study.looks)


def _measure(study: Study, answers: _Answers, claim: Claim, planned: bool) -> Measured:
    looks = len(study.looks) if planned else 1
    version = answers.version
    settings = Settings(1 - claim.level / looks, seed_of(study, claim), study.texts.characters)
    if claim.contrast == Contrast.COMPUTATION:
        sides = sides_of(claim, answers.probes)
        return Measured(claim, version, planned, sides, settings, measured(claim, sides, settings), ())
    chosen = sides_of(claim, answers.sampled)
    sides = tuple(pair.changed(partial(counted, outcome=str(claim.outcome))) for pair in chosen)
    unlabelled = _unlabelled(study, claim, sides)
    result = Unanswerable(unlabelled) if unlabelled else measured(claim, sides, settings)
    extremes: tuple[Result, ...] = ()
    if any(side["value"].isna().any() for pair in sides for side in pair):
        extremes = tuple(
            measured(claim, [pair.changed(partial(filled, alike=alike)) for pair in sides], settings)
            for alike in (True, False)
        )
    errors = elsewhere(study, claim, sides[0], settings.level)
    return Measured(claim, version, planned, sides, settings, result, extremes, errors)


def _unlabelled(study: Study, claim: Claim, sides: Sequence[Sides]) -> str | None:
    """Why there is nothing to count, where the labeller that the study names labelled a whole side not."""
    if claim.outcome not in JUDGED:
        return None
    if not any(known(side).any() and side["value"].isna().all() for pair in sides for side in pair):
        return None
    by = counting_labeller(study.labellers)
    version = f", version {by.version}," if by.version else ""
    return f"a side has no labels by {named(by)}{version} by whom the study counts: `beacon label` makes them"


def _key(one: Measured) -> tuple[str, bool, int]:
    return one.claim.id, one.claim.planned, one.version


def _one_sided(one: Measured) -> bool:
    """Whether some side has nothing at all: not asked in that version."""
    return any(side.empty for pair in one.sides for side in pair)


def _ps(measured_claims: Sequence[Measured], least: bool = False) -> list[float | None]:
    results = [one.result for one in measured_claims]
    return [
        None if isinstance(result, Unanswerable) else result.smallest_p if least else result.p
        for result in results
    ]


def verdict(claim: Claim, result: Result, p_adjusted: float | None) -> Verdict:
    """What an estimate and its corrected p say of a claim."""
    if isinstance(result, Unanswerable):
        return Verdict.NOT_ANSWERABLE
    if p_adjusted is not None and p_adjusted <= claim.level + 1e-12:
        return Verdict.DIFFERS
    if _within(claim, result):
        return Verdict.NO_DIFFERENCE
    return Verdict.INCONCLUSIVE


def _finding(study: Study, one: Measured, p_adjusted: float | None, reachable: float | None) -> Finding:
    """The verdict as seen; then what takes it away: what no p could show, the labeller, what was lost."""
    claim, result = one.claim, one.result
    found = verdict(claim, result, p_adjusted)
    reason = result.reason if isinstance(result, Unanswerable) else None
    qualifiers = [*_standing(study, one), *_of_answers(one)]
    if isinstance(result, Estimate):
        found, reason = _limits(study, one, result, found, reachable)
        if found == Verdict.DIFFERS and _within(claim, result):
            qualifiers.append(Qualifier.WITHIN_DELTA)
        turned = _turned(one, result, found, p_adjusted)
        if found == Verdict.DIFFERS and one.elsewhere and one.elsewhere.turns(result.effect):
            qualifiers.append(Qualifier.DEPENDS_ON_ERRORS)
        if turned:
            qualifiers.append(Qualifier.DEPENDS_ON_LOST_ANSWERS)
            if found != Verdict.INCONCLUSIVE:
                found, reason = Verdict.NOT_ANSWERABLE, f"{turned}; as seen: {found}"
        elif {Qualifier.ERRORS_MAY_DIFFER, Qualifier.DEPENDS_ON_ERRORS} <= set(qualifiers):
            found, reason = Verdict.NOT_ANSWERABLE, f"{BY_ERRORS_ALONE}; as seen: {found}"
    return _written(study, one, p_adjusted, found, tuple(qualifiers), reason)


def _limits(
    study: Study, one: Measured, result: Estimate, found: Verdict, reachable: float | None
) -> tuple[Verdict, str | None]:
    claim = one.claim
    if reason := _weak_labeller(one):
        return Verdict.NOT_ANSWERABLE, reason
    if found == Verdict.INCONCLUSIVE:
        if reachable is not None and reachable > claim.level:
            return Verdict.NOT_ANSWERABLE, (
                f"{result.units} {result.unit}s: no p below {reachable:.3f} exists after correction for "
                f"{len(study.claims)} claims and {len(study.looks)} looks"
            )
        return found, _what_decides(study, claim)
    return found, None


def _what_decides(study: Study, claim: Claim) -> str | None:
    if claim.delta is None or claim.outcome == Outcome.TEXT or claim.contrast == Contrast.COMPUTATION:
        return None
    needed = answers_that_decide(claim.delta, study.assumptions.base_rate, claim.level)
    return f"about {needed} answers a side would decide, under the study's assumptions"


def _weak_labeller(one: Measured) -> str | None:
    """People's labels, where there are any, show whether the labeller's measure anything."""
    if one.claim.contrast == Contrast.COMPUTATION or one.claim.outcome not in JUDGED or _uses_people(one):
        return None
    if one.elsewhere and one.elsewhere.too_weak:
        return one.elsewhere.too_weak
    rows = pd.concat([pair.both for pair in one.sides]).dropna(subset=["value"])
    informed = predictions.informedness(rows["value"].to_numpy(), rows["by_people"].to_numpy())
    if informed is None or informed >= predictions.LEAST_INFORMED:
        return None
    return f"not measurable by this labeller: sensitivity + specificity − 1 is {informed:.2f}"


def _uses_people(one: Measured) -> bool:
    across = one.claim.contrast in ERRORS_DIFFER
    return across and one.claim.outcome in JUDGED and has_people(one.sides[0])


def _within(claim: Claim, result: Estimate) -> bool:
    return claim.delta is not None and -claim.delta < result.narrow[0] and result.narrow[1] < claim.delta


def _turned(one: Measured, result: Estimate, found: Verdict, p_adjusted: float | None) -> str | None:
    """Which reading of the lost answers changes the verdict; the correction stays what it was."""
    factor = (p_adjusted or result.p) / result.p if result.p > 0 else 1.0
    for name, other in zip(("the outcome", "none of it"), one.extremes, strict=False):
        p = None if isinstance(other, Unanswerable) else min(1.0, other.p * factor)
        opposite = isinstance(other, Estimate) and other.effect * result.effect < 0
        changed = verdict(one.claim, other, p) != found or (found == Verdict.DIFFERS and opposite)
        if changed and found != Verdict.NOT_ANSWERABLE:
            return f"with all lost answers taken as {name} the verdict is another"
    return None


def _standing(study: Study, one: Measured) -> list[Qualifier]:
    claim = one.claim
    like = claim.population == Population.LIKE_THESE
    found = [Qualifier.LIKE_THESE if like else Qualifier.THESE_QUESTIONS]
    found.append(Qualifier.PLANNED if one.planned else Qualifier.EXPLORATORY)
    if one.version != study.version:
        found.append(Qualifier.OLDER_ANSWERS)
    elif study.registered is not None:
        outside = study.registered == "outside"
        found.append(Qualifier.REGISTERED_OUTSIDE if outside else Qualifier.SELF_REGISTERED)
    return found


def _of_answers(one: Measured) -> list[Qualifier]:
    claim = one.claim
    rows = pd.concat([pair.both for pair in one.sides])
    found = []
    if claim.contrast != Contrast.COMPUTATION and claim.outcome in JUDGED and not _uses_people(one):
        found.append(Qualifier.LABEL_RATE)
        if claim.contrast == Contrast.PROMPT:
            found.append(Qualifier.ERRORS_MAY_DIFFER)
    if claim.outcome == Outcome.TEXT and claim.contrast != Contrast.COMPUTATION:
        lengths = rows["answer"].dropna().str.len()
        if (lengths > one.settings.characters).any():
            found.append(Qualifier.TEXTS_CUT)
    if (rows["finish_reason"] == "length").any():
        found.append(Qualifier.LENGTH_LIMIT)
    if rows["out_of_block"].any():
        found.append(Qualifier.OUT_OF_BLOCK)
    return found


def _written(
    study: Study,
    one: Measured,
    p_adjusted: float | None,
    found: Verdict,
    qualifiers: tuple[Qualifier, ...],
    reason: str | None,
) -> Finding:
    claim, pair = one.claim, one.sides[0]
    estimate = one.result if isinstance(one.result, Estimate) else None
    (n_a, lost_a), (n_b, lost_b) = (_sizes(claim, side) for side in pair)
    rate_a, rate_b = _rates(one) if estimate else (None, None)
    cause = attribution(claim, pair, one.settings.seed) if found == Verdict.DIFFERS else None
    rows = pd.concat([pair.both for pair in one.sides])
    return Finding(
        study=study.id,
        version=study.version,
        claim=claim.id if one.version == study.version else f"{claim.id}@{one.version}",
        contrast=str(claim.contrast),
        outcome=str(claim.outcome),
        model=claim.model,
        sides=_names(one),
        population=str(claim.population),
        units=f"{estimate.units} {estimate.unit}s" if estimate else "",
        n_a=n_a,
        n_b=n_b,
        missing_a=lost_a,
        missing_b=lost_b,
        rate_a=rate_a,
        rate_b=rate_b,
        effect=estimate.effect if estimate else None,
        low=estimate.low if estimate else None,
        high=estimate.high if estimate else None,
        interval_level=one.settings.level,
        p=estimate.p if estimate else None,
        p_adjusted=p_adjusted,
        verdict=found,
        qualifiers=qualifiers,
        attribution=cause,
        reason=reason,
        test=estimate.test if estimate else None,
        seed=one.settings.seed,
        decoding=decoding_of(rows),
        labels=_labels(study, one, rows),
        elsewhere=one.elsewhere.sentence() if one.elsewhere else None,
    )


def _labels(study: Study, one: Measured, rows: pd.DataFrame) -> str:
    if one.claim.contrast == Contrast.COMPUTATION or one.claim.outcome not in JUDGED:
        return ""
    return labelled_by(rows, study.labellers) + (", set right by people's" if _uses_people(one) else "")


def _names(one: Measured) -> tuple[str, str]:
    if len(one.sides) == 1:
        return one.sides[0].names
    a, b = (" less ".join(pair.names) for pair in one.sides)
    return a, b


def _sizes(claim: Claim, side: pd.DataFrame) -> tuple[int, int]:
    whole = side["status"] == "completed" if claim.contrast == Contrast.COMPUTATION else side["value"].notna()
    return int(whole.sum()), int((~whole).sum())


def _rates(one: Measured) -> tuple[float | None, float | None]:
    if one.claim.outcome == Outcome.TEXT or one.claim.contrast in (
        Contrast.COMPUTATION,
        Contrast.INTERACTION,
    ):
        return None, None
    if not _uses_people(one):
        a, b = (float(side["value"].mean()) for side in one.sides[0])
        return a, b
    return rates_by_people(one.sides[0])
