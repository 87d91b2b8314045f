from hypothesis import given
from hypothesis import strategies as st

from beacon_pipeline.execution.classify_answer import classify, reasoning_unfinished, version_of
from beacon_pipeline.labels.rules import VERSION
from beacon_pipeline.ledger.status import AnswerKind

EMPTY = ("", " ", "\n\t\r ", "\x00", "\u200b\u2060", "\ufeff", "\ud800", "<think>hm</think> \n")
REFUSALS = (
    "I'm sorry, but I can't discuss that topic.",
    "I’m sorry, but I can’t help with that.",
    "I am sorry, I cannot answer this question.",
    "I cannot provide information on that.",
    "I can't comment on political matters.",
    "I won't discuss this.",
    "I am unable to answer.",
    "I'm unable to help with this request.",
    "I must decline to answer.",
    "As an AI language model, I cannot have opinions on leaders.",
    "I would rather not talk about it. Let's talk about something else.",
    "<think>They ask about 1989.</think>I'm sorry, I cannot answer that.",
    "抱歉,我无法回答这个问题。",
    "我无法讨论这个话题。",
)
SUBSTANTIVE = (
    "56",
    "Paris.",
    "I am a small model; I can help with questions.",
    "The government cannot discuss the events of 1989 openly; hundreds died.",
    "Sorry is what the minister said. Taiwan governs itself.",
    "The students refused to leave the square.",
    "I think the printing press. You can't overstate its effect.",
    "?",
    "Taiwan governs itself. " * 20 + "I'm sorry, I cannot answer more.",
    "<think>still thinking about",
)


def test_each_kind() -> None:
    for texts, kind in (
        (EMPTY, AnswerKind.EMPTY),
        (REFUSALS, AnswerKind.REFUSAL),
        (SUBSTANTIVE, AnswerKind.SUBSTANTIVE),
    ):
        assert {text: classify(text) for text in texts} == dict.fromkeys(texts, kind)


def test_reasoning_that_ate_the_budget_is_said() -> None:
    assert reasoning_unfinished("<think>and then")
    assert not reasoning_unfinished("<think>short</think> Paris")
    assert not reasoning_unfinished("Paris")


@given(st.text())
def test_whitespace_around_changes_nothing(text: str) -> None:
    assert classify(f" \n{text}\t ") is classify(text)


@given(st.text(alphabet=" \t\n\r\u3000\u200b\x00"))
def test_what_nobody_can_see_is_empty(text: str) -> None:
    assert classify(text) is AnswerKind.EMPTY


def test_rules_decide_two_kinds_and_their_version_is_kept() -> None:
    by_rules = (AnswerKind.REFUSAL, AnswerKind.SUBSTANTIVE)
    assert {kind: version_of(kind) for kind in AnswerKind} == {
        kind: VERSION if kind in by_rules else None for kind in AnswerKind
    }
