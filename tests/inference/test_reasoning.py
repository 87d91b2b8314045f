"""Thoughts are taken out of an output, and nothing else is."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.contract import FinishReason
from inference.reasoning import TAGS, Separated, separate

STOP, LENGTH = FinishReason.STOP, FinishReason.LENGTH
OPEN = "<|assistant|><think>\n"


@pytest.mark.parametrize(("start", "end"), TAGS)
def test_every_tag_holds_thoughts(start: str, end: str) -> None:
    thought = Separated("Paris.", "France? Paris.")
    assert separate(f"{start}France? Paris.{end}Paris.", STOP) == thought
    assert separate(f"\n{start}\nFrance? Paris.\n{end}\n\nParis.", STOP, prompt="<|assistant|>") == thought
    assert separate(f"France? Paris.{end}\n\nParis.", STOP, prompt=f"<|assistant|>{start}\n") == thought
    assert separate(f"France? Paris.{end}\n\nParis.", STOP) == thought
    assert separate(f"{start}France? Pa", LENGTH) == Separated("", "France? Pa", unfinished=True)
    assert separate("France? Pa", LENGTH, prompt=f"<|assistant|>{start}") == Separated(
        "", "France? Pa", unfinished=True
    )


@pytest.mark.parametrize(
    ("text", "finish_reason", "prompt", "expected"),
    [
        # The template opened the tag, and the model opens it again, or says nothing at all.
        ("<think>hm</think>Paris.", STOP, OPEN, Separated("Paris.", "hm")),
        ("<think>hm", LENGTH, OPEN, Separated("", "hm", unfinished=True)),
        ("", STOP, OPEN, Separated("", None, unfinished=True)),
        # An answer that never began, though the thoughts are done.
        ("<think>hm</think>\n\n", LENGTH, None, Separated("", "hm", unfinished=True)),
        ("<think>hm</think>\n\n", STOP, None, Separated("", "hm")),
        # Empty thoughts are none, several are all taken.
        ("<think>\n\n</think>\n\nParis.", STOP, None, Separated("Paris.", None)),
        ("<think>a</think>\n<think>b</think>Paris.", STOP, None, Separated("Paris.", "a\n\nb")),
        ("Paris.\n<think>sure?</think>\nYes.", STOP, None, Separated("Paris.\nYes.", "sure?")),
        ("<THINK>hm</Think>Paris.", STOP, None, Separated("Paris.", "hm")),
        ("<think>a < b</think>Paris.  \n", STOP, None, Separated("Paris.  \n", "a < b")),
        # Not thoughts, but talk of them.
        ("Write <think>so</think> in a line.", STOP, "x", Separated("Write <think>so</think> in a line.")),
        ("A </think> alone.", STOP, "<|assistant|>", Separated("A </think> alone.")),
        ("Paris <think> ", LENGTH, None, Separated("Paris <think> ")),
        ("I am thinking: Paris.", STOP, OPEN[:-8], Separated("I am thinking: Paris.")),
        # Channels.
        (
            "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>commentary to=x"
            "<|message|>b<|end|><|start|>assistant<|channel|>final<|message|>Paris.<|return|>",
            STOP,
            None,
            Separated("Paris.", "a\n\nb"),
        ),
        ("<|channel|>final<|message|>Paris.", STOP, None, Separated("Paris.", None)),
        ("<|channel|>analysis<|message|>Fra", LENGTH, None, Separated("", "Fra", unfinished=True)),
        ("<|channel|>analy", LENGTH, None, Separated("", None, unfinished=True)),
        (
            "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>",
            LENGTH,
            None,
            Separated("", "a", unfinished=True),
        ),
    ],
)
def test_what_is_taken_for_thoughts(
    text: str, finish_reason: FinishReason, prompt: str | None, expected: Separated
) -> None:
    assert separate(text, finish_reason, prompt=prompt) == expected


def holds_no_tag(text: str) -> bool:
    """Hypothesis draws the strings of the code too, the tags among them, in any case."""
    return not any(tag.casefold() in text.casefold() for tag in [*sum(TAGS, ()), "<|channel|>"])


@given(
    st.text().filter(holds_no_tag), st.sampled_from(FinishReason), st.sampled_from([None, "<|assistant|>"])
)
def test_a_text_without_thoughts_stays_as_it_is(text: str, finish_reason: FinishReason, prompt: str) -> None:
    assert separate(text, finish_reason, prompt=prompt) == Separated(text)


@given(st.text(alphabet="<think>/THINK[]| \n"), st.sampled_from(FinishReason))
def test_nothing_is_made_up(text: str, finish_reason: FinishReason) -> None:
    found = separate(text, finish_reason)
    assert found.answer in text or found.reasoning is not None
    assert len(found.answer) + len(found.reasoning or "") <= len(text) + text.count("\n")


@pytest.mark.parametrize("start", ["x\n<think>\n", "</think>x\n<think>\n", "<think>", " \n"])
def test_many_starts_without_an_end_take_linear_time(start: str) -> None:
    begun = time.perf_counter()
    separate(start * (200_000 // len(start)), STOP)
    assert time.perf_counter() - begun < 5


def test_the_tags_that_models_write_thoughts_between() -> None:
    names = ["think", "thinking", "thought", "reasoning", "seed:think"]
    written = [(f"<{name}>", f"</{name}>") for name in names]
    assert list(TAGS) == [*written, ("[THINK]", "[/THINK]"), ("◁think▷", "◁/think▷")]


def test_empty_thoughts_are_none_and_several_are_joined() -> None:
    stop = FinishReason.STOP
    assert separate("<think> \n</think>Yes.", stop) == Separated("Yes.")
    both = separate("<think>a</think>\n<think></think>\n<think>b</think>Yes.", stop)
    assert both.reasoning == "a\n\nb"
    channels = "<|channel|>analysis<|message|>hm<|end|><|channel|>final<|message|>Yes.<|return|>"
    assert separate(channels, stop) == Separated("Yes.", "hm")
    assert separate("<|channel|>analysis<|message|>hm", stop) == Separated("", "hm", unfinished=True)
