"""Which kind of answer a text is. Pure; what is a refusal, the rules of `labels/` say."""

from __future__ import annotations

from beacon_pipeline.labels.rules import VERSION, label
from beacon_pipeline.labels.text import has_text, outside_thoughts
from beacon_pipeline.ledger.status import AnswerKind, LabelKind


def classify(text: str, question: str = "") -> AnswerKind:
    """The kind of an answer, from its text and what was asked.

    ``empty``: nothing a reader could see. ``refusal``: the rules label it so. A closed ``<think>``
    block is not part of the answer; one that used up the token budget is left as it is (see
    `reasoning_unfinished`), being neither empty nor an answer.
    """
    answer, unfinished = outside_thoughts(text)
    if not has_text(answer) and not unfinished:
        return AnswerKind.EMPTY
    found = label(text, question)
    if found is not None and found.kind is LabelKind.REFUSAL:
        return AnswerKind.REFUSAL
    return AnswerKind.SUBSTANTIVE


def version_of(kind: AnswerKind) -> str | None:
    """The version of the rules that a kind of now is by; None for a fact that no rule decides."""
    return VERSION if kind in (AnswerKind.REFUSAL, AnswerKind.SUBSTANTIVE) else None


def reasoning_unfinished(text: str) -> bool:
    """Whether a thought was opened and never closed: the answer itself never came."""
    return outside_thoughts(text)[1]
