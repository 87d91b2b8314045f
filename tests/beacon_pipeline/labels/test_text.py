"""What of an answer is judged, part by part: thoughts, quotes, spelling, length, sentences."""

import pytest

from beacon_pipeline.labels.text import (
    has_text,
    is_visible,
    outside_thoughts,
    passages,
    plain,
    sentences,
    weight,
    without_quotes,
)


@pytest.mark.parametrize(
    ("text", "kept", "inside"),
    [
        ("Paris.", "Paris.", False),
        ("<think>hm</think>Paris.", "Paris.", False),
        ("A.\n<think>hm</think>B.", "A.\nB.", False),
        ("A.\n<think>hm", "A.\n", True),
        ("hm</think>Paris.", "Paris.", False),
        ("hm</think>more</think>Paris.", "Paris.", False),
        ("<think>a</think>B</think>C", "B</think>C", False),
        ("<think>a</reasoning>b</think>C", "C", False),
        ("<think>a\n<reasoning>b</think>C", "C", False),
        ("<THINK>a</Think>C", "C", False),
        ("the tag <think> is one", "the tag <think> is one", False),
    ],
)
def test_what_is_outside_of_thoughts(text: str, kept: str, inside: bool) -> None:
    assert outside_thoughts(text) == (kept, inside)


@pytest.mark.parametrize(
    ("character", "visible"),
    [
        *(("a", True), ("中", True), ("!", True), ("\u0301", True)),
        *((" ", False), ("\u00a0", False), ("\x07", False), ("\u200b", False), ("\ud800", False)),
        ("\u0378", False),
    ],
)
def test_what_a_reader_sees(character: str, visible: bool) -> None:
    assert is_visible(character) is visible
    assert has_text(f" {character}\n") is visible


def test_how_long_a_text_is_in_letters() -> None:
    assert weight("") == 0
    assert weight("abc d") == 5
    assert weight("中国") == weight("かな") == weight("豈更") == 5
    assert weight("a中") == 3.5


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("I’m ‘here’ ʼtis", "i'm 'here' 'tis"),
        ("**Bold** _it_ `code` # ~x~", "bold it 'code' x"),
        ("a  b\tc\n d ", "a b c\nd"),
        ("一、二…", "一,二."),
        ("Ｆｕｌｌ", "full"),
        ("Ça", "ça"),
    ],
)
def test_one_spelling(text: str, spelled: str) -> None:
    assert plain(text) == spelled


TITLE, QUOTATION = "x" * 11, "x" * 12


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f'He said "{QUOTATION}" so.', "He said  ␣  so."),
        (f'He said "{TITLE}" so.', f'He said "{TITLE}" so.'),
        (f'"{QUOTATION}"', QUOTATION),
        (f"  “{QUOTATION}” ", QUOTATION),
        (f"«{QUOTATION}» and „{QUOTATION}“", " ␣  and  ␣ "),
        (f"”{QUOTATION}” a", " ␣  a"),
        ("「" + "字" * 6 + "」后", " ␣ 后"),
        ("『" + "字" * 6 + "』后", " ␣ 后"),
        ("「" + "字" * 5 + "」后", "「" + "字" * 5 + "」后"),
        ("“无可奉告”后，「換話題吧」后", " ␣ 后， ␣ 后"),
        ("“不”后", "“不”后"),
        ("“" + "字" * 6 + "”后", " ␣ 后"),
        ("A\n > quoted line\nB", "A\n \nB"),
        ('"' + "x" * 401 + '" a', '"' + "x" * 401 + '" a'),
    ],
)
def test_quotations_are_taken_out(text: str, left: str) -> None:
    assert without_quotes(text) == left


@pytest.mark.parametrize(
    ("question", "quoted", "around"),
    [
        ("Say “no” or «non».", ["no", "non"], "Say ␣ or ␣."),
        ("翻译：我不能说", ["我不能说"], "翻译␣"),
        ("「好」跟『不好』差在哪", ["好", "不好"], "␣跟␣差在哪"),
        ('"a" and „b“', ["a", "b"], "␣ and ␣"),
        ("What is it?", [], "What is it?"),
    ],
)
def test_what_a_question_quotes(question: str, quoted: list[str], around: str) -> None:
    assert passages(question) == (quoted, around)


def test_sentences() -> None:
    assert sentences("One. Two! Three?!\nfour。五؟ ") == ["One.", "Two!", "Three?!", "four。", "五؟"]
    assert sentences(" \n \n") == []
    assert [len(one) for one in sentences("x" * 401)] == [400, 1]
