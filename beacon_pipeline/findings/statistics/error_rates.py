"""Rates set right by a labeller's error rates that were measured on other answers: a sensitivity analysis.

Never a test: what a labeller misses of one model's answers says little of another's, and how uncertain the
error rates are is not in the interval. People's labels of these very answers are (`predictions`).
"""

from __future__ import annotations

from math import hypot
from typing import NamedTuple

from beacon_pipeline.findings.statistics.intervals import wilson


class Errors(NamedTuple):
    """How often a labeller sees the outcome where it is, and does not see it where it is not."""

    sensitivity: float
    specificity: float

    @property
    def informedness(self) -> float:
        return self.sensitivity + self.specificity - 1

    def corrected(self, rate: float) -> float:
        """The true rate that shows as ``rate``, within 0 and 1.

        W. J. Rogan and B. Gladen (1978), American Journal of Epidemiology 107, 71-76. Raises ValueError
        where the labels say nothing of the outcome.
        """
        if self.informedness <= 0:
            raise ValueError("sensitivity + specificity − 1 is not above 0: the labels say nothing")
        return min(1.0, max(0.0, (rate + self.specificity - 1) / self.informedness))


class Corrected(NamedTuple):
    """Both rates set right, and their difference with its interval."""

    rate_a: float
    rate_b: float
    effect: float
    low: float
    high: float


def corrected(
    a: tuple[float, int], b: tuple[float, int], errors_a: Errors, errors_b: Errors, level: float = 0.95
) -> Corrected:
    """The difference of the rates set right; ``a`` and ``b`` are hits and answers by the labeller.

    The interval is made of both rates' (G. Y. Zou and A. Donner 2008, Statistics in Medicine 27, 1693-1702),
    with error rates taken as known and answers as independent. Raises ValueError as `Errors.corrected`.
    """
    (rate_a, low_a, high_a), (rate_b, low_b, high_b) = (
        [errors.corrected(rate) for rate in (hits / count, *wilson(hits, count, level))]
        for (hits, count), errors in ((a, errors_a), (b, errors_b))
    )
    effect = rate_a - rate_b
    low, high = hypot(rate_a - low_a, high_b - rate_b), hypot(high_a - rate_a, rate_b - low_b)
    return Corrected(rate_a, rate_b, effect, effect - low, effect + high)
