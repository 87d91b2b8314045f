"""How alike texts are, and whether two groups of texts are alike: the kernel and its statistic.

The kernel is `findings.likeness`. With it the maximum mean discrepancy of two groups is twice their effect:
the mean similarity within the groups less that between them. So test and effect are one number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from beacon_pipeline.findings.likeness import CAP, likenesses
from beacon_pipeline.findings.statistics.estimate import (
    DRAWS,
    Estimate,
    Flags,
    Numbers,
    ends_around,
    share_at_least,
)
from beacon_pipeline.findings.statistics.flips import ENUMERATED


class Group(NamedTuple):
    """The answers to one question: their kernel, which are of side a, and the block of each."""

    kernel: Numbers
    of_a: Flags
    block: Numbers


def similarity(texts: Sequence[str], cap: int = CAP) -> Numbers:
    """The kernel of these texts, 0 to 1, of each text's first ``cap`` characters."""
    different, place = np.unique(np.array([text[:cap] for text in texts], dtype=object), return_inverse=True)
    each = different.tolist()
    kernel: Numbers = likenesses(each, each, cap)[np.ix_(place, place)]
    return kernel


def discrepancy(kernel: Numbers, of_a: Flags, counted: Flags) -> float:
    """Mean similarity of pairs on one side less that of pairs across; of the pairs that are ``counted``."""
    alike = of_a[:, None] == of_a[None, :]
    return float(kernel[counted & alike].mean() - kernel[counted & ~alike].mean())


def over_blocks(groups: Sequence[Group], level: float = 0.95, seed: int = 0) -> Estimate:
    """Two deployments' texts: whole blocks are flipped, pairs of one block are not counted.

    Texts of one call share what that call did; only pairs of different blocks compare like with like.
    One-sided by nature: a difference makes texts on one side more alike. The interval is the jackknife's
    over blocks. Raises ValueError below 3 blocks.
    """
    blocks = np.unique(np.concatenate([group.block for group in groups]))
    if len(blocks) < 3:
        raise ValueError("similarity of texts between deployments needs at least 3 blocks")
    sums = np.stack([_sums(group, blocks) for group in groups])
    signs = _signs(len(blocks), seed)
    drawn = _statistics(sums, signs)
    effect = float(_statistics(sums, np.ones((1, len(blocks))))[0])
    exact = len(blocks) <= ENUMERATED
    without = [
        float(_statistics(np.delete(np.delete(sums, i, 2), i, 4), np.ones((1, len(blocks) - 1)))[0])
        for i in range(len(blocks))
    ]
    return _estimate(
        effect,
        share_at_least(drawn, effect, exact=exact),
        2 / 2 ** len(blocks) if exact else 1 / (DRAWS + 1),
        float(np.sqrt((len(blocks) - 1) * np.var(without))),
        len(blocks) - 1,
        level,
        ("block", len(blocks), "MMD, whole blocks flipped"),
    )


def within_strata(groups: Sequence[Group], level: float = 0.95, seed: int = 0) -> Estimate:
    """Two arms' texts: samples change sides within their question and block; the jackknife is over them."""
    effects: list[float] = []
    variances: list[float] = []
    drawn = np.zeros(DRAWS)
    designs: dict[bytes, Numbers] = {}
    rng = np.random.default_rng(seed)
    for kernel, of_a, block in groups:
        apart = ~np.eye(len(of_a), dtype=bool)
        effects.append(discrepancy(kernel, of_a, apart))
        design = of_a.tobytes() + block.tobytes()
        if design not in designs:
            designs[design] = _permuted(of_a, block, rng)
        # Questions of one design share the draws, each in an order of its own.
        drawn += rng.permutation(_relabelled(kernel, designs[design])) / len(groups)
        left_out = [
            discrepancy(kernel[np.ix_(kept, kept)], of_a[kept], apart[np.ix_(kept, kept)])
            for kept in (np.arange(len(of_a)) != i for i in range(len(of_a)))
            if min(of_a[kept].sum(), (~of_a[kept]).sum()) > 1
        ]
        variances.append((len(left_out) - 1) * float(np.var(left_out)) if left_out else 0.0)
    effect, size = float(np.mean(effects)), sum(len(group.of_a) for group in groups)
    return _estimate(
        effect,
        share_at_least(drawn, effect, exact=False),
        1 / (DRAWS + 1),
        float(np.sqrt(np.sum(variances)) / len(groups)),
        size - 2 * len(groups),
        level,
        ("sample", size, "MMD, samples permuted within strata"),
    )


