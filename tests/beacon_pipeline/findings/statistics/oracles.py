"""Second implementations, from the definitions alone and by counting: slow, plain, without a library."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, product
from math import comb, isclose

Pairs = Sequence[tuple[int, int, int, int]]  # a's events, a's answers, b's events, b's answers


def exact_stratified(strata: Pairs) -> float:
    """All ways in which each stratum's events can fall on its answers; totals as unlikely as a's count."""
    ways: dict[int, int] = {}
    for chosen in product(*(range(max(0, x + y - m), min(x + y, n) + 1) for x, n, y, m in strata)):
        number = 1
        for k, (x, n, y, m) in zip(chosen, strata, strict=True):
            number *= comb(n, k) * comb(m, x + y - k)
        ways[sum(chosen)] = ways.get(sum(chosen), 0) + number
    seen = ways[sum(x for x, *_ in strata)]
    return sum(number for number in ways.values() if number <= seen) / sum(ways.values())


def sign_flips(differences: Sequence[float]) -> float:
    """The share of the 2^n patterns whose sum is as far from zero."""
    sums = [
        sum(s * d for s, d in zip(signs, differences, strict=True))
        for signs in product((1, -1), repeat=len(differences))
    ]
    seen = abs(sum(differences))
    return sum(abs(one) >= seen or isclose(abs(one), seen, abs_tol=1e-9) for one in sums) / len(sums)


def similarity(one: str, other: str) -> float:
    """1 less the edit distance as a share of the longer text, by the textbook's table."""
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, 1):
        above, row[0] = row[0], i
        for j, right in enumerate(other, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (left != right))
    longest = max(len(one), len(other))
    return 1 - row[-1] / longest if longest else 1.0


def mmd_over_blocks(answers: Sequence[tuple[int, str, int, str]]) -> tuple[float, float]:
    """Effect and p of (question, text, block, side a or b): whole blocks flipped, pairs across blocks."""
    blocks = sorted({block for _, _, block, _ in answers})

    def statistic(flipped: set[int]) -> float:
        means = []
        for question in sorted({q for q, *_ in answers}):
            alike, across = [], []
            mine = [
                (text, block, (side == "a") ^ (block in flipped))
                for q, text, block, side in answers
                if q == question
            ]
            for (text, block, a), (other, another, b) in combinations(mine, 2):
                if block != another:
                    (alike if a == b else across).append(similarity(text, other))
            means.append(sum(alike) / len(alike) - sum(across) / len(across))
        return sum(means) / len(means)

    observed = statistic(set())
    drawn = [
        statistic({block for block, flip in zip(blocks, flips, strict=True) if flip})
        for flips in product((False, True), repeat=len(blocks))
    ]
    return observed, sum(one >= observed - 1e-9 for one in drawn) / len(drawn)


def post_stratified(predicted: Sequence[int], people: Sequence[int | None]) -> float:
    """The rate by people's labels, each predicted label weighted by its share among all answers."""
    rate = 0.0
    for label in (0, 1):
        inside = [y for f, y in zip(predicted, people, strict=True) if f == label]
        known = [y for y in inside if y is not None]
        rate += len(inside) / len(predicted) * (sum(known) / len(known)) if inside else 0.0
    return rate
