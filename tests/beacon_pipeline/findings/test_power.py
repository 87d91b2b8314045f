"""What a plan can find, before anything is asked."""

from collections.abc import Callable
from typing import Any

import pytest
from scipy import stats

from beacon_pipeline.catalog.study import Assumptions, Labeller, Parameters, Probes
from beacon_pipeline.findings.power import answers_that_decide, chance_of, power_of
from beacon_pipeline.ledger.records import REGIONAL_ARM
from tests.beacon_pipeline.findings.simulated import a_claim, a_study


@pytest.mark.parametrize(
    ("claim", "changes", "why"),
    [
        (a_claim("deployment"), {"blocks": 1}, "one call a side"),
        (a_claim("deployment"), {"blocks": 5}, "no p below 0.0625"),
        (a_claim("deployment", arms=(REGIONAL_ARM,)), {}, "cannot be separated"),
        (a_claim("prompt"), {"questions": 5, "blocks": 1}, "the smallest p is 0.0625"),
        (a_claim("prompt", population="like_these"), {"questions": 5}, "too few questions"),
        (a_claim("prompt"), {"parameters": Parameters(temperature=0.0)}, "greedy"),
        (a_claim("models"), {}, "labels by people"),
        (
            a_claim("languages"),
            {"questions": 24},
            "errors differ between languages: it needs labels by people",
        ),
        (a_claim("computation"), {"probes": Probes()}, "no greedy probes"),
        (a_claim("computation"), {"blocks": 4}, "5 are needed"),
        (a_claim("interaction", outcome="text"), {}, "not defined"),
    ],
)
def test_what_can_never_be_found_and_why(claim: Any, changes: dict[str, Any], why: str) -> None:
    (found,) = power_of(a_study(claim, **changes))
    assert not found.reachable
    assert why in str(found.why_not)
    assert set(found.power.values()) <= {0.0}


def test_eight_blocks_carry_six_claims_and_six_do_not() -> None:
    claims = [a_claim("deployment", id=f"c{i}") for i in range(6)]
    assert all(one.reachable for one in power_of(a_study(*claims, blocks=8)))
    assert not any(one.reachable for one in power_of(a_study(*claims, blocks=6)))


@pytest.mark.parametrize(
    ("questions", "samples", "effect"), [(8, 5, 0.3), (25, 10, 0.2)], ids=["8x5 for .3", "25x10 for .2"]
)
def test_the_prompts_power_is_that_of_the_design_table(questions: int, samples: int, effect: float) -> None:
    study = a_study(a_claim("prompt"), questions=questions, blocks=1, samples=samples)
    assert power_of(study)[0].power[effect] >= 0.8


def test_power_falls_with_call_effects_claims_and_looks() -> None:
    people = (Labeller(method="rules"), Labeller(method="people"))
    for contrast in ("prompt", "deployment", "interaction", "models", "languages"):
        claims = [a_claim(contrast, id=f"c{i}") for i in range(3)]
        one = power_of(a_study(claims[0], labellers=people, blocks=12))[0].power
        more = power_of(a_study(*claims, labellers=people, blocks=12, looks=(6, 6)))[0].power
        assert one[0.1] < one[0.2] <= one[0.3]
        assert more[0.2] < one[0.2]


def test_answers_that_decide() -> None:
    assert 400 < answers_that_decide(0.1, 0.3) < 500
    assert answers_that_decide(0.05, 0.3) == pytest.approx(4 * answers_that_decide(0.1, 0.3), abs=2)


PEOPLE = (Labeller(method="rules"), Labeller(method="people"))
BASE, CALLS = 0.3, 0.25


def t_power(effect: float, variance: float, units: int, alpha: float) -> float:
    """Student's t, two-sided: the far tail of the noncentral one."""
    limit = stats.t.isf(alpha / 2, units - 1)
    return float(stats.nct.sf(limit, units - 1, effect / variance**0.5))


def spreads(effect: float) -> tuple[float, float]:
    other = BASE + effect if BASE + effect < 1 else BASE - effect
    return BASE * (1 - BASE), other * (1 - other)


