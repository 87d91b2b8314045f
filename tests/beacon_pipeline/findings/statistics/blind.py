"""Second implementations, by someone who had the design's formulas and had not read `findings/` yet.

Plain Python with fractions: every possible assignment is counted, nothing is drawn and no library is asked.
They are slow and meant for small tables; `test_blind.py` holds them against the statistics on the same rows.

Two were fitted to the design after the first comparison: pairs of one block are left out where whole blocks
are flipped, and the variance of the labels is that of a draw of fixed size in each stratum.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction

Table = tuple[int, int, int, int]
"""One stratum: how many of a's answers have the outcome, how many a has; the same of b."""


def exact_stratified(tables: Sequence[Table]) -> tuple[Fraction, Fraction]:
    """The two two-sided p of "the arms are alike within each stratum": by likelihood, and by distance.

    Within a stratum every choice of which answers are a's is equally likely, so that the number of a's with
    the outcome is hypergeometric; over strata the numbers add, and their distributions convolve. By
    likelihood: sums no more likely than the observed one. By distance: sums at least as far from the
    expected one.
    """
    distribution = {0: Fraction(1)}
    for hits_a, size_a, hits_b, size_b in tables:
        hits, size = hits_a + hits_b, size_a + size_b
        of_stratum = {
            k: Fraction(math.comb(hits, k) * math.comb(size - hits, size_a - k), math.comb(size, size_a))
            for k in range(max(0, size_a - (size - hits)), min(size_a, hits) + 1)
        }
        added: dict[int, Fraction] = {}
        for (sum_, p), (k, q) in itertools.product(distribution.items(), of_stratum.items()):
            added[sum_ + k] = added.get(sum_ + k, Fraction(0)) + p * q
        distribution = added
    observed = sum(table[0] for table in tables)
    mean = sum(k * p for k, p in distribution.items())
    by_likelihood = sum(p for p in distribution.values() if p <= distribution[observed])
    by_distance = sum(p for k, p in distribution.items() if abs(k - mean) >= abs(observed - mean))
    return Fraction(by_likelihood), Fraction(by_distance)


def sign_flips(differences: Sequence[Fraction]) -> Fraction:
    """Two-sided p of "the differences lie around zero", from all assignments of signs."""
    observed = abs(sum(differences))
    flips = list(itertools.product((1, -1), repeat=len(differences)))
    as_far = sum(
        abs(sum(s * d for s, d in zip(flip, differences, strict=True))) >= observed for flip in flips
    )
    return Fraction(as_far, len(flips))


def mmd(
    similar: Sequence[Sequence[float]],
    side_a: Sequence[int],
    side_b: Sequence[int],
    blocks: Sequence[int] | None = None,
) -> float:
    """Mean similarity within the sides minus that between them: the unbiased squared MMD.

    No text is compared with itself; where ``blocks`` are given, none with one of its own block.
    """

    def mean(one: Sequence[int], other: Sequence[int]) -> float:
        pairs = [
            similar[i][j] for i in one for j in other if i != j and (not blocks or blocks[i] != blocks[j])
        ]
        return sum(pairs) / len(pairs)

    return mean(side_a, side_a) + mean(side_b, side_b) - 2 * mean(side_a, side_b)


def mmd_of_flipped_blocks(
    similar: Sequence[Sequence[float]], of_a: Sequence[bool], blocks: Sequence[int]
) -> tuple[float, Fraction]:
    """The MMD, and its p from all ways to swap the sides of whole blocks."""
    names = sorted(set(blocks))

    def flipped(turned: set[int]) -> float:
        sides = [side ^ (block in turned) for side, block in zip(of_a, blocks, strict=True)]
        return mmd(
            similar, [i for i, a in enumerate(sides) if a], [i for i, a in enumerate(sides) if not a], blocks
        )

    observed = flipped(set())
    subsets = [set(c) for size in range(len(names) + 1) for c in itertools.combinations(names, size)]
    return observed, Fraction(sum(flipped(turned) >= observed - 1e-9 for turned in subsets), len(subsets))


def mmd_of_permuted_samples(
    similar: Sequence[Sequence[float]], of_a: Sequence[bool], blocks: Sequence[int]
) -> tuple[float, Fraction]:
    """The MMD, and its p from all ways in which each block's samples can be dealt to its sides."""
    dealt = []
    for block in sorted(set(blocks)):
        members = [i for i, b in enumerate(blocks) if b == block]
        dealt.append(list(itertools.combinations(members, sum(of_a[i] for i in members))))

    def of(side_a: set[int]) -> float:
        return mmd(similar, sorted(side_a), [i for i in range(len(of_a)) if i not in side_a])

    observed = of({i for i, a in enumerate(of_a) if a})
    values = [of({i for part in parts for i in part}) for parts in itertools.product(*dealt)]
    return observed, Fraction(sum(value >= observed - 1e-9 for value in values), len(values))


def prediction_powered(
    predicted: Sequence[int], chance: Sequence[float], seen: Sequence[int | None]
) -> tuple[float, float]:
    """Mean of what people would have seen, and the variance that is left because they saw only some.

    ``predicted``: the rules' label of each answer, 0 or 1; ``chance``: with which it was drawn to be
    labelled; ``seen``: people's label, None where not drawn. The estimate is the mean prediction plus the
    mean error of the drawn, each weighed by one over its chance (Horvitz and Thompson). The variance is that
    of a random sample of fixed size from each predicted label, which is how they are drawn.
    """
    n = len(predicted)
    errors = [(s - p, c) for p, c, s in zip(predicted, chance, seen, strict=True) if s is not None]
    mean = sum(predicted) / n + sum(error / c for error, c in errors) / n
    variance = 0.0
    for label in set(predicted):
        size = sum(p == label for p in predicted)
        drawn = [s - p for p, s in zip(predicted, seen, strict=True) if p == label and s is not None]
        spread = sum((error - sum(drawn) / len(drawn)) ** 2 for error in drawn) / (len(drawn) - 1)
        variance += (size / n) ** 2 * (1 - len(drawn) / size) * spread / len(drawn)
    return mean, variance
