"""What a test gives: an effect with its interval, a p, and the smallest p that it could have given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

DRAWS = 9_999  # of a permutation, where not all can be counted
TOLERANCE = 1e-9  # sums of the same numbers in another order are equal


@dataclass(frozen=True)
class Estimate:
    """``effect`` is a − b; ``[low, high]`` holds it at ``level``; ``narrow`` holds it at 1 − 2(1 − level).

    A claim of *no difference larger than δ* is decided by ``narrow``: two one-sided tests, each at the
    claim's own level. ``units`` independent units of kind ``unit`` carry the test named ``test``.
    """

    effect: float
    low: float
    high: float
    narrow: tuple[float, float]
    level: float
    p: float
    smallest_p: float
    unit: str
    units: int
    test: str

    def widened(self, interval: tuple[float, float], narrow: tuple[float, float]) -> Estimate:
        """The same with an interval that holds these too: where units that all agree leave no width."""
        return replace(
            self,
            low=min(self.low, interval[0]),
            high=max(self.high, interval[1]),
            narrow=(min(self.narrow[0], narrow[0]), max(self.narrow[1], narrow[1])),
        )


def ends_around(
    effect: float, spread: float, level: float, isf: Callable[[float], float]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """The symmetric interval at ``level``, and the narrower one of `Estimate.narrow`.

    ``isf`` gives the point that the statistic's distribution exceeds with a given chance.
    """
    wide, narrow = (float(isf(tail)) * spread for tail in ((1 - level) / 2, 1 - level))
    return (effect - wide, effect + wide), (effect - narrow, effect + narrow)


def share_at_least(drawn: Numbers, observed: float, *, exact: bool) -> float:
    """The p of ``observed`` among statistics ``drawn`` under the null: large ones speak against it.

    ``exact``: all there are, the observed one among them. Else random draws, to which it is added.
    """
    reached = int(np.count_nonzero(drawn >= observed - TOLERANCE))
    return reached / len(drawn) if exact else (reached + 1) / (len(drawn) + 1)
