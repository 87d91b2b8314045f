"""What a plan can find, before anything is asked."""

from typing import Any

import pytest

from beacon_pipeline.catalog.study import Labeller, Parameters, Probes
from beacon_pipeline.findings.power import answers_that_decide, power_of
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