def of_samples(effect: float, answers: int) -> float:
    return sum(spreads(effect)) / answers


def of_calls(effect: float, blocks: int) -> float:
    return sum((CALLS * spread) ** 2 for spread in spreads(effect)) / blocks


@pytest.mark.parametrize("effect", [0.05, 0.1, 0.2])
@pytest.mark.parametrize(
    ("contrast", "changes", "variance", "units"),
    [
        ("prompt", {}, lambda e: of_samples(e, 10 * 3 * 8), 10**6),
        ("prompt", {"population": "like_these"}, lambda e: of_samples(e, 240) + 0.15**2 / 10, 10),
        ("deployment", {}, lambda e: of_samples(e, 240) + of_calls(e, 8), 8),
        (
            *("deployment", {"population": "like_these"}),
            *(lambda e: of_samples(e, 240) + of_calls(e, 8) + 0.15**2 / 10, 8),
        ),
        ("interaction", {}, lambda e: 2 * of_samples(e, 240), 8),
        ("interaction", {"population": "like_these"}, lambda e: 2 * of_samples(e, 240) + 0.15**2 / 10, 8),
    ],
)
def test_the_chance_by_its_formula(
    effect: float, contrast: str, changes: dict[str, Any], variance: Callable[[float], float], units: int
) -> None:
    claim = a_claim(contrast, **changes)
    study = a_study(claim, questions=10, samples=3)
    alpha = max(0.05, 2 / 2**8 if contrast != "prompt" else 2 / 2**10 if changes else 0.0)
    expected = t_power(effect, variance(effect), units, alpha)
    assert chance_of(study, claim, effect) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("contrast", ["prompt", "models"])
def test_with_labels_by_people_the_chance_is_of_a_hundred_a_side(contrast: str) -> None:
    claim = a_claim(contrast)
    study = a_study(claim, questions=10, labellers=PEOPLE)
    expected = t_power(0.2, sum(spreads(0.2)) / 100 + 0.15**2 / 10, 10, 0.05)
    assert chance_of(study, claim, 0.2) == pytest.approx(expected, abs=1e-3)
    assert power_of(study)[0].smallest_p == 0.0


def test_claims_and_looks_share_the_level_but_never_below_the_least_p() -> None:
    claims = [a_claim("deployment", id=f"c{n}") for n in range(3)]
    study = a_study(*claims, blocks=14, looks=(7, 7))
    expected = t_power(0.2, of_samples(0.2, 25 * 14) + of_calls(0.2, 14), 14, 0.05 / 3 / 2)
    assert chance_of(study, claims[0], 0.2) == pytest.approx(expected, abs=1e-3)
    few = a_study(*claims, blocks=6)
    expected = t_power(0.2, of_samples(0.2, 25 * 6) + of_calls(0.2, 6), 6, 2 / 2**6)
    assert chance_of(few, claims[0], 0.2) == pytest.approx(expected, abs=1e-3)
    (found, *_) = power_of(few)
    assert found.smallest_p == pytest.approx(3 * 2 / 2**6)
    assert str(found.why_not) == (
        "the smallest p is 0.0312, and 0.0938 after correction for 3 claims and 1 looks"
    )
    assert (found.level, found.base_rate, found.call_effect) == (0.05, 0.3, 0.25)


def test_an_effect_that_leads_out_of_what_a_rate_can_be() -> None:
    claim = a_claim("deployment")
    high = a_study(claim, assumptions=Assumptions(base_rate=0.9))
    mirrored = chance_of(high, claim, 0.2)
    expected = t_power(
        0.2,
        (0.9 * 0.1 + 0.7 * 0.3) / (25 * 8) + ((0.25 * 0.09) ** 2 + (0.25 * 0.21) ** 2) / 8,
        *(8, 0.05),
    )
    assert mirrored == pytest.approx(expected, abs=1e-3)
    middle = a_study(claim, assumptions=Assumptions(base_rate=0.5))
    assert chance_of(middle, claim, 0.5) == 1.0


