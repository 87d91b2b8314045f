"""The two sides of a claim: which answers, and what each is called."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from beacon_pipeline.catalog.study import Claim


@dataclass(frozen=True)
class Sides:
    """Answers of side a and of side b, every column of the frame among them, and both names."""

    a: pd.DataFrame
    b: pd.DataFrame
    names: tuple[str, str]

    def __iter__(self) -> Iterator[pd.DataFrame]:
        return iter((self.a, self.b))

    @property
    def both(self) -> pd.DataFrame:
        return pd.concat([self.a, self.b])

    def filled(self, value: float) -> Sides:
        """With each lost answer taken as this outcome."""
        a, b = (side.assign(value=side["value"].fillna(value)) for side in self)
        return replace(self, a=a, b=b)


def sides_of(claim: Claim, frame: pd.DataFrame) -> tuple[Sides, ...]:
    """The sides of a claim; of an interaction, the two arms' sides in the first and in the second region."""
    model = frame[frame["model"] == claim.model]
    match claim.contrast:
        case "prompt":
            return (_arms(claim, model, claim.regions[0]),)
        case "interaction":
            return tuple(_arms(claim, model, region) for region in claim.regions)
        case "deployment":
            inside = model[model["arm"] == claim.arms[0]]
            a, b = (inside[inside["region"] == region] for region in claim.regions)
            return (Sides(a, b, _pair(claim.regions)),)
        case "models":
            there = frame[(frame["region"] == claim.regions[0]) & (frame["arm"] == claim.arms[0])]
            names = claim.model, str(claim.other_model)
            a, b = (there[there["model"] == name] for name in names)
            return (Sides(a, b, names),)
        case _:
            a, b = (model[model["region"] == region] for region in claim.regions)
            return (Sides(a, b, _pair(claim.regions)),)


def _arms(claim: Claim, model: pd.DataFrame, region: str) -> Sides:
    there = model[model["region"] == region]
    a, b = (there[there["arm"] == arm] for arm in claim.arms)
    return Sides(a, b, _pair(claim.arms))


def _pair(names: tuple[str, ...]) -> tuple[str, str]:
    return names[0], names[1]


def cell_differences(sides: Sides) -> pd.DataFrame:
    """a's mean less b's for each block and question (units × questions), of answers with a ``value``.

    Only what both sides have: a block or a question without any pair is not in it.
    """
    a, b = (side.groupby(["unit", "question"])["value"].mean() for side in sides)
    each = (a - b).unstack("question")
    return each.dropna(axis=0, how="all").dropna(axis=1, how="all")


def without_holes(differences: pd.DataFrame) -> np.ndarray:
    """Questions × blocks; a hole gets what its question and its block have in the mean."""
    filled = differences.T.to_numpy(dtype=float, copy=True)
    expected = (
        np.nanmean(filled, axis=1)[:, None] + np.nanmean(filled, axis=0)[None, :] - np.nanmean(filled)
    )
    return np.where(np.isnan(filled), expected, filled)


def strata(sides: Sides) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Events and answers of a and of b, for each region, block and question that has both."""
    keys = ["region", "unit", "question"]
    a, b = (side.dropna(subset=["value"]).groupby(keys)["value"].agg(["sum", "count"]) for side in sides)
    both = a.join(b, lsuffix="_a", rsuffix="_b", how="inner")
    counts = (both[name].to_numpy(dtype=int) for name in ("sum_a", "count_a", "sum_b", "count_b"))
    first, second, third, fourth = counts
    return first, second, third, fourth
