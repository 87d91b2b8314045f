"""What an estimate says of a claim: where one verdict ends, what is said with it, what takes it away."""

import hashlib
from typing import Any

import numpy as np
import pandas as pd
import pytest

from beacon_pipeline.catalog.study import Texts
from beacon_pipeline.findings.contrasts import Unanswerable
from beacon_pipeline.findings.evaluate import evaluate, seed_of, verdict
from beacon_pipeline.findings.finding import Finding, Qualifier, Verdict
from beacon_pipeline.findings.statistics.estimate import Estimate
from tests.beacon_pipeline.findings.simulated import a_claim, a_study, answers, labels_by, probes

SMALL: dict[str, Any] = {"questions": 6, "blocks": 6}


def an_estimate(narrow: tuple[float, float] = (-0.04, 0.04)) -> Estimate:
    return Estimate(0.0, -0.05, 0.05, narrow, 0.95, 0.5, 0.01, "block", 6, "t")


@pytest.mark.parametrize(
    ("delta", "narrow", "p", "expected"),
    [
        (None, (-0.04, 0.04), 0.05, Verdict.DIFFERS),
        (None, (-0.04, 0.04), 0.0501, Verdict.INCONCLUSIVE),
        (None, (-0.04, 0.04), None, Verdict.INCONCLUSIVE),
        (0.05, (-0.04, 0.04), None, Verdict.NO_DIFFERENCE),
        (0.05, (-0.04, 0.04), 0.01, Verdict.DIFFERS),
        (0.05, (-0.05, 0.04), 0.5, Verdict.INCONCLUSIVE),
        (0.05, (-0.04, 0.05), 0.5, Verdict.INCONCLUSIVE),
        (0.05, (-0.06, 0.04), 0.5, Verdict.INCONCLUSIVE),
        (0.05, (-0.04, 0.06), 0.5, Verdict.INCONCLUSIVE),
    ],
)
def test_where_one_verdict_ends(
    delta: float | None, narrow: tuple[float, float], p: float | None, expected: Verdict
) -> None:
    claim = a_claim("deployment", delta=delta)
    assert verdict(claim, an_estimate(narrow), p) == expected
    assert verdict(claim, Unanswerable("no"), p) == Verdict.NOT_ANSWERABLE


def only(claim: Any, frame: pd.DataFrame, labels: pd.DataFrame | None = None, **changes: Any) -> Finding:
    (found,) = evaluate(a_study(claim, **SMALL | changes), frame, labels)
    return found


def some(seed: int = 1, **changes: Any) -> pd.DataFrame:
    return answers(a_study(**SMALL | changes), seed)


def test_random_draws_are_seeded_by_the_names_alone() -> None:
    claim = a_claim("deployment")
    expected = int.from_bytes(hashlib.sha256(b"s/1/deployment").digest()[:4], "big")
    assert seed_of(a_study(claim), claim) == expected == only(claim, some()).seed


def test_looks_share_the_level_of_planned_claims_only() -> None:
    changes = {"looks": (3, 3)}
    assert only(a_claim("deployment"), some(), **changes).interval_level == pytest.approx(0.975)
    loose = only(a_claim("deployment", level=0.1), some(), **changes, registered=None)
    assert loose.interval_level == pytest.approx(0.9)
    assert only(a_claim("deployment"), some()).interval_level == pytest.approx(0.95)


def test_what_is_said_with_a_verdict() -> None:
    outside = only(a_claim("deployment", population="like_these"), some(), registered="outside")
    assert outside.qualifiers == (
        *(Qualifier.LIKE_THESE, Qualifier.PLANNED, Qualifier.REGISTERED_OUTSIDE, Qualifier.LABEL_RATE),
    )
    frame = some()
    frame.loc[frame.index[0], "finish_reason"] = "length"
    frame.loc[frame.index[1], "out_of_block"] = True
    said = only(a_claim("prompt"), frame).qualifiers
    assert {Qualifier.LENGTH_LIMIT, Qualifier.OUT_OF_BLOCK} <= set(said)
    assert only(a_claim("deployment", outcome="empty"), some()).qualifiers == (
        *(Qualifier.THESE_QUESTIONS, Qualifier.PLANNED, Qualifier.SELF_REGISTERED),
    )


@pytest.mark.parametrize(("characters", "cut"), [(13, False), (12, True)])
def test_a_text_beyond_the_cap_is_said(characters: int, cut: bool) -> None:
    study = {"texts": Texts(characters=characters), "samples": 2}
    frame = some(samples=2)
    assert frame["answer"].str.len().max() == len("I cannot say.") == 13
    text = only(a_claim("deployment", outcome="text"), frame, **study)
    assert (Qualifier.TEXTS_CUT in text.qualifiers) is cut
    assert (text.rate_a, text.rate_b) == (None, None)
    assert Qualifier.TEXTS_CUT not in only(a_claim("deployment"), frame, **study).qualifiers
    both = pd.concat([frame, probes(a_study(**SMALL), 1)], ignore_index=True)
    same = only(a_claim("computation", outcome="text"), both, **study)
    assert Qualifier.TEXTS_CUT not in same.qualifiers
    assert (same.rate_a, same.n_a, same.missing_a) == (None, 36, 0)


