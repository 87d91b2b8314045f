"""What a new finding says of an old one: decision 17 of the studies, case by case."""

from dataclasses import replace

import pytest

from beacon_pipeline.findings.finding import Finding, Verdict
from beacon_pipeline.findings.replication import replication


def found(effect: float | None, half: float = 0.1, verdict: Verdict = Verdict.DIFFERS) -> Finding:
    low, high = (None, None) if effect is None else (effect - half, effect + half)
    return Finding(
        study="s", version=1, claim="c", contrast="prompt", outcome="refusal", model="m", sides=("a", "b"),
        population="these", units="samples", n_a=50, n_b=50, missing_a=0, missing_b=0, rate_a=None,
        rate_b=None,
        effect=effect, low=low, high=high, interval_level=0.95, p=None, p_adjusted=None, verdict=verdict,
        qualifiers=(), attribution=None, reason=None, test=None, seed=1,
    )  # fmt: skip


OPEN = Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("new", "delta", "said"),
    [
        (found(0.15, 0.05), None, "replicated"),
        (found(-0.15, 0.05), None, "contradicted"),
        (found(-0.02, 0.01, OPEN), None, "contradicted"),
        (found(0.0, 0.04, OPEN), 0.05, "contradicted"),
        (found(0.0, 0.05, OPEN), 0.05, "smaller than claimed"),  # not within δ at one end
        (found(0.01, 0.04, OPEN), 0.05, "smaller than claimed"),
        (found(-0.1, 0.1, OPEN), None, "smaller than claimed"),
        (found(0.0, 0.06, OPEN), None, "smaller than claimed"),
        # Its standard error is .0306, so its upper bound is .0504 above it.
        (found(0.026, 0.06, OPEN), None, "smaller than claimed"),
        (found(0.028, 0.06, OPEN), None, "inconclusive"),
        (found(0.05, 0.2, OPEN), None, "inconclusive"),
        (found(None, verdict=Verdict.NOT_ANSWERABLE), None, "inconclusive"),
        (replace(found(0.15), low=None), None, "inconclusive"),
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_what_becomes_of_a_finding(new: Finding, delta: float | None, said: str, sign: int) -> None:
    # Of an original of .3 ± .1 the standard error is .051: it had a power of one third to find .078.
    original = found(sign * 0.3)
    if new.effect is not None and new.low is not None and new.high is not None:
        low, high = sorted((sign * new.low, sign * new.high))
        new = replace(new, effect=sign * new.effect, low=low, high=high)
    assert replication(original, new, delta) == said


def test_what_has_no_effect_cannot_be_replicated() -> None:
    for original in (found(None), replace(found(0.3), low=None), replace(found(0.3), high=None)):
        with pytest.raises(ValueError, match="claim c has no effect"):
            replication(original, found(0.3), None)
