"""The words of the record."""

from enum import StrEnum

import pytest

from beacon_pipeline.ledger.status import (
    AnswerKind,
    Cause,
    Evidence,
    LabelKind,
    LabelMethod,
    Status,
)


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


def test_of_a_pending_or_dispatched_execution_more_is_expected() -> None:
    assert [status.value for status in Status if not status.is_terminal] == ["pending", "dispatched"]
