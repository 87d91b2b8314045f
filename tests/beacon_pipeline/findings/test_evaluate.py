"""From answers to findings: every verdict, qualifier and attribution, on answers with a known truth."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from beacon_pipeline.catalog.study import Asked, ErrorRates, Labeller, Parameters
from beacon_pipeline.findings.evaluate import evaluate
from beacon_pipeline.findings.finding import Finding, Qualifier, Verdict
from tests.beacon_pipeline.findings.simulated import a_claim, a_study, answers, labels_by, probes

STRICT = 2.0  # logits


def strict(rows: pd.DataFrame) -> Any:
    return STRICT * (rows["arm"] == "strict")


def eu(rows: pd.DataFrame) -> Any:
    return 1.5 * (rows["region"] == "eu")


def only(claim: Any, frame: pd.DataFrame, labels: pd.DataFrame | None = None, **changes: Any) -> Finding:
    (found,) = evaluate(a_study(claim, **changes), frame, labels)
    return found


def test_a_prompt_effect_is_found_and_attributed_to_the_prompt() -> None:
    found = only(a_claim("prompt"), answers(a_study(), 1, shift=strict))
    assert (found.verdict, found.attribution) == (
        Verdict.DIFFERS,
        "the prompt (randomized within each call)",
    )
    assert found.effect is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.effect < found.high < 0
    assert found.qualifiers[:3] == (
        Qualifier.THESE_QUESTIONS,
        Qualifier.PLANNED,
        Qualifier.SELF_REGISTERED,
    )
    assert (found.n_a, found.n_b, found.units) == (200, 200, "400 samples")
    assert "differs" in found.sentence()
    assert "95 % interval" in found.sentence()


def test_a_deployment_effect_is_no_prompt_effect() -> None:
    claims = a_claim("prompt"), a_claim("deployment"), a_claim("interaction")
    prompt, deployment, interaction = evaluate(a_study(*claims), answers(a_study(), 2, shift=eu, calls=0.25))
    assert deployment.verdict == Verdict.DIFFERS
    assert {Qualifier.LABEL_RATE} <= set(deployment.qualifiers) & set(prompt.qualifiers)
    assert Qualifier.ERRORS_MAY_DIFFER in prompt.qualifiers
    assert Qualifier.ERRORS_MAY_DIFFER not in (*deployment.qualifiers, *interaction.qualifiers)
    assert deployment.attribution == "between deployments, cause not identified"
    assert prompt.verdict == interaction.verdict == Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("claim", "changes", "why"),
    [
        (a_claim("deployment"), {"blocks": 1, "samples": 10}, "one call a side"),
        (a_claim("deployment", outcome="text"), {"blocks": 1, "samples": 10}, "one call a side"),
        (a_claim("interaction"), {"blocks": 1, "samples": 10}, "one call a side"),
        (a_claim("deployment"), {"blocks": 5}, "5 blocks: no p below 0.062"),
        (a_claim("prompt", population="like_these"), {"questions": 5}, "too few questions: 5"),
        (a_claim("deployment", population="like_these"), {"questions": 5}, "too few questions: 5"),
        (a_claim("models"), {}, "a side has no answers"),
    ],
)
def test_what_a_design_cannot_answer(claim: Any, changes: dict[str, Any], why: str) -> None:
    found = only(claim, answers(a_study(**changes), 3, shift=eu), **changes)
    assert found.verdict == Verdict.NOT_ANSWERABLE
    assert found.reason is not None
    assert why in found.reason
    assert (found.p, found.effect, found.rate_a, found.rate_b) == (None, None, None, None)


def test_a_p_that_correction_puts_out_of_reach_is_said() -> None:
    claims = [a_claim("deployment", id=f"c{i}") for i in range(4)]
    found = evaluate(a_study(*claims, blocks=6), answers(a_study(blocks=6), 4))
    assert {one.verdict for one in found} == {Verdict.NOT_ANSWERABLE}
    assert "after correction for 4 claims" in str(found[0].reason)


def test_regions_under_their_own_prompts_cannot_be_compared_as_deployments() -> None:
    frame = answers(a_study(), 5)
    frame["system_prompt"] = "You live in " + frame["region"]
    found = only(a_claim("deployment"), frame)
    assert found.verdict == Verdict.NOT_ANSWERABLE
    assert "cannot be separated" in str(found.reason)


def test_greedy_answers_are_counted() -> None:
    frame = answers(a_study(), 6, shift=strict).assign(temperature=0.0)
    found = only(a_claim("prompt"), frame, parameters=Parameters(temperature=0.0))
    assert found.verdict == Verdict.NOT_ANSWERABLE
    assert "of 25 differ" in str(found.reason)


def test_no_difference_is_only_said_with_a_delta_and_enough_answers() -> None:
    frame = answers(a_study(samples=4), 7, spread=1.5)
    assert only(a_claim("prompt", delta=0.1), frame).verdict == Verdict.NO_DIFFERENCE
    assert only(a_claim("prompt"), frame).verdict == Verdict.INCONCLUSIVE
    few = frame[frame["sample"] == 1]
    inconclusive = only(a_claim("prompt", delta=0.05), few)
    assert inconclusive.verdict == Verdict.INCONCLUSIVE
    assert "answers a side would decide" in str(inconclusive.reason)


def test_lost_answers_that_turn_a_verdict_take_it_away() -> None:
    frame = answers(a_study(samples=2), 8)
    lost = (frame["arm"] == "strict") & (frame["kind"] == "substantive")
    lost &= np.random.default_rng(1).random(len(frame)) < 0.3
    frame = frame.assign(status=frame["status"].where(~lost, "failed"), kind=frame["kind"].where(~lost))
    found = only(a_claim("prompt"), frame, samples=2)
    assert found.missing_a == 0
    assert found.missing_b > 50
    assert Qualifier.DEPENDS_ON_LOST_ANSWERS in found.qualifiers
    assert found.verdict != Verdict.DIFFERS


def test_unfinished_and_filtered_answers_are_lost_too_and_empty_ones_are_not() -> None:
    frame = answers(a_study(), 9)
    mine = (frame["arm"] == "plain") & (frame["region"] == "us")
    first, second, third = frame.index[mine][:3]
    frame.loc[first, "kind"] = "unfinished"
    frame.loc[second, "finish_reason"] = "content_filter"
    frame.loc[third, ["kind", "answer"]] = ["empty", ""]
    found = only(a_claim("prompt"), frame)
    assert (found.n_a, found.missing_a) == (198, 2)
    assert only(a_claim("prompt", outcome="empty"), frame).rate_a == pytest.approx(1 / 198)


def test_an_unplanned_look_and_an_unregistered_study_are_exploratory() -> None:
    frame = answers(a_study(), 10, shift=strict)
    planned = only(a_claim("prompt"), frame[frame["block"] <= 4], blocks=8, looks=(4, 4))
    assert Qualifier.PLANNED in planned.qualifiers
    assert planned.interval_level == pytest.approx(0.975)
    assert planned.p_adjusted == pytest.approx(2 * (planned.p or 0))
    unplanned = only(a_claim("prompt"), frame[frame["block"] <= 5], blocks=8, looks=(4, 4))
    assert Qualifier.EXPLORATORY in unplanned.qualifiers
    unregistered = only(a_claim("prompt"), frame, registered=None)
    assert unregistered.qualifiers[1] == Qualifier.EXPLORATORY


def test_a_look_under_way_is_left_out() -> None:
    frame = answers(a_study(), 10, shift=strict)
    second = frame.assign(job="k", execution="k" + frame["execution"])
    second.loc[second.index[-1], ["status", "kind", "answer"]] = ["dispatched", None, None]
    assert evaluate(a_study(a_claim("prompt")), second) == []
    both = pd.concat([frame, second], ignore_index=True)
    planned = a_study(a_claim("prompt"), blocks=16, looks=(8, 8))
    assert evaluate(planned, both) == evaluate(planned, frame)
    assert Qualifier.PLANNED in evaluate(planned, both)[0].qualifiers


def test_answers_of_an_older_version_are_exploration_for_the_newer_one() -> None:
    old = answers(a_study(), 10, shift=strict).assign(job="old", prompt="as before")
    new = answers(a_study(version=2), 11).assign(job="new", prompt="as before")
    new["execution"] = "n" + new["execution"]
    frame = pd.concat([old, new], ignore_index=True)
    found, older = evaluate(a_study(a_claim("prompt"), version=2), frame)
    assert [found] == evaluate(a_study(a_claim("prompt"), version=2), new)
    assert (older.claim, older.version, older.verdict) == ("prompt@1", 2, Verdict.DIFFERS)
    assert older.qualifiers[1:3] == (Qualifier.EXPLORATORY, Qualifier.OLDER_ANSWERS)
    assert Qualifier.SELF_REGISTERED not in older.qualifiers
    assert "exploratory, answers of an older version" in older.sentence()
    both = {"claims": (), "exploratory": (a_claim("prompt", planned=False),), "version": 2}
    assert evaluate(a_study(**both), frame)[0] == evaluate(a_study(**both), new)[0]  # a screening of its own
    # Nothing was asked for the new version yet: the old answers are all there is.
    assert [one.claim for one in evaluate(a_study(a_claim("prompt"), version=2), old)] == ["prompt@1"]
    # What was asked in other words, or under another prompt, is of another claim.
    asked = Asked(questions={f"q{i:02}": "in other words" for i in range(25)}, system_prompts={}, models={})
    assert [one.claim for one in evaluate(a_study(a_claim("prompt"), version=2, asked=asked), frame)] == [
        "prompt"
    ]
    prompts = {"plain": "Be plainer.", "strict": "Be strict."}
    assert evaluate(a_study(a_claim("prompt"), version=2, prompts=prompts), old) == []


def test_answers_that_people_picked_are_no_sample() -> None:
    frame = answers(a_study(), 16, models=("m", "n"))
    seen, people = labels_by(frame, frame["kind"] == "refusal", 1.0, 1)
    picked = people.assign(chance=np.nan)
    assert "no labels by people" in str(only(a_claim("models"), seen, picked).reason)


def test_weights_on_record_are_the_cause() -> None:
    frame = answers(a_study(), 13, shift=eu)
    frame["provenance_revision"] = frame["region"].map({"us": "r1", "eu": "r2"})
    assert only(a_claim("deployment"), frame).attribution == (
        "weights on record: us:m, arm plain has r1, eu:m, arm plain r2"
    )


def test_a_field_that_varies_only_with_the_region_is_named_as_inseparable() -> None:
    frame = answers(a_study(), 14, shift=eu)
    frame["provenance_gpu"] = frame["region"].map({"us": "A100", "eu": "H100"})
    found = only(a_claim("deployment"), frame)
    assert found.attribution == (
        "between deployments, cause not identified; region and GPU cannot be separated"
    )


def test_a_field_varied_within_a_region_is_attributed() -> None:
    study = a_study(blocks=16, samples=3)
    frame = answers(study, 15)
    # In eu 14 of 16 calls run on the other GPU, in us two: the GPU refuses, wherever it is.
    often = frame["block"] % 8 != 0
    other = np.where(frame["region"] == "eu", often, ~often)
    frame["provenance_gpu"] = np.where(other, "H100", "A100")
    frame["kind"] = np.where(
        other & (np.random.default_rng(1).random(len(frame)) < 0.5), "refusal", frame["kind"]
    )
    found = only(a_claim("deployment"), frame, blocks=16, samples=3)
    assert (found.verdict, found.attribution) == (Verdict.DIFFERS, "GPU (varied within a region)")


def test_without_people_models_cannot_be_compared_and_with_them_they_can() -> None:
    study = a_study(samples=1)
    frame = answers(study, 16, models=("m", "n"), shift=lambda rows: 2.0 * (rows["model"] == "n"))
    truth = frame["kind"] == "refusal"
    recall = frame["model"].map({"m": 0.9, "n": 0.2})
    seen, people = labels_by(frame, truth, recall, 1)
    assert "no labels by people" in str(only(a_claim("models"), seen).reason)
    found = only(a_claim("models"), seen, people)
    assert found.verdict == Verdict.DIFFERS
    assert not {Qualifier.LABEL_RATE, Qualifier.ERRORS_MAY_DIFFER} & set(found.qualifiers)
    assert (found.rate_b or 0) > 0.6
    assert found.labels == "rules, version not on record, set right by people's"


def in_chinese(rows: pd.DataFrame) -> Any:
    return 2.0 * (rows["question"] < "q12")


def test_languages_are_compared_by_people_alone_question_by_question() -> None:
    study = a_study(questions=24, samples=2)
    frame = answers(study, 20, shift=in_chinese, spread=0.5)
    truth = frame["kind"] == "refusal"
    recall = pd.Series(np.where(frame["question"] < "q12", 0.4, 0.9), index=frame.index)
    seen, people = labels_by(frame, truth, recall, 1, each=150)
    assert "no labels by people" in str(only(a_claim("languages"), seen, questions=24).reason)
    found = only(a_claim("languages"), seen, people, questions=24)
    assert found.verdict == Verdict.DIFFERS
    assert found.sides == ("us:m, arm plain, in zh-hans", "us:m, arm plain, in en")
    assert (found.n_a, found.n_b) == (192, 192)
    assert (found.effect or 0) > 0.25
    assert str(found.attribution).startswith("the question's language")


@pytest.mark.parametrize("population", ["these", "like_these"])
def test_empty_answers_in_two_languages_need_no_labels(population: str) -> None:
    study = a_study(questions=24, samples=2)
    frame = answers(study, 21, shift=in_chinese)
    frame["kind"] = frame["kind"].replace({"refusal": "empty"})
    claim = a_claim("languages", outcome="empty", population=population)
    found = only(claim, frame, questions=24, samples=2)
    assert found.verdict == Verdict.DIFFERS
    assert found.units == ("12 questions" if population == "like_these" else "384 samples")
    assert Qualifier.LABEL_RATE not in found.qualifiers


def measured_elsewhere(**sensitivity: float) -> dict[str, Any]:
    rates = (
        ErrorRates(model=name, sensitivity=value, specificity=0.98, source="a paper")
        for name, value in sensitivity.items()
    )
    return {"labellers": (Labeller(method="rules", errors=tuple(rates)),)}


def test_error_rates_measured_elsewhere_are_a_sensitivity_analysis_and_no_test() -> None:
    """FACTS' pair: equal true rates of .3, recalls of .06 and .73."""
    study = a_study(samples=2)
    frame = answers(study, 22, models=("m", "n"))
    recall = frame["model"].map({"m": 0.1, "n": 0.73})
    seen, _ = labels_by(frame, frame["kind"] == "refusal", recall, 1)
    models = only(a_claim("models"), seen, **measured_elsewhere(m=0.4, n=0.73))
    assert models.verdict == Verdict.NOT_ANSWERABLE
    assert "(sensitivity 0.40 against 0.73, specificity 0.98 against 0.98; a paper)" in str(models.elsewhere)
    assert "a sensitivity analysis, no test" in models.sentence()
    assert "With error rates measured elsewhere" in models.sentence()
    assert only(a_claim("models"), seen, **measured_elsewhere(m=0.4)).elsewhere is None
    assert only(a_claim("models"), seen).elsewhere is None


