"""What a claim would be if the labeller erred as it did elsewhere: shown beside a finding, never instead."""

from __future__ import annotations

from dataclasses import dataclass

from beacon_pipeline.catalog.study import Claim, Contrast, ErrorRates, Study
from beacon_pipeline.findings.outcomes import JUDGED, counting_labeller
from beacon_pipeline.findings.sides import Sides
from beacon_pipeline.findings.statistics.error_rates import Corrected, Errors, corrected
from beacon_pipeline.findings.statistics.predictions import LEAST_INFORMED

Place = tuple[str, str, str | None]  # model, arm, and language where the claim names one


@dataclass(frozen=True)
class Elsewhere:
    """The error rates that the study has of both sides, and what they make of the claim; None where the
    labels say too little, or there are none."""

    errors: tuple[ErrorRates, ErrorRates]
    corrected: Corrected | None

    @property
    def too_weak(self) -> str | None:
        """Why this labeller cannot measure the outcome, if it cannot."""
        least = min(_errors(one).informedness for one in self.errors)
        if least >= LEAST_INFORMED:
            return None
        return (
            f"not measurable by this labeller: sensitivity + specificity − 1 is {least:.2f}, as measured "
            f"elsewhere ({self.source})"
        )

    @property
    def source(self) -> str:
        return "; ".join(dict.fromkeys(one.source for one in self.errors))

    def turns(self, effect: float) -> bool:
        """Whether with these error rates no difference is left of one that was found, or another one is."""
        found = self.corrected
        return found is not None and (found.low <= 0 <= found.high or found.effect * effect < 0)

    def sentence(self) -> str | None:
        """What it comes to, in words."""
        if self.corrected is None:
            return None
        a, b = self.errors
        found = self.corrected
        return (
            "with error rates measured elsewhere "
            f"(sensitivity {a.sensitivity:.2f} against {b.sensitivity:.2f}, "
            f"specificity {a.specificity:.2f} against {b.specificity:.2f}; {self.source}) it would be "
            f"{found.rate_a:.2f} against {found.rate_b:.2f}, difference {found.effect:+.2f}, "
            f"{found.low:+.2f} to {found.high:+.2f}: a sensitivity analysis, no test"
        )


def elsewhere(study: Study, claim: Claim, sides: Sides, level: float) -> Elsewhere | None:
    """The sensitivity analysis of a claim; None where the study has no error rates of both its sides.

    Of the labeller whose labels count; of several that fit a side the most special.
    """
    if claim.outcome not in JUDGED or claim.contrast in (Contrast.COMPUTATION, Contrast.INTERACTION):
        return None
    rates = counting_labeller(study.labellers).errors
    a, b = (_of(rates, claim, place) for place in _places(claim))
    if a is None or b is None:
        return None
    counts = [(float(side["value"].sum()), int(side["value"].count())) for side in sides]
    usable = all(count for _, count in counts) and min(_errors(a).informedness, _errors(b).informedness) > 0
    found = corrected(counts[0], counts[1], _errors(a), _errors(b), level) if usable else None
    return Elsewhere((a, b), found)


def _places(claim: Claim) -> tuple[Place, Place]:
    models = claim.model, claim.other_model or claim.model
    arms = claim.arms[0], claim.arms[-1]
    one, other = claim.languages or (None, None)
    return (models[0], arms[0], one), (models[1], arms[1], other)


def _of(rates: tuple[ErrorRates, ...], claim: Claim, place: Place) -> ErrorRates | None:
    model, arm, language = place
    fitting = [
        one
        for one in rates
        if (one.model, one.outcome) == (model, claim.outcome)
        and one.arm in (None, arm)
        and one.language in (None, language)
    ]
    return max(fitting, key=lambda one: (one.arm is not None) + (one.language is not None), default=None)


def _errors(one: ErrorRates) -> Errors:
    return Errors(one.sensitivity, one.specificity)
