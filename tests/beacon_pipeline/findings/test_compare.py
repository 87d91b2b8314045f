"""Answers side by side: who answered alike, what differs, and what the terminal shows of it."""

from typing import Any

import pytest
from rich.console import Console

from beacon_pipeline.cli.side_by_side import comparison_panel, summary_line
from beacon_pipeline.findings.compare import Comparison, Place, comparisons
from beacon_pipeline.findings.rows import COLUMNS
from beacon_pipeline.findings.word_diff import word_differences


def a_row(region: str, answer: str | None, **changes: Any) -> dict[str, Any]:
    fixed = {
        "model": "m",
        "question": "q",
        "region": region,
        "arm": "regional",
        "probe": False,
        "answer": answer,
        "kind": None if answer is None else "substantive" if answer else "empty",
        "kind_version": "6" if answer else None,
        "status": "failed" if answer is None else "completed",
        "prompt": "What is it?",
        "system_prompt": f"You are in {region}.",
        "provenance_gpu": "A100",
    }
    return dict.fromkeys(COLUMNS) | fixed | changes


def shown(comparison: Comparison, *, styled: bool = False) -> str:
    console = Console(width=120, record=True, file=None, force_terminal=False)
    with console.capture() as captured:
        console.print(comparison_panel(comparison, styled=styled))
    return captured.get()


def test_what_differs_and_what_does_not() -> None:
    rows = [
        a_row("us", "It is so."),
        a_row("eu", "It is not so.", provenance_gpu="H100"),
        a_row("us", "x", question="r"),
        a_row("eu", "x", question="r", kind_version="10"),
        a_row("eu", "y", question="r", probe=True, kind_version="3"),
        a_row("ap", None, question="r"),
    ]
    differing, alike = comparisons(rows)
    assert (differing.different, alike.different) == (True, False)
    (pair,) = differing.pairs
    assert (pair.same_prompt, pair.provenance, pair.within) == (False, ("provenance_gpu",), None)
    assert pair.between == pytest.approx(1 - 4 / 13, abs=1e-4)
    assert alike.pairs[0].between == 1.0
    assert (differing.rules, alike.rules) == (("6",), ("6", "10"))
    assert "⟦not ⟧" in shown(differing) or "⟦not⟧" in shown(differing)
    assert "provenance differs in gpu" in shown(differing)
    assert summary_line("job", [differing, alike], 1).plain == (
        "job: 1 of 2 answered differently (model × question), 1 alike not shown; "
        "kinds by rules, versions 6, 10"
    )
    assert summary_line("job", [], 0).plain == "job: 0 of 0 answered differently (model × question)"


def test_several_samples_are_held_against_each_other() -> None:
    rows = [a_row("us", text) for text in ("aaaa", "aaaa", "aabb")] + [a_row("eu", "bbbb")] * 2
    (found,) = comparisons(rows)
    (pair,) = found.pairs
    assert found.answers[0].texts == (("aaaa", 2), ("aabb", 1))
    assert pair.within == pytest.approx(((1 + 0.5 + 0.5) / 3 + 1) / 2, abs=1e-4)
    assert pair.between == pytest.approx((2 * 2 * 0 + 2 * 0.5) / 6, abs=1e-4)
    assert "2 texts in 3 answers" in shown(found)


def test_arms_are_compared_within_a_region_and_regions_within_an_arm() -> None:
    rows = [a_row(region, region + arm, arm=arm) for region in ("us", "eu") for arm in ("plain", "strict")]
    (found,) = comparisons(rows)
    assert {(str(pair.a), str(pair.b)) for pair in found.pairs} == {
        ("us, plain", "us, strict"),
        ("eu, plain", "eu, strict"),
        ("us, plain", "eu, plain"),
        ("us, strict", "eu, strict"),
    }


def test_what_was_lost_and_what_is_hostile_is_shown_as_it_is() -> None:
    hostile = "\x1b[31mred[/] [link=x]y[/link] \u202e" + "z" * 2_000
    (found,) = comparisons([a_row("us", None), a_row("eu", hostile), a_row("apac", "")])
    text = shown(found)
    assert "1 failed" in text
    assert "1 empty" in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "[link=x]" in text.replace("\n", "").replace(" ", "") or "[link=x]" in text
    assert "more characters" in text


def test_another_text_is_called_so_and_not_marked_word_by_word() -> None:
    rows = [a_row("us", "Paris is the capital of France."), a_row("eu", "I cannot talk about that.")]
    text = shown(*comparisons(rows))
    assert "another text" in text
    assert "⟦" not in text


def test_no_letter_of_a_long_word_is_left_out() -> None:
    word = "".join(map(str, range(100)))
    text = shown(*comparisons([a_row("us", word), a_row("eu", word), a_row("apac", word)]))
    assert "…" not in text
    assert sum(text.count(digit) for digit in "0123456789") >= 3 * len(word)