def test_a_difference_under_two_prompts_that_error_rates_take_away_is_not_answerable() -> None:
    frame = answers(a_study(), 23)
    recall = pd.Series(np.where(frame["arm"] == "plain", 0.9, 0.45), index=frame.index)
    seen, _ = labels_by(frame, frame["kind"] == "refusal", recall, 1)
    of_arms = tuple(
        ErrorRates(model="m", arm=arm, sensitivity=value, specificity=1.0, source="a paper")
        for arm, value in {"plain": 0.9, "strict": 0.45}.items()
    )
    found = only(a_claim("prompt"), seen, labellers=(Labeller(method="rules", errors=of_arms),))
    assert found.verdict == Verdict.NOT_ANSWERABLE
    assert found.p_adjusted is not None
    assert found.p_adjusted < 0.05
    assert str(found.reason).endswith("people's labels decide; as seen: differs")
    assert Qualifier.DEPENDS_ON_ERRORS in found.qualifiers
    same = only(a_claim("prompt"), seen, **measured_elsewhere(m=0.9))
    assert Qualifier.DEPENDS_ON_ERRORS not in same.qualifiers
    assert same.verdict == Verdict.DIFFERS


def test_a_labeller_that_was_found_to_measure_nothing_elsewhere_measures_nothing_here() -> None:
    found = only(a_claim("deployment"), answers(a_study(), 24, shift=eu), **measured_elsewhere(m=0.2))
    assert found.verdict == Verdict.NOT_ANSWERABLE
    assert "sensitivity + specificity − 1 is 0.18, as measured elsewhere (a paper)" in str(found.reason)


