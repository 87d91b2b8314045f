"""A claim under error rates that were measured elsewhere: which rates are taken, and what they make of it."""

from typing import Any

import pandas as pd
import pytest

from beacon_pipeline.catalog.study import ErrorRates, Labeller
from beacon_pipeline.findings.elsewhere import Elsewhere, elsewhere
from beacon_pipeline.findings.sides import Sides
from beacon_pipeline.findings.statistics.error_rates import Errors, corrected
from tests.beacon_pipeline.findings.simulated import a_claim, a_study


def rates(sensitivity: float, specificity: float = 1.0, **changes: Any) -> ErrorRates:
    fields = {"model": "m", "source": "a paper"} | changes
    return ErrorRates(sensitivity=sensitivity, specificity=specificity, **fields)


def sides(a: tuple[int, int] = (30, 100), b: tuple[int, int] = (10, 100)) -> Sides:
    first, second = (
        pd.DataFrame({"value": [1.0] * hits + [0.0] * (of - hits) + [None]}) for hits, of in (a, b)
    )
    return Sides(first, second, ("a", "b"))


def found(claim: Any, *errors: ErrorRates, of: Sides | None = None) -> Elsewhere | None:
    return elsewhere(a_study(labellers=(Labeller(method="rules", errors=errors),)), claim, of or sides(), 0.9)


PROMPT = a_claim("prompt")


def test_both_rates_are_set_right_and_written_down() -> None:
    one = found(PROMPT, rates(0.6, arm="plain", source="one"), rates(0.5, 0.98, arm="strict", source="two"))
    assert one is not None
    expected = corrected((30, 100), (10, 100), Errors(0.6, 1.0), Errors(0.5, 0.98), 0.9)
    assert one.corrected == expected
    assert one.source == "one; two"
    assert one.sentence() == (
        "with error rates measured elsewhere (sensitivity 0.60 against 0.50, specificity 1.00 against 0.98; "
        f"one; two) it would be 0.50 against 0.17, difference +0.33, {expected.low:+.2f} to "
        f"{expected.high:+.2f}: a sensitivity analysis, no test"
    )
    same = found(PROMPT, rates(0.6))
    assert same is not None
    assert same.source == "a paper"


@pytest.mark.parametrize(
    ("claim", "errors", "sensitivities"),
    [
        # The most special that fits; one of another model, outcome or arm does not.
        (PROMPT, (rates(0.5), rates(0.6, arm="strict")), (0.5, 0.6)),
        (PROMPT, (rates(0.6, arm="strict"), rates(0.5)), (0.5, 0.6)),
        (PROMPT, (rates(0.5, model="n"),), None),
        (PROMPT, (rates(0.5, outcome="evasive"),), None),
        (PROMPT, (rates(0.5, arm="plain"),), None),
        (PROMPT, (rates(0.5, language="en"),), None),
        (a_claim("models"), (rates(0.5), rates(0.6, model="n")), (0.5, 0.6)),
        (a_claim("models"), (rates(0.5),), None),
        (
            a_claim("languages"),
            (rates(0.5), rates(0.6, language="en"), rates(0.7, arm="plain", language="en")),
            (0.5, 0.7),
        ),
        (a_claim("languages"), (rates(0.4, language="zh-hans"), rates(0.5, arm="plain")), (0.4, 0.5)),
        # Nothing to set right: facts, probes, a difference of differences.
        (a_claim("prompt", outcome="empty"), (rates(0.5, outcome="empty"),), None),
        (a_claim("interaction"), (rates(0.5),), None),
        (a_claim("computation"), (rates(0.5),), None),
    ],
)
def test_which_rates_are_taken(
    claim: Any, errors: tuple[ErrorRates, ...], sensitivities: tuple[float, float] | None
) -> None:
    one = found(claim, *errors)
    assert (one and tuple(rate.sensitivity for rate in one.errors)) == sensitivities


@pytest.mark.parametrize(
    ("least", "specificity", "weak"), [(0.3, 1.0, False), (0.29, 1.0, True), (0.5, 0.79, True)]
)
def test_a_labeller_that_says_too_little(least: float, specificity: float, weak: bool) -> None:
    one = found(PROMPT, rates(0.9, arm="plain"), rates(least, specificity, arm="strict"))
    assert one is not None
    assert one.too_weak == (
        "not measurable by this labeller: sensitivity + specificity − 1 is 0.29, as measured elsewhere "
        "(a paper)"
        if weak
        else None
    )


@pytest.mark.parametrize(
    ("errors", "of"),
    [((rates(0.4, 0.6),), sides()), ((rates(0.9),), sides(b=(0, 0))), ((rates(0.9),), sides((0, 0)))],
)
def test_what_cannot_be_set_right_has_no_sentence(errors: tuple[ErrorRates, ...], of: Sides) -> None:
    one = found(PROMPT, *errors, of=of)
    assert one is not None
    assert (one.corrected, one.sentence(), one.turns(0.5)) == (None, None, False)


@pytest.mark.parametrize(
    ("of", "effect", "turned"),
    [
        (sides((60, 100), (10, 100)), 0.5, False),
        (sides((60, 100), (10, 100)), -0.5, True),
        (sides((10, 100), (60, 100)), 0.5, True),
        (sides((10, 100), (60, 100)), -0.5, False),
        (sides((30, 100), (29, 100)), 0.01, True),
        (sides((29, 100), (30, 100)), -0.01, True),
    ],
)
def test_whether_a_difference_is_left(of: Sides, effect: float, turned: bool) -> None:
    one = found(PROMPT, rates(0.9), of=of)
    assert one is not None
    assert one.turns(effect) is turned
