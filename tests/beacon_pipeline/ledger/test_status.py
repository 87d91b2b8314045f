"""The words of the record, and which status may follow which."""

from enum import StrEnum
from itertools import product

import pytest

from beacon_pipeline.ledger.status import (
    AnswerKind,
    Cause,
    Evidence,
    IllegalTransition,
    LabelKind,
    LabelMethod,
    Status,
    require_legal,
)

# From a status, or from nothing, to those that may follow it.
LEGAL = """
nothing     pending
pending     dispatched completed failed cancelled
dispatched  pending completed failed timed_out cancelled
completed
failed      pending dispatched completed timed_out cancelled
timed_out   pending dispatched completed failed cancelled
cancelled   pending dispatched completed failed timed_out
"""
ALLOWED = {(row.split()[0], target) for row in LEGAL.strip().splitlines() for target in row.split()[1:]}


@pytest.mark.parametrize(
    ("words", "stored"),
    [
        (Status, "pending dispatched completed failed timed_out cancelled"),
        (AnswerKind, "substantive refusal empty unfinished"),
        (LabelKind, "complete evasive refusal"),
        (LabelMethod, "rules judge people"),
        (Cause, "asked dispatch reply provider_report retry cancel repair"),
        (Evidence, "public_value timestamp"),
    ],
)
def test_what_is_stored_keeps_its_words(words: type[StrEnum], stored: str) -> None:
    assert [word.value for word in words] == stored.split()


@pytest.mark.parametrize(("source", "target"), list(product([None, *Status], Status)))
def test_a_status_follows_only_where_it_may(source: Status | None, target: Status) -> None:
    name = source.value if source else "nothing"
    if (name, target.value) in ALLOWED:
        require_legal(source, target)
        return
    with pytest.raises(IllegalTransition, match=f"illegal transition: {name} -> {target.value}$") as caught:
        require_legal(source, target)
    assert (caught.value.source, caught.value.target) == (source, target)


def test_of_a_pending_or_dispatched_execution_more_is_expected() -> None:
    assert [status.value for status in Status if not status.is_terminal] == ["pending", "dispatched"]
