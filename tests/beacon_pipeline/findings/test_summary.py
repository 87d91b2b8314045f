"""Figures without a test: shares, likeness, what differs."""

from typing import Any

import pytest

from beacon_pipeline.findings.summary import Share, differ, summarized


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