def test_the_sides_of_an_interaction_are_differences() -> None:
    found = only(a_claim("interaction"), some())
    assert found.sides == (
        "us:m, arm plain less us:m, arm strict",
        "eu:m, arm plain less eu:m, arm strict",
    )
    assert (found.rate_a, found.rate_b) == (None, None)
    assert only(a_claim("deployment"), some()).sides == ("us:m, arm plain", "eu:m, arm plain")


def test_a_difference_smaller_than_delta_is_said_to_be_so() -> None:
    def effect(rows: pd.DataFrame) -> Any:
        return 0.1 * (rows["arm"] == "strict")

    frame = answers(a_study(questions=6, blocks=6, samples=20), 3, effect=effect)
    found = only(a_claim("prompt", delta=0.3), frame, samples=20)
    assert (found.verdict, Qualifier.WITHIN_DELTA in found.qualifiers) == (Verdict.DIFFERS, True)
    assert Qualifier.WITHIN_DELTA not in only(a_claim("prompt", delta=0.05), frame, samples=20).qualifiers
    assert Qualifier.WITHIN_DELTA not in only(a_claim("prompt"), frame, samples=20).qualifiers


def test_what_would_decide_is_said_of_rates_with_a_delta() -> None:
    small = only(a_claim("deployment", delta=0.01), some(7))
    assert small.verdict == Verdict.INCONCLUSIVE
    assert "answers a side would decide" in str(small.reason)
    assert only(a_claim("deployment"), some(7)).reason is None
    text = only(a_claim("deployment", outcome="text", delta=0.001), some(7, samples=2), samples=2)
    assert (text.verdict, text.reason) == (Verdict.INCONCLUSIVE, None)


@pytest.mark.parametrize(("recall", "said"), [(0.03, True), (0.9, False)])
def test_a_labeller_below_the_least_is_not_trusted(recall: float, said: bool) -> None:
    frame = answers(a_study(**SMALL, samples=6), 17, base=0.5)
    seen, people = labels_by(frame, frame["kind"] == "refusal", recall, 1, each=60)
    found = only(a_claim("deployment"), seen, people, samples=6)
    assert ("not measurable by this labeller" in str(found.reason)) is said
    facts = only(a_claim("deployment", outcome="empty"), seen, people, samples=6)
    assert "labeller" not in str(facts.reason)


def lost(frame: pd.DataFrame, where: Any) -> pd.DataFrame:
    return frame.assign(status=frame["status"].where(~where, "failed"), kind=frame["kind"].where(~where))


def test_few_lost_answers_change_nothing_and_many_turn_it() -> None:
    study = a_study(questions=6, blocks=6, samples=10)
    frame = answers(study, 5, shift=lambda rows: 3.0 * (rows["arm"] == "strict"))
    mine = (frame["arm"] == "plain") & (frame["region"] == "us")
    one = frame.index.isin(frame.index[mine][:1])
    found = only(a_claim("prompt"), lost(frame, one), samples=10)
    assert (found.verdict, found.missing_a, found.reason) == (Verdict.DIFFERS, 1, None)
    assert Qualifier.DEPENDS_ON_LOST_ANSWERS not in found.qualifiers
    most = mine & (np.arange(len(frame)) % 20 > 0)
    turned = only(a_claim("prompt"), lost(frame, most), samples=10)
    assert turned.verdict == Verdict.NOT_ANSWERABLE
    assert str(turned.reason).startswith("with all lost answers taken as the outcome the verdict is another")
    assert str(turned.reason).endswith("as seen: differs")


def test_what_lost_answers_leave_inconclusive_stays_so() -> None:
    frame = answers(a_study(questions=6, blocks=6, samples=10), 6)
    mine = (frame["arm"] == "plain") & (frame["region"] == "us") & (np.arange(len(frame)) % 2 > 0)
    found = only(a_claim("prompt"), lost(frame, mine), samples=10)
    assert found.verdict == Verdict.INCONCLUSIVE
    assert Qualifier.DEPENDS_ON_LOST_ANSWERS in found.qualifiers


def test_a_claim_of_an_older_version_that_was_not_asked_is_no_finding() -> None:
    assert evaluate(a_study(a_claim("models"), **SMALL, version=2), some().assign(version=1)) == []


def test_the_words_of_findings_are_stored() -> None:
    assert [one.value for one in Verdict] == [
        *("differs", "no difference larger than δ", "inconclusive", "not answerable"),
    ]
    found = only(a_claim("deployment"), some())
    kept = found.as_dict()
    assert (kept["study"], kept["version"], kept["claim"], kept["model"]) == ("s", 1, "deployment", "m")
    assert (kept["contrast"], kept["outcome"], kept["population"]) == ("deployment", "refusal", "these")
    assert kept["units"] == "6 blocks"
    assert (kept["n_a"], kept["missing_a"]) == (36, 0)
    assert kept["test"] == "sign flips over blocks"