@pytest.mark.parametrize(
    ("one", "other", "marked"),
    [
        ("the cat sat", "the dog sat", ["dog"]),
        ("台湾是一个岛", "台湾是两个岛", ["两"]),
        ("", "new", ["new"]),
        ("same", "same", []),
        ("it is so now", "it was not now", ["was not"]),
    ],
)
def test_differences_are_of_words(one: str, other: str, marked: list[str]) -> None:
    left, right = word_differences(one, other)
    assert "".join(piece for piece, _ in left) == one
    assert "".join(piece for piece, _ in right) == other
    assert [piece for piece, lacking in right if lacking] == marked


def test_a_place_is_named_by_its_region_and_by_its_arm_where_that_says_more() -> None:
    assert (str(Place("eu", "regional")), str(Place("eu", "neutral"))) == ("eu", "eu, neutral")


def test_what_came_from_each_place_is_counted() -> None:
    rows = [a_row("us", "b"), a_row("us", "a"), a_row("us", "a"), a_row("us", None), a_row("us", "")]
    rows += [a_row("eu", None, prompt=None, system_prompt=None)]
    (found,) = comparisons([a_row("apac", None, prompt=None, system_prompt=None), *rows])
    apac, us, eu = found.answers
    assert (us.asked, us.answered, us.text) == (5, 4, "a")
    assert us.texts[0] == ("a", 2)
    assert us.kinds == {"substantive": 3, "empty": 1}
    assert us.statuses == {"completed": 4, "failed": 1}
    assert (us.system_prompt, apac.system_prompt) == ("You are in us.", None)
    assert (eu.asked, eu.answered, eu.text) == (1, 0, None)
    assert (found.prompt, found.answered, found.distinct, found.different) == ("What is it?", 4, 3, False)
    assert found.pairs == (), "a place without an answer is no side"
    kept = found.as_dict()
    assert (kept["different"], kept["distinct"], kept["model"]) == (False, 3, "m")
    (unasked,) = comparisons([a_row("us", None, prompt=None)])
    assert unasked.prompt is None


def test_models_and_questions_come_in_order_and_probes_not_at_all() -> None:
    rows = [a_row("us", "x", model=model, question=q) for model in ("n", "m") for q in ("r", "q")]
    rows.append(a_row("us", "x", model="a", probe=True))
    assert [(one.model, one.question) for one in comparisons(rows)] == [
        *(("m", "q"), ("m", "r"), ("n", "q"), ("n", "r")),
    ]


@pytest.mark.parametrize(
    ("field", "one", "other", "named"),
    [
        ("provenance_gpu", "A100", "H100", True),
        ("provenance_gpu", "A100", "A100", False),
        ("provenance_gpu", "A100", None, False),
        ("provenance_gpu", None, "A100", False),
        ("provenance_region", "us-1", "eu-1", False),
        ("provenance_batch_size", 1, 2, False),
        ("provenance_rendered_prompt_sha256", "a", "b", False),
        ("provenance_dtype", "float32", "float16", True),
    ],
)
def test_what_else_differs_is_what_serves(field: str, one: object, other: object, named: bool) -> None:
    rows = [a_row("us", "x", **{field: one}), a_row("eu", "y", **{field: other})]
    rows.append(a_row("us", "x", **{field: None}))
    (pair,) = comparisons(rows)[0].pairs
    assert (field in pair.provenance) is named


def test_prompts_and_likeness_within_places() -> None:
    same = [a_row(region, text, system_prompt="s") for region in ("us", "eu") for text in ("aa", "ab", "ab")]
    (pair,) = comparisons(same)[0].pairs
    assert pair.same_prompt
    assert pair.within == pytest.approx((2 * 0.5 + 1) / 3, abs=1e-4)
    assert pair.between == pytest.approx((1 + 4 * 0.5 + 4) / 9, abs=1e-4)
    one_sided = [a_row("us", "aa"), a_row("us", "ab"), a_row("eu", "aa")]
    assert comparisons(one_sided)[0].pairs[0].within == 0.5


def test_how_much_of_how_many_texts_is_compared() -> None:
    long = [a_row("us", "a" * 1000 + "b"), a_row("eu", "a" * 1000 + "c")]
    assert comparisons(long)[0].pairs[0].between == 1.0
    within = [a_row("us", "a" * 999 + "b"), a_row("eu", "a" * 999 + "c")]
    assert comparisons(within)[0].pairs[0].between == 0.999
    many = [a_row("us", f"{n:02}") for n in range(60) for _ in range(2)] + [a_row("us", "xx")]
    (pair,) = comparisons([*many, a_row("eu", "xx")])[0].pairs
    assert pair.between == 0.0, "the rarest of 61 texts is not compared"
    (pair,) = comparisons([*many[2:], a_row("eu", "xx")])[0].pairs
    assert pair.between > 0
