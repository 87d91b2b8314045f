"""Which claims a study can make: the shape of each contrast, and the short forms written out. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, product
from typing import Any

from beacon_pipeline.catalog.study import (
    Claim,
    Contrast,
    Outcome,
    Study,
    judged_by,
)
from beacon_pipeline.ledger.records import REGIONAL_ARM

# How many models, regions and arms a claim of each contrast is about.
SHAPES: Mapping[Contrast, tuple[int, int, int]] = {
    Contrast.PROMPT: (1, 1, 2),
    Contrast.DEPLOYMENT: (1, 2, 1),
    Contrast.INTERACTION: (1, 2, 2),
    Contrast.MODELS: (2, 1, 1),
    Contrast.LANGUAGES: (1, 1, 1),
    Contrast.COMPUTATION: (1, 2, 0),
}


# In which language a question is, and of which it is the translation: its own, where it is of none.
Languages = Mapping[str, tuple[str, str]]
PLANNED_CORRECTION, EXPLORED_CORRECTION = "holm", "benjamini-hochberg"  # `findings/evaluate.py` applies them


class ClaimError(ValueError):
    """A claim that the study cannot make; ``at`` is the key of the claim that is wrong."""

    def __init__(self, at: tuple[str, ...], text: str) -> None:
        super().__init__(text)
        self.at = at


def expanded(written: Mapping[str, Any], study: Study, *, planned: bool, languages: Languages) -> list[Claim]:
    """The claims that one in a file stands for. ``written`` are the fields of `ClaimInFile`.

    Raises ClaimError.
    """
    contrast = Contrast(written["contrast"])
    n_models, n_regions, n_arms = SHAPES[contrast]
    outcome, population = _outcome(contrast, written["outcome"]), written["population"]
    models = _groups("models", written["models"], study.models, n_models)
    regions = _groups("regions", written["regions"], study.regions, n_regions)
    arms = _arms(contrast, written["arms"], study, n_arms)
    spoken, pairs = _translated(contrast, written["languages"], study, languages)
    test = _test(contrast, outcome, population, written["test"])
    _check_correction(planned, written["correction"])
    claims = []
    for asked, places in product(models, regions):
        _check_prompts(contrast, arms, places, study)
        claims.append(
            Claim(
                id=_id(written, asked, places, (len(models) > 1, len(regions) > 1)),
                contrast=contrast,
                outcome=outcome,
                model=asked[0],
                other_model=asked[1] if len(asked) > 1 else None,
                regions=places,
                arms=arms,
                population=population,
                delta=written["delta"],
                level=written["level"],
                planned=planned,
                test=test,
                languages=spoken,
                pairs=pairs,
            )
        )
    return claims


def _id(
    written: Mapping[str, Any], models: Sequence[str], regions: Sequence[str], several: tuple[bool, bool]
) -> str:
    """A claim that stands for ``several`` gets behind its name what distinguishes it from the others."""
    parts: list[str] = [written["id"]]
    parts += ["-".join(models)] if several[0] else []
    parts += ["-".join(regions)] if several[1] else []
    return ".".join(parts)


def _groups(key: str, given: Sequence[str] | None, known: Sequence[str], size: int) -> list[tuple[str, ...]]:
    """The models or regions of each claim: given ones in their order, or every one or pair of several."""
    names = list(known if given is None else given)
    for name in names:
        if name not in known:
            raise ClaimError((key,), f"{name!r} is not among the study's {key}: {', '.join(known)}")
        if names.count(name) > 1:
            raise ClaimError((key,), f"{name!r} is given twice")
    if len(names) < size:
        raise ClaimError((key,), f"needs {size} {key}, and there is {len(names)}")
    return list(combinations(names, size))


def _arms(contrast: Contrast, given: Sequence[str] | None, study: Study, size: int) -> tuple[str, ...]:
    arms = tuple(given or ())
    if len(arms) != size:
        wanted = "no 'arms': it is about the probes" if size == 0 else f"{size} of the study's arms"
        raise ClaimError(("arms",), f"contrast {contrast.value!r} takes {wanted}")
    for arm in arms:
        if arm not in study.arms:
            raise ClaimError(("arms",), f"{arm!r} is not among the study's arms: {', '.join(study.arms)}")
    if len(set(arms)) < len(arms):
        raise ClaimError(("arms",), f"{arms[0]!r} is given twice")
    if REGIONAL_ARM in arms and contrast in (Contrast.DEPLOYMENT, Contrast.INTERACTION):
        raise ClaimError(
            ("arms",),
            f"in arm {REGIONAL_ARM!r} every region has another prompt, so that prompt and deployment cannot "
            "be separated: take an arm with one prompt for all",
        )
    if contrast is Contrast.COMPUTATION and not (study.probes.greedy or study.probes.shared):
        raise ClaimError((), "needs probes, and the study has none: write 'probes: {greedy: 1, shared: 2}'")
    return arms


def _translated(
    contrast: Contrast, given: Sequence[str] | None, study: Study, languages: Languages
) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """The two languages, and the study's questions that are one another's translation in them."""
    if contrast is not Contrast.LANGUAGES:
        if given is not None:
            raise ClaimError(("languages",), f"contrast {contrast.value!r} takes no 'languages'")
        return (), ()
    spoken = tuple(given or ())
    if len(spoken) != 2 or spoken[0] == spoken[1]:
        raise ClaimError(("languages",), "contrast 'languages' takes two: 'languages: [zh-hans, en]'")
    asked = {languages[name]: name for name in study.questions if name in languages}
    originals = sorted({original for _, original in asked})
    pairs = tuple(
        (asked[spoken[0], one], asked[spoken[1], one])
        for one in originals
        if all((language, one) in asked for language in spoken)
    )
    if not pairs:
        known = ", ".join(sorted({language for language, _ in asked})) or "none"
        raise ClaimError(
            ("languages",),
            f"no question of the study is in both {spoken[0]} and {spoken[1]} (languages of its questions: "
            f"{known}): a translation has 'language' and 'translates' in questions.yaml",
        )
    return spoken, pairs


def _check_prompts(contrast: Contrast, arms: Sequence[str], regions: Sequence[str], study: Study) -> None:
    if contrast is not Contrast.PROMPT:
        return
    first, second = (study.prompts.get(arm, study.asked.system_prompts[regions[0]]) for arm in arms)
    if first == second:
        raise ClaimError(
            ("arms",), f"arms {arms[0]!r} and {arms[1]!r} have the same system prompt in {regions[0]}"
        )


def _outcome(contrast: Contrast, given: Outcome | None) -> Outcome:
    if contrast is Contrast.COMPUTATION:
        if given not in (None, Outcome.TEXT):
            raise ClaimError(("outcome",), "contrast 'computation' compares the probes' texts: leave it out")
        return Outcome.TEXT
    if given is Outcome.TEXT and contrast not in (Contrast.PROMPT, Contrast.DEPLOYMENT):
        raise ClaimError(("outcome",), f"contrast {contrast.value!r} compares rates, not texts")
    return given or Outcome.REFUSAL


def _test(contrast: Contrast, outcome: Outcome, population: Any, given: str | None) -> str:
    test = judged_by(contrast, outcome, population)
    if given not in (None, test):
        raise ClaimError(("test",), f"this claim is judged by {test!r}: write that, or leave it out")
    return test


def _check_correction(planned: bool, given: str | None) -> None:
    """A claim may say how it is corrected: all planned claims of a study together, or those it explores."""
    correction = PLANNED_CORRECTION if planned else EXPLORED_CORRECTION
    if given not in (None, correction):
        which = "planned" if planned else "exploratory"
        raise ClaimError(
            ("correction",), f"{which} claims are corrected by {correction!r}: write that, or leave it out"
        )