def test_how_the_answers_were_sampled_stands_in_the_finding() -> None:
    frame = answers(a_study(), 25)
    frame["top_p"] = 0.95
    frame["max_new_tokens"] = np.where(frame["region"] == "us", 64, 32)
    assert only(a_claim("prompt"), frame).decoding == "temperature 1, top-p 0.95, at most 64 tokens"
    place = only(a_claim("deployment"), frame)
    both = (f"temperature 1, top-p 0.95, at most {most} tokens" for most in (32, 64))
    assert place.sentence().endswith(f"Answers at {'; '.join(both)}.")
    frame["temperature"] = np.where(frame["region"] == "us", 0.0, 1.0)
    frame.loc[frame["region"] == "eu", "top_p"] = np.nan  # not on record
    assert only(a_claim("deployment"), frame).decoding == "greedy, at most 64 tokens"


def test_the_labels_that_a_finding_counts_are_named_with_their_version() -> None:
    frame = answers(a_study(), 25)
    assert only(a_claim("prompt"), frame).labels == "rules, version not on record"
    frame["kind_version"] = np.where(frame["block"] == 1, "5", "6")
    found = only(a_claim("prompt"), frame)
    assert found.labels == "rules, versions 5, 6"
    assert "two prompts. Labels by rules, versions 5, 6." in found.sentence()
    frame["label"], frame["label_method"], frame["label_version"] = frame["kind"], "rules", "7"
    assert only(a_claim("prompt"), frame).labels == "rules, version 7"
    frame["label_method"] = "people"  # whose label stands is not who labelled by rules
    assert only(a_claim("prompt"), frame).labels == "rules, versions 5, 6"
    by_rules = labels_of(frame, "refusal", "rules", "rules", version="8")
    assert only(a_claim("prompt"), frame, by_rules).labels == "rules, version 8"
    named = Labeller(method="judge", model="named")
    judged = labels_of(frame, "refusal", "judge", "named", version="2")
    assert only(a_claim("prompt"), frame, judged, labellers=(named,)).labels == "judge named, version 2"
    for claim in (a_claim("prompt", outcome="empty"), a_claim("prompt", outcome="text")):
        assert only(claim, frame).labels == ""
    empty = frame.assign(kind=frame["kind"].where(frame["block"] == 1, "empty"), label_method=None)
    assert only(a_claim("prompt"), empty).labels == "rules, version 5"


