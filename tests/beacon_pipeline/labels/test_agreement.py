"""Agreement: against published figures, and against Gwet's variance as he prints it."""

import math
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, t
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.proportion import proportion_confint

from beacon_pipeline.labels.agreement import (
    Interval,
    NothingToCompare,
    agreement,
    agreements,
    differing,
    gwet_ac1,
)
from beacon_pipeline.ledger.records import ADJUDICATION, Label
from beacon_pipeline.ledger.status import LabelKind, LabelMethod

COMPLETE, EVASIVE, REFUSAL = LabelKind
PAIRS = (
    [(COMPLETE, COMPLETE)] * 20
    + [(REFUSAL, REFUSAL)] * 15
    + [(COMPLETE, REFUSAL)] * 5
    + [(REFUSAL, COMPLETE)] * 10
)


def test_kappa_and_share_are_the_textbooks() -> None:
    found = agreement(("a", "b"), PAIRS)  # 20, 5, 10, 15: kappa .4 in every textbook
    assert found.answers == 50
    assert found.kappa.value == pytest.approx(0.4)
    assert found.share.value == pytest.approx(0.7)
    assert (found.share.low, found.share.high) == pytest.approx((0.5625, 0.8090), abs=1e-4)  # Wilson
    assert found.kappa.low < 0.4 < found.kappa.high


def test_ac1_of_the_paradox() -> None:
    """Where nearly all is of one kind kappa is near zero at 94 % agreement: Gwet (2002)."""
    found = gwet_ac1([[118, 5], [2, 0]])
    assert found.value == pytest.approx(0.9408, abs=1e-4)
    assert 0.88 < found.low < 0.92
    assert found.high <= 1


def variance_as_printed(counts: list[list[int]]) -> float:
    """Equation of Gwet (2008) for two raters, from shares; the finite-sample n becomes n - 1."""
    n, q = sum(map(sum, counts)), len(counts)
    share = [[cell / n for cell in row] for row in counts]
    pi = [(sum(share[k]) + sum(row[k] for row in share)) / 2 for k in range(q)]
    pa = sum(share[k][k] for k in range(q))
    pe = sum(p * (1 - p) for p in pi) / (q - 1)
    gamma = (pa - pe) / (1 - pe)
    first = pa * (1 - pa)
    second = sum(share[k][k] * (1 - pi[k]) for k in range(q)) / (q - 1) - pa * pe
    cells = product(range(q), repeat=2)
    third = sum(share[k][m] * (1 - (pi[k] + pi[m]) / 2) ** 2 for k, m in cells) / (q - 1) ** 2 - pe**2
    inner = first - 4 * (1 - gamma) * second + 4 * (1 - gamma) ** 2 * third
    return inner / (1 - pe) ** 2 / (n - 1)


@given(st.lists(st.lists(st.integers(0, 30), min_size=3, max_size=3), min_size=3, max_size=3))
def test_ac1s_variance_is_the_printed_one(counts: list[list[int]]) -> None:
    n = sum(map(sum, counts))
    if n < 3:
        return
    found = gwet_ac1(counts, level=0.5)  # narrow, so that no bound is cut off
    half = t.ppf(0.75, n - 1) * math.sqrt(max(variance_as_printed(counts), 0))
    assert -0.5 <= found.value <= 1
    assert found.high == pytest.approx(min(found.value + half, 1), abs=1e-9)
    assert found.low == pytest.approx(max(found.value - half, -1), abs=1e-9)


def test_one_kind_throughout_has_no_kappa() -> None:
    found = agreement(("a", "b"), [(REFUSAL, REFUSAL)] * 9)
    assert math.isnan(found.kappa.value)
    assert str(found.kappa) == "not defined: one kind only"
    assert (found.share.value, found.ac1.value) == (1, 1)


def a_label(execution: str, kind: LabelKind, labeller: str, reason: str | None = None) -> Label:
    return Label(execution, kind, LabelMethod.PEOPLE, "1", labeller, reason=reason)


def test_pairs_and_what_is_open() -> None:
    labels = [
        *(a_label(one, REFUSAL, "anna") for one in "abc"),
        *(a_label(one, kind, "bert") for one, kind in zip("bcd", (REFUSAL, EVASIVE, EVASIVE), strict=True)),
    ]
    (found,) = agreements(labels)
    assert (found.labellers, found.answers, found.share.value) == (("anna", "bert"), 2, 0.5)
    assert differing(labels) == ["c"]
    decided = [*labels, a_label("c", EVASIVE, "cleo", ADJUDICATION)]
    assert differing(decided) == []
    assert agreements(decided) == [found]
    with pytest.raises(NothingToCompare, match="anna"):
        agreements(labels[:3])


def test_how_an_interval_reads() -> None:
    assert str(Interval(0.4, 0.12345, 0.6789)) == "0.400 (0.123 to 0.679)"


def test_of_one_common_answer_nothing_is_said() -> None:
    one = [a_label("a", REFUSAL, "anna"), a_label("a", REFUSAL, "bert")]
    with pytest.raises(NothingToCompare, match=r"\(anna, bert\)"):
        agreements(one)
    with pytest.raises(NothingToCompare, match=r"\(no labels\)"):
        agreements([])
    decides = [a_label(name, REFUSAL, "cleo", ADJUDICATION) for name in "ab"]
    with pytest.raises(NothingToCompare):
        agreements([*(a_label(name, REFUSAL, "anna") for name in "ab"), *decides])
    found = agreements([*one, a_label("b", EVASIVE, "anna"), a_label("b", REFUSAL, "bert")], level=0.9)
    assert [(each.answers, each.level) for each in found] == [(2, 0.9)]
    assert found[0].table == ((0, 0, 0), (0, 0, 1), (0, 0, 1))


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_the_interval_of_kappa_is_the_large_sample_one(level: float) -> None:
    found = agreement(("a", "b"), PAIRS, level=level)
    theirs = cohens_kappa([[20, 5], [10, 15]])
    half = norm.isf((1 - level) / 2) * theirs.std_kappa
    assert (found.kappa.low, found.kappa.high) == pytest.approx((0.4 - half, 0.4 + half))
    assert agreement(("a", "b"), PAIRS).kappa == agreement(("a", "b"), PAIRS, level=0.95).kappa
    assert (found.share.low, found.share.high) == pytest.approx(
        proportion_confint(35, 50, alpha=1 - level, method="wilson")
    )


def test_no_interval_goes_beyond_what_agreement_can_be() -> None:
    nearly = agreement(("a", "b"), [(REFUSAL, REFUSAL), (COMPLETE, COMPLETE), (COMPLETE, REFUSAL)])
    assert (nearly.kappa.high, nearly.ac1.high) == (1.0, 1.0)
    never = agreement(("a", "b"), [(REFUSAL, COMPLETE), (COMPLETE, REFUSAL), (COMPLETE, COMPLETE)])
    assert (never.kappa.low, never.ac1.low) == (-1.0, -1.0)
    perfect = agreement(("a", "b"), [(REFUSAL, REFUSAL)] * 3 + [(COMPLETE, COMPLETE)] * 3)
    assert perfect.kappa.value == perfect.kappa.high == 1.0
