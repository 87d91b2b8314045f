"""Cues in a short answer: how often each is found, and what they add up to."""

import pytest
from pydantic import ValidationError

from beacon_pipeline.labels.cues import Cue, Weighing, compiled

WEIGHING = Weighing(
    short=100,
    enough=3,
    sure=5,
    unsaid=6,
    define={"i": "(?:i|we)", "cannot": "<i> (?:cannot|can not)"},
    cues=(
        Cue(id="cannot", points=2, most=2, declines=True, pattern="<cannot>"),
        Cue(id="list", points=-1, pattern=r"\d\."),
        Cue(id="warm", points=3, most=3, pattern="dear"),
    ),
)


@pytest.mark.parametrize(
    ("text", "found", "points"),
    [
        ("", [0, 0, 0], 0),
        ("i cannot", [1, 0, 0], 2),
        ("i cannot, we can not, i cannot", [2, 0, 0], 4),
        ("we cannot: 1. this 2. that", [1, 1, 0], 1),
    ],
)
def test_each_cue_counts_so_often_and_no_more(text: str, found: list[int], points: int) -> None:
    assert (WEIGHING.found(text), WEIGHING.points(text)) == (found, points)


@pytest.mark.parametrize(
    ("text", "size", "evasive", "refused"),
    [
        ("i cannot", 10, False, False),  # 2 points
        ("i cannot, i cannot", 100, False, True),  # 4: enough
        ("i cannot, i cannot", 101, False, False),  # too long to be weighed
        ("i cannot, i cannot", 10, True, False),  # not sure enough against a rule
        ("i cannot, dear", 10, True, True),  # 5: sure
        ("dear", 10, False, False),  # 3: enough only where something is declined
        ("dear, dear", 10, False, True),  # 6
        ("dear, dear, dear", 10, True, False),  # 9, and never against a rule
    ],
)
def test_enough_points_refuse_and_against_a_rule_more_are_needed(
    text: str, size: float, evasive: bool, refused: bool
) -> None:
    assert WEIGHING.refuses(text, size, evasive=evasive) is refused


def test_a_part_uses_those_before_it_and_lines_are_joined() -> None:
    assert compiled("<b>\nc", {"a": "x", "b": "<a>y"}).pattern == "xyc"


@pytest.mark.parametrize("model", [Cue, Weighing])
def test_an_unknown_key_of_the_file_is_refused_and_nothing_changes_later(model: type[Cue | Weighing]) -> None:
    kept = WEIGHING if model is Weighing else WEIGHING.cues[0]
    with pytest.raises(ValidationError, match="extra_forbidden"):
        model.model_validate(kept.model_dump() | {"pints": 1})
    with pytest.raises(ValidationError, match="frozen"):
        kept.__setattr__(next(iter(type(kept).model_fields)), "x")