def test_a_labeller_that_measures_nothing_is_said() -> None:
    frame = answers(a_study(), 17, shift=eu)
    seen, people = labels_by(frame, frame["kind"] == "refusal", 0.1, 1)
    found = only(a_claim("deployment"), seen, people)
    assert found.verdict == Verdict.NOT_ANSWERABLE
    assert "not measurable by this labeller" in str(found.reason)


def labels_of(frame: pd.DataFrame, kinds: Any, method: str, labeller: str, **changes: Any) -> pd.DataFrame:
    made = {"execution": frame["execution"].to_numpy(), "kind": kinds, "method": method, "labeller": labeller}
    at = pd.Timestamp("2026-11-25", tz="UTC")
    return pd.DataFrame(made | {"version": "1", "chance": np.nan, "at": at} | changes)


def test_the_studys_first_labeller_counts_and_no_other_judge_or_version() -> None:
    frame = answers(a_study(), 18)
    strict_refuses = np.where(frame["arm"] == "strict", "refusal", "complete")
    judged = pd.concat(
        [
            labels_of(frame, strict_refuses, "judge", "named"),
            labels_of(frame, "refusal", "judge", "another", at=pd.Timestamp("2026-11-26", tz="UTC")),
            labels_of(
                frame, "evasive", "judge", "named", version="2", at=pd.Timestamp("2026-11-27", tz="UTC")
            ),
        ]
    )
    named = Labeller(method="judge", model="named", version="1")
    rest = Labeller(method="rules"), Labeller(method="people")
    found = only(a_claim("prompt"), frame, judged, labellers=(named, *rest))
    assert (found.rate_a, found.rate_b) == (0.0, 1.0)


