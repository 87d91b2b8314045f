"""Figures without a test: shares, likeness, what differs."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from beacon_pipeline.findings.summary import Share, Spread, changes, differ, summarized


def row(region: str, answer: str | None, **changes: Any) -> dict[str, Any]:
    """An execution as `rows.answer_rows` gives it, as far as a summary looks."""
    done = answer is not None
    values = {
        "region": region,
        "model": "m",
        "question": "q",
        "arm": "regional",
        "probe": False,
        "answer": answer,
    }
    values |= {
        "status": "completed" if done else "failed",
        "usable": done,
        "kind": "substantive" if done else None,
        "kind_version": "6" if done else None,
    }
    return values | {"dispatched_at": None, "completed_at": None} | changes


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    # statsmodels.stats.proportion.proportion_confint(part, whole, method="wilson")
    [
        (0, 8, 0.0, 0.324407565),
        (3, 8, 0.136844286, 0.694257605),
        (8, 8, 0.675592435, 1.0),
        (50, 100, 0.403831530, 0.596168470),
        (0, 0, 0.0, 1.0),
    ],
)
def test_wilson_intervals(part: int, whole: int, low: float, high: float) -> None:
    assert Share(part, whole).interval == pytest.approx((low, high), abs=1e-8)


def test_sets_of_texts_are_compared_not_their_order() -> None:
    assert not differ({"us": ["a", "b", "b"], "eu": ["b", "a"]})
    assert differ({"us": ["a"], "eu": ["a", "b"]})


def test_a_difference_between_prompts_of_one_region_is_seen() -> None:
    rows = [row("us", "a"), row("us", "b", arm="neutral"), row("eu", "a"), row("eu", "a", arm="neutral")]
    found = summarized(rows)
    assert (found.prompts_differing, found.prompts_comparable) == (1, 2)


def test_losses_and_unusable_answers_are_counted_and_not_compared() -> None:
    rows = [
        row("us", "a"),
        row("eu", None),
        row("apac", "b", usable=False),
        row("us", "a", arm="probe", probe=True),
    ]
    found = summarized(rows)
    assert (found.asked, found.answered, found.lost, found.unusable, found.probes) == (3, 1, 1, 1, 1)
    assert (found.places, found.comparable, found.differing) == (1, 0, 0)


def test_likeness_within_and_between_regions() -> None:
    rows = [row("us", "abcd"), row("us", "abcd"), row("eu", "abcd"), row("eu", "wxyz")]
    (found,) = summarized(rows).likeness
    assert (found.within, found.between) == (0.5, 0.5)
    (alone,) = summarized(rows[1:3]).likeness
    assert (alone.within, alone.between) == (None, 1.0)


def test_each_side_is_counted_by_what_came() -> None:
    rows = [
        *(
            row("us", text, kind=kind)
            for text, kind in (("a", "refusal"), ("a", "substantive"), ("b", "empty"))
        ),
        row("us", "a", question="r"),
        row("us", "c", usable=False),
        *(row("us", None, status=status) for status in ("failed", "timed_out", "cancelled")),
        *(row("us", None, status=status) for status in ("pending", "dispatched")),
        row("us", "d", arm="neutral"),
        row("eu", None),
        row("us", "p", probe=True, arm="probe"),
    ]
    found = summarized(rows)
    assert [(one.region, one.model, one.arm) for one in found.sides] == [
        *(("eu", "m", "regional"), ("us", "m", "neutral"), ("us", "m", "regional")),
    ]
    eu, _, us = found.sides
    assert (us.asked, us.answered, us.lost, us.under_way, us.unusable, us.texts) == (10, 4, 3, 2, 1, 3)
    assert us.kinds == {"empty": 1, "refusal": 1, "substantive": 2}
    assert (us.refusals, us.completeness) == (Share(1, 4), Share(4, 10))
    assert (eu.answered, eu.refusals.rate, eu.completeness.rate, eu.seconds) == (0, None, 0.0, None)
    assert found.kinds == {"empty": 1, "refusal": 1, "substantive": 3}
    figures = (found.asked, found.answered, found.lost, found.under_way, found.unusable, found.probes)
    assert figures == (12, 5, 4, 2, 1, 1)
    assert (found.questions, found.places, found.most_samples) == (2, 3, 3)
    assert summarized([]).most_samples == 0


def test_times_of_a_side_in_quartiles() -> None:
    begun = datetime(2026, 1, 1, tzinfo=UTC)

    def seconds(*given: float) -> Spread | None:
        rows = [
            row("us", "a", dispatched_at=begun, completed_at=begun + timedelta(seconds=one)) for one in given
        ]
        return (
            summarized([*rows, row("us", "a", dispatched_at=begun), row("us", "a", completed_at=begun)])
            .sides[0]
            .seconds
        )

    assert seconds() is None
    assert seconds(3) == Spread(3, 3, 3, 3)
    assert seconds(5, 1, 2, 4, 3) == Spread(2, 3, 4, 5)
    assert seconds(-1, 1) == Spread(0.25, 0.5, 0.75, 1)  # clocks of two machines


def test_what_changed_between_two_jobs_where_both_answered() -> None:
    here = [row("us", "a"), row("us", "b"), row("eu", "a"), row("apac", "a"), row("us", "x", question="r")]
    there = [row("us", "b"), row("us", "a"), row("eu", "c"), row("apac", None), row("us", "x", question="s")]
    assert changes(here, there) == (1, 2)
    assert changes(here, []) == (0, 0)


def test_likeness_is_a_mean_over_questions_of_few_samples() -> None:
    other = [row("us", "abcd", question="r"), row("eu", "wxyz", question="r"), row("us", "z", arm="neutral")]
    neutral, regional = summarized([row("us", "abcd"), row("eu", "abcd"), *other]).likeness
    assert (neutral.arm, neutral.within, neutral.between, neutral.questions) == ("neutral", None, None, 1)
    assert (regional.within, regional.between, regional.questions) == (None, 0.5, 2)
    many = [*(row("us", "abcd") for _ in range(5)), row("us", "wxyz")]
    (found,) = summarized(many).likeness
    assert found.within == 1.0, "the sixth sample is not looked at"
    one_more = [*(row("us", "abcd") for _ in range(4)), row("us", "wxyz")]
    assert summarized(one_more).likeness[0].within == pytest.approx(6 / 10)


def test_places_are_comparable_where_two_regions_answered() -> None:
    rows = [row("us", "a"), row("eu", "b"), row("us", "a", question="r"), row("eu", "a", question="r")]
    found = summarized([*rows, row("us", "a", question="s"), row("eu", None, question="s")])
    assert (found.comparable, found.differing, found.prompts_comparable) == (2, 1, 0)
