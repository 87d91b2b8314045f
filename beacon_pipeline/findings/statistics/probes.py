"""Is the same computation done? Greedy and shared-seed probes of whole calls, compared pair by pair."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np

from beacon_pipeline.findings.statistics.estimate import DRAWS, Estimate, Flags, Numbers, share_at_least
from beacon_pipeline.findings.statistics.intervals import wilson

ENUMERATED = 10_000  # ways to divide the calls: up to here all are looked at


def same_computation(outputs: np.ndarray, of_a: Flags, level: float = 0.95, seed: int = 0) -> Estimate:
    """The share of differing probe pairs between the sides, over that between calls of one side.

    ``outputs``: calls × probes, what identifies each output (None: none came); the same probe, with the
    same seed, in each column. ``of_a``: the side of each call. Whole calls are permuted; the interval is
    from a bootstrap of calls, at least as wide as the number of probes allows. Raises ValueError below two
    calls a side.
    """
    if min(of_a.sum(), (~of_a).sum()) < 2:
        raise ValueError("the difference between calls of one deployment needs two calls of each")
    differing, compared = _pairs(outputs)
    effect = float(excess(differing, compared, of_a[None, :].astype(float))[0])
    sides, exact = _divisions(of_a, seed)
    drawn = excess(differing, compared, sides)
    rng = np.random.default_rng(seed)
    again = _resampled(differing, compared, of_a, rng)
    wide, narrow = (np.quantile(again, [(1 - q) / 2, (1 + q) / 2]) for q in (level, 2 * level - 1))
    room = wilson(0, outputs.shape[1], level)[1]  # what so many probes, all equal, leave open
    return Estimate(
        effect=effect,
        low=min(float(wide[0]), effect),
        high=max(float(wide[1]), effect + (room if not differing.any() else 0.0)),
        narrow=(float(narrow[0]), max(float(narrow[1]), room if not differing.any() else 0.0)),
        level=level,
        p=share_at_least(drawn, effect, exact=exact),
        smallest_p=smallest_p(int(of_a.sum()), int((~of_a).sum())),
        unit="call",
        units=len(of_a),
        test="permutation of whole calls",
    )


def smallest_p(calls_a: int, calls_b: int) -> float:
    """The least p for so many calls a side; of two equal sides each division counts twice."""
    ways = comb(calls_a + calls_b, calls_a)
    if ways > ENUMERATED:
        return 1 / (DRAWS + 1)
    return (2 if calls_a == calls_b else 1) / ways


def excess(differing: Numbers, compared: Numbers, sides: Numbers) -> Numbers:
    """For each row of ``sides`` (weights of calls as a's; 1 less is b's): between less the mean within."""
    other = 1.0 - sides
    between = _share(differing, compared, sides, other)
    within = (_share(differing, compared, sides, sides) + _share(differing, compared, other, other)) / 2
    result: Numbers = between - within
    return result


def _share(differing: Numbers, compared: Numbers, left: Numbers, right: Numbers) -> Numbers:
    found = np.einsum("di,ij,dj->d", left, differing, right, optimize=True)
    of = np.einsum("di,ij,dj->d", left, compared, right, optimize=True)
    share: Numbers = np.divide(found, of, out=np.zeros_like(found), where=of > 0)
    return share


def _pairs(outputs: np.ndarray) -> tuple[Numbers, Numbers]:
    """How many probes two calls differ in, and how many both answered; 0 for a call and itself."""
    calls = len(outputs)
    codes = np.full(outputs.shape, -1)
    for column in range(outputs.shape[1]):
        known: dict[object, int] = {}
        for call in range(calls):
            value = outputs[call, column]
            if value is not None:
                codes[call, column] = known.setdefault(value, len(known))
    there = (codes[:, None, :] >= 0) & (codes[None, :, :] >= 0)
    there &= ~np.eye(calls, dtype=bool)[:, :, None]
    unequal = there & (codes[:, None, :] != codes[None, :, :])
    return unequal.sum(axis=2).astype(float), there.sum(axis=2).astype(float)


def _divisions(of_a: Flags, seed: int) -> tuple[Numbers, bool]:
    calls, size = len(of_a), int(of_a.sum())
    if comb(calls, size) <= ENUMERATED:
        chosen = np.array(list(combinations(range(calls), size)))
        sides = np.zeros((len(chosen), calls))
        np.put_along_axis(sides, chosen, 1.0, axis=1)
        return sides, True
    order = np.random.default_rng(seed).random((DRAWS, calls)).argsort(axis=1)
    return of_a[order].astype(float), False


def _resampled(differing: Numbers, compared: Numbers, of_a: Flags, rng: np.random.Generator) -> Numbers:
    """The statistic for calls drawn anew on each side; a call is never compared with itself."""
    a, b = np.flatnonzero(of_a), np.flatnonzero(~of_a)
    times_a, times_b = (
        rng.multinomial(len(side), np.full(len(side), 1 / len(side)), size=2_000) for side in (a, b)
    )
    weights_a, weights_b = (np.zeros((2_000, len(of_a))) for _ in range(2))
    weights_a[:, a], weights_b[:, b] = times_a, times_b
    between = _share(differing, compared, weights_a, weights_b)
    within = (
        _share(differing, compared, weights_a, weights_a),
        _share(differing, compared, weights_b, weights_b),
    )
    result: Numbers = between - (within[0] + within[1]) / 2
    return result