def test_what_the_labeller_has_not_labelled_is_lost_and_no_other_stands_in() -> None:
    frame = answers(a_study(), 18)
    named = Labeller(method="judge", model="named")
    half = frame[frame["block"] <= 4]
    found = only(a_claim("prompt"), frame, labels_of(half, "complete", "judge", "named"), labellers=(named,))
    assert (found.n_a, found.missing_a, found.rate_a) == (100, 100, 0.0)
    plain = frame[frame["arm"] == "plain"]
    none = only(a_claim("prompt"), frame, labels_of(plain, "complete", "judge", "named"), labellers=(named,))
    assert none.verdict == Verdict.NOT_ANSWERABLE
    assert "no labels by judge named by whom the study counts" in str(none.reason)
    pinned = only(a_claim("prompt"), frame, labellers=(Labeller(method="rules", version="0"),))
    assert "no labels by rules, version 0," in str(pinned.reason)


def test_two_people_who_differ_count_half_until_a_third_decides() -> None:
    frame = answers(a_study(), 19)
    anna = labels_of(frame, "refusal", "people", "anna", chance=1.0)
    bert = labels_of(frame, "complete", "people", "bert", chance=1.0)
    third = labels_of(
        frame, "complete", "people", "cleo", chance=1.0, at=pd.Timestamp("2026-11-26", tz="UTC")
    )
    open_ = only(a_claim("prompt"), frame, pd.concat([anna, bert]))
    assert (open_.rate_a, open_.rate_b) == (0.5, 0.5)
    decided = only(a_claim("prompt"), frame, pd.concat([anna, bert, third]))
    assert (decided.rate_a, decided.rate_b) == (0.0, 0.0)


