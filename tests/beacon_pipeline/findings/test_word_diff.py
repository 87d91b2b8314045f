"""Texts in words, and what only one of two has."""

import pytest

from beacon_pipeline.findings.word_diff import COMMON_SHARE, common_share, word_differences, words_of


def test_a_text_in_words() -> None:
    assert words_of("") == []
    assert words_of("the  cat\nsat.") == ["the", "  ", "cat", "\n", "sat."]
    assert words_of("a台湾かภ豈b") == ["a", "台", "湾", "か", "ภ", "豈", "b"]


def test_of_a_long_text_the_rest_is_one_piece() -> None:
    most = "台" * 5_000
    assert words_of(most) == list(most)
    assert words_of(most + "湾 x") == [*most, "湾 x"]
    assert len(words_of(most + "湾")) == 5_001


def test_the_pieces_of_two_texts() -> None:
    left, right = word_differences("the cat sat", "the dog sat down")
    assert left == [("the ", False), ("cat", True), (" sat", False)]
    assert right == [("the ", False), ("dog", True), (" sat", False), (" down", True)]
    assert word_differences("", "new") == ([], [("new", True)])
    assert word_differences("same", "same") == ([("same", False)], [("same", False)])
    assert word_differences("", "") == ([], [])


@pytest.mark.parametrize(
    ("one", "other", "pieces"),
    [
        ("a b c d", "a x y d", [("a ", False), ("b c", True), (" d", False)]),
        ("b c", "x y", [("b c", True)]),
        (" b", " c", [(" ", False), ("b", True)]),
        ("b ", "c ", [("b", True), (" ", False)]),
        ("a b", "a\nX c", [("a ", False), ("b", True)]),  # a space beside one marked word alone is not
        ("b a", "c X\na", [("b", True), (" a", False)]),
    ],
)
def test_marked_words_are_one_piece_with_the_space_between(
    one: str, other: str, pieces: list[tuple[str, bool]]
) -> None:
    assert word_differences(one, other)[0] == pieces


def test_texts_with_less_in_common_are_two_texts() -> None:
    assert COMMON_SHARE == 0.4


@pytest.mark.parametrize(
    ("one", "other", "share"),
    [
        ("", "", 1.0),
        ("...", "!!", 1.0),
        ("abcd", "abcd", 1.0),
        ("ab cd", "ab xy", 0.5),
        ("ab", "ab xy", 0.5),
        ("ab xy", "ab", 0.5),
        ("ab", "xy", 0.0),
    ],
)
def test_how_much_of_two_texts_is_common(one: str, other: str, share: float) -> None:
    assert common_share(*word_differences(one, other)) == pytest.approx(share)
