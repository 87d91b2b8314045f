"""The two sides of a claim: which answers, and what each is called."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from beacon_pipeline.catalog.study import Claim, Contrast
from beacon_pipeline.ledger.records import PROBE_ARM


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

    @property
    def marked(self) -> pd.DataFrame:
        """Both, with ``of_a``: whether an answer is of side a."""
        return pd.concat([self.a.assign(of_a=True), self.b.assign(of_a=False)])

    def changed(self, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Sides:
        """Both sides changed alike."""
        return replace(self, a=change(self.a), b=change(self.b))


def sides_of(claim: Claim, frame: pd.DataFrame) -> tuple[Sides, ...]:
    """The sides of a claim; of an interaction, the two arms' sides in the first and in the second region."""
    match claim.contrast:
        case Contrast.PROMPT | Contrast.INTERACTION:
            return tuple(
                _pair(frame, *((claim.model, region, arm) for arm in claim.arms)) for region in claim.regions
            )
        case Contrast.MODELS:
            where = claim.regions[0], claim.arms[0]
            return (_pair(frame, (claim.model, *where), (str(claim.other_model), *where)),)
        case Contrast.LANGUAGES:
            return (_translated(frame, claim),)
        case _:
            arm = claim.arms[0] if claim.arms else PROBE_ARM
            return (_pair(frame, *((claim.model, region, arm) for region in claim.regions)),)


Place = tuple[str, str, str]  # model, region, arm


def _pair(frame: pd.DataFrame, first: Place, second: Place) -> Sides:
    a, b = (
        frame[(frame["model"] == model) & (frame["region"] == region) & (frame["arm"] == arm)]
        for model, region, arm in (first, second)
    )
    return Sides(a, b, (_named(first), _named(second)))


def _translated(frame: pd.DataFrame, claim: Claim) -> Sides:
    """A question and its translation have one name on both sides: that of the first."""
    place = claim.model, claim.regions[0], claim.arms[0]
    here = _pair(frame, place, place).a
    a, b = (_renamed(here, {pair[side]: pair[0] for pair in claim.pairs}) for side in (0, 1))
    one, other = (f"{_named(place)}, in {language}" for language in claim.languages)
    return Sides(a, b, (one, other))


def _renamed(frame: pd.DataFrame, names: dict[str, str]) -> pd.DataFrame:
    """The answers to these questions, each under its new name."""
    rows = frame[frame["question"].isin(names)]
    return rows.assign(question=rows["question"].map(names))


def _named(place: Place) -> str:
    model, region, arm = place
    return f"{region}:{model}, {'probes' if arm == PROBE_ARM else f'arm {arm}'}"


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
    expected = np.nanmean(filled, axis=1)[:, None] + np.nanmean(filled, axis=0)[None, :] - np.nanmean(filled)
    return np.where(np.isnan(filled), expected, filled)


def strata(sides: Sides) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Events and answers of a and of b, for each region, block and question that has both."""
    keys = ["region", "unit", "question"]
    a, b = (side.dropna(subset=["value"]).groupby(keys)["value"].agg(["sum", "count"]) for side in sides)
    both = pd.concat([a, b], axis=1, join="inner", keys=["a", "b"])
    sizes = (both[side, name].to_numpy(dtype=int) for side in "ab" for name in ("sum", "count"))
    events_a, n_a, events_b, n_b = sizes
    return events_a, n_a, events_b, n_b