def test_texts_that_differ_between_arms_and_between_deployments() -> None:
    rng = np.random.default_rng(19)
    study = a_study(questions=4, samples=2)
    frame = answers(study, 19)
    words = rng.choice(["one", "two", "three", "four", "five"], (len(frame), 6))
    frame["answer"] = [" ".join(row) for row in words]
    plain = frame.copy()
    frame.loc[frame["arm"] == "strict", "answer"] += " and that is all that I can say to you"
    frame.loc[frame["region"] == "eu", "answer"] += " (as they have it in the region of eu)"
    claims = a_claim("prompt", outcome="text"), a_claim("deployment", outcome="text")
    changes = {"questions": 4, "samples": 2}
    assert {one.verdict for one in evaluate(a_study(*claims, **changes), frame)} == {Verdict.DIFFERS}
    same = evaluate(a_study(*claims, **changes), plain)
    assert {one.verdict for one in same} == {Verdict.INCONCLUSIVE}
    assert all(abs(one.effect or 0) < 0.05 for one in same)


def test_other_weights_under_a_provenance_that_lies_are_found_by_the_probes() -> None:
    study = a_study()
    claim = a_claim("computation", outcome="text")
    frame = pd.concat([answers(study, 20), probes(study, 20, differ=0.4)], ignore_index=True)
    found = only(claim, frame)
    assert (found.verdict, found.attribution) == (
        Verdict.DIFFERS,
        "between deployments, cause not identified",
    )
    assert "outputs of equal probes" in found.sentence()
    noise = pd.concat([answers(study, 20), probes(study, 20, noise=0.3)], ignore_index=True)
    assert only(claim, noise).verdict == Verdict.INCONCLUSIVE
    few = frame[frame["block"] <= 4]
    assert "4 calls a side" in str(only(claim, few).reason)


def test_the_same_rows_give_the_same_finding() -> None:
    frame = answers(a_study(blocks=16), 21, calls=0.3)
    claim = a_claim("deployment")
    first = only(claim, frame, blocks=16)
    again = only(claim, frame.sample(frac=1, random_state=1), blocks=16)
    assert first == again