def test_where_no_formula_gives_a_chance() -> None:
    for claim in (a_claim("prompt", outcome="text"), a_claim("computation")):
        assert chance_of(a_study(claim), claim, 0.2) is None
        assert power_of(a_study(claim))[0].power == {}
    lost = a_claim("deployment")
    assert chance_of(a_study(lost, blocks=5), lost, 0.2) == 0.0
    assert set(power_of(a_study(a_claim("prompt")))[0].power) == {0.1, 0.2, 0.3}


@pytest.mark.parametrize(
    ("claim", "changes", "why"),
    [
        (a_claim("computation"), {"blocks": 5}, None),
        (a_claim("deployment"), {"blocks": 6}, None),
        (a_claim("prompt"), {"blocks": 1}, None),
        (a_claim("deployment", arms=(REGIONAL_ARM,)), {}, "in arm regional"),
        (a_claim("prompt", population="like_these"), {"questions": 6}, None),
        (a_claim("prompt"), {"questions": 5, "labellers": PEOPLE}, "too few questions: 5, 6 are needed"),
        (a_claim("prompt"), {"questions": 6, "labellers": PEOPLE}, None),
        (a_claim("deployment"), {"questions": 5, "labellers": PEOPLE}, None),
        (a_claim("models"), {"labellers": PEOPLE, "blocks": 1}, None),
        (a_claim("models", outcome="empty"), {}, None),
        (a_claim("models", outcome="empty"), {"labellers": PEOPLE, "blocks": 5}, "no p below 0.0625"),
        (a_claim("prompt", outcome="text"), {"blocks": 1}, "at least two answers"),
        (a_claim("prompt", outcome="text"), {"blocks": 2}, None),
        (a_claim("deployment", outcome="text"), {}, None),
        (a_claim("deployment", outcome="text", population="like_these"), {}, "these questions only"),
        (a_claim("prompt", outcome="text", population="like_these"), {}, None),
        (
            a_claim("deployment"),
            {"blocks": 1},
            "one call a side: a deployment cannot be separated from a call",
        ),
        (a_claim("computation"), {"probes": Probes(shared=2)}, "no greedy probes"),
        (a_claim("computation"), {"parameters": Parameters(temperature=0.0)}, None),
    ],
)
def test_where_an_obstacle_begins(claim: Any, changes: dict[str, Any], why: str | None) -> None:
    (found,) = power_of(a_study(claim, **changes))
    assert found.reachable is (why is None)
    assert (why or "") in str(found.why_not)
    assert found.claim == claim.id


@pytest.mark.parametrize(
    ("claim", "p"),
    [
        (a_claim("prompt"), 2 / 6**6),  # 2 questions × 3 blocks, 2 samples an arm: 6 ways each
        (a_claim("prompt", population="like_these"), None),
        (a_claim("computation"), None),
    ],
)
def test_the_least_p_of_a_plan(claim: Any, p: float | None) -> None:
    if p is not None:
        assert power_of(a_study(claim, questions=2, blocks=3, samples=2))[0].smallest_p == pytest.approx(p)
        return
    study = a_study(claim, questions=9, blocks=7)
    expected = 2 / 2**9 if claim.contrast == "prompt" else 2 / 3432
    assert power_of(study)[0].smallest_p == pytest.approx(expected)
    like = a_claim("deployment", population="like_these")
    assert power_of(a_study(like, questions=7, blocks=9))[0].smallest_p == pytest.approx(2 / 2**7)


def test_answers_that_decide_by_their_formula() -> None:
    z = stats.norm.isf(0.05) + stats.norm.isf(0.05)
    assert answers_that_decide(0.1, 0.3) == round(z**2 * 2 * 0.21 / 0.01)
    z = stats.norm.isf(0.1) + stats.norm.isf(0.1)
    assert answers_that_decide(0.2, 0.5, level=0.1, power=0.8) == round(z**2 * 0.5 / 0.04)
