"""To what a difference may be attributed: what was randomized, what was varied, or nothing by name.

The same weights hold no regional opinion: a difference between deployments is one of what serves them. A
field of provenance is named as the cause only if it was varied *within* a region; one that changes only
with the region is named as what cannot be separated from it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from beacon_pipeline.catalog.study import Claim, Contrast
from beacon_pipeline.findings.sides import Sides
from beacon_pipeline.findings.statistics.estimate import DRAWS, TOLERANCE

THE_PROMPT = "the prompt (randomized within each call)"
UNKNOWN = "between deployments, cause not identified"
WEIGHTS = "provenance_revision"
# What the region is by definition, and what each question has of its own.
_NOT_CAUSES = ("provenance_region", "provenance_rendered_prompt_sha256")
_NAMES = {"gpu": "GPU", "dtype": "dtype", "cloud": "cloud"}


def attribution(claim: Claim, sides: Sides, seed: int) -> str:
    """The attribution of a difference found between these sides."""
    match claim.contrast:
        case Contrast.PROMPT:
            return THE_PROMPT
        case Contrast.MODELS:
            return "the models as deployed, with all that differs between them"
        case Contrast.LANGUAGES:
            return "the question's language, as these translations have it (both in each call)"
        case Contrast.INTERACTION:
            return "the prompt, acting differently between deployments; cause not identified"
    separate, crossed = differing(sides)
    if WEIGHTS in separate:
        revisions = (", ".join(sorted(set(side[WEIGHTS].dropna()))) for side in sides)
        return (
            f"weights on record: {sides.names[0]} has {next(revisions)}, {sides.names[1]} {next(revisions)}"
        )
    for field in crossed:
        if "value" in sides.a and explains(sides, field, seed):
            return f"{named(field)} (varied within a region)"
    if separate:
        fields = ", ".join(named(field) for field in separate)
        return f"{UNKNOWN}; region and {fields} cannot be separated"
    return UNKNOWN


def named(field: str) -> str:
    """A field of provenance as a reader knows it."""
    plain = field.removeprefix("provenance_")
    return _NAMES.get(plain, plain.replace("_", " "))


def differing(sides: Sides) -> tuple[list[str], list[str]]:
    """Fields of provenance that differ between the sides: only with the region, and within a region too."""
    separate, crossed = [], []
    for field in sides.a.columns:
        if not field.startswith("provenance_") or field in _NOT_CAUSES:
            continue
        a, b = (set(side[field].dropna().astype(str)) for side in sides)
        if a and b and a != b and not a & b:
            separate.append(field)
        elif len(a) > 1 or len(b) > 1:
            crossed.append(field)
    return separate, crossed


def explains(sides: Sides, field: str, seed: int, level: float = 0.05) -> bool:
    """Whether calls with different values of ``field`` differ within regions, and regions do not beyond it.

    Whole calls keep their answers; their values of the field are permuted within each region.
    """
    calls = _calls(sides, field)
    common = [value for value, inside in calls.groupby("field") if inside["side"].nunique() == 2]
    calls = calls[calls["field"].isin(common)]
    if len(common) != 2 or (calls.groupby(["side", "field"]).size() < 2).any():
        return False
    y, region, value = (calls[name].to_numpy() for name in ("y", "side", "field"))
    first = (value == common[0]).astype(float)
    return (
        _permuted_p(y, first, region, seed) <= level
        and _permuted_p(y, (region == 0).astype(float), first, seed) > level
    )


def _calls(sides: Sides, field: str) -> pd.DataFrame:
    rows = pd.concat([side.assign(side=i) for i, side in enumerate(sides)]).dropna(subset=["value", field])
    by_call = rows.groupby(["side", "unit", field], observed=True)["value"].mean().reset_index()
    return by_call.rename(columns={field: "field", "value": "y"})


def _permuted_p(y: np.ndarray, group: np.ndarray, stratum: np.ndarray, seed: int) -> float:
    """Of the mean difference between two groups of calls within strata, groups permuted within them."""
    rng = np.random.default_rng(seed)
    seen, drawn = 0.0, np.zeros(DRAWS)
    for one in np.unique(stratum):
        inside = stratum == one
        own, labels = y[inside], group[inside]
        order = rng.random((DRAWS, len(own))).argsort(axis=1)
        weight = len(own)
        seen += weight * _gap(own, labels[None, :])[0]
        drawn += weight * _gap(own, labels[order])
    reached = int((np.abs(drawn) >= abs(seen) - TOLERANCE).sum())
    return (reached + 1) / (DRAWS + 1)


def _gap(y: np.ndarray, labels: np.ndarray) -> np.ndarray:
    ones = labels.sum(axis=1)
    gap: np.ndarray = (labels @ y) / ones - ((1 - labels) @ y) / (labels.shape[1] - ones)
    return gap