def _relabelled(kernel: Numbers, sides: Numbers) -> Numbers:
    """The statistic for each row of ``sides`` (1 is a, -1 is b)."""
    size = len(kernel)
    off = kernel - np.diag(np.diag(kernel))
    form = np.einsum("di,di->d", sides @ off, sides)
    pairs = sides.sum(axis=1) ** 2 - size
    total, count = off.sum(), size * (size - 1)
    result: Numbers = (total + form) / (count + pairs) - (total - form) / (count - pairs)
    return result


def _permuted(of_a: Flags, block: Numbers, rng: np.random.Generator) -> Numbers:
    """`DRAWS` random sides, each block keeping its number of a's."""
    order = np.argsort(rng.random((DRAWS, len(of_a))) + block[None, :] * 2, axis=1)
    ranked = np.sort(block * 2 - of_a)  # in each block, the a's first
    sides = np.empty((DRAWS, len(of_a)))
    np.put_along_axis(sides, order, np.where(ranked % 2 == 1, 1.0, -1.0)[None, :], axis=1)
    return sides


def _sums(group: Group, blocks: Numbers) -> Numbers:
    """(Kernel sums, numbers of pairs) × block × side × block × side; no pair within a block."""
    place = np.searchsorted(blocks, group.block) * 2 + group.of_a
    member = np.eye(2 * len(blocks))[place]
    other = (group.block[:, None] != group.block[None, :]).astype(float)
    both = np.stack([member.T @ (group.kernel * other) @ member, member.T @ other @ member])
    result: Numbers = both.reshape(2, len(blocks), 2, len(blocks), 2)
    return result


def _statistics(sums: Numbers, signs: Numbers) -> Numbers:
    """The mean statistic over questions for each row of signs (patterns × blocks)."""
    side = np.array([-1.0, 1.0])
    folded = np.einsum("qkiujv,u,v->qkij", sums, side, side)
    form = np.einsum("di,qkij,dj->qkd", signs, folded, signs, optimize=True)
    total = sums.sum(axis=(2, 3, 4, 5))[:, :, None]
    alike, across = (total + form) / 2, (total - form) / 2
    counted = (alike[:, 1] > 0) & (across[:, 1] > 0)
    safe = np.where(counted[:, None, :], 0.0, 1.0)
    each = alike[:, 0] / (alike[:, 1] + safe[:, 0]) - across[:, 0] / (across[:, 1] + safe[:, 0])
    shares: Numbers = np.where(counted, each, 0.0).sum(axis=0) / np.maximum(counted.sum(axis=0), 1)
    return shares


def _signs(blocks: int, seed: int) -> Numbers:
    if blocks <= ENUMERATED:
        flipped = np.arange(2**blocks)[:, None] >> np.arange(blocks) & 1
        return np.where(flipped, -1.0, 1.0)
    drawn: Numbers = np.random.default_rng(seed).choice([-1.0, 1.0], size=(DRAWS, blocks))
    return drawn


def _estimate(
    effect: float,
    p: float,
    smallest_p: float,
    spread: float,
    freedom: int,
    level: float,
    named: tuple[str, int, str],
) -> Estimate:
    (low, high), narrow = ends_around(effect, spread, level, stats.t(max(freedom, 1)).isf)
    return Estimate(
        effect=effect,
        low=low,
        high=high,
        narrow=narrow,
        level=level,
        p=p,
        smallest_p=smallest_p,
        unit=named[0],
        units=named[1],
        test=named[2],
    )
