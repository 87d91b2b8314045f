"""Model output is shown, never obeyed."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beacon_pipeline.escaping import defused, escape_markdown, one_line, visible


def test_markup_html_and_links_are_shown_as_they_are_written() -> None:
    escaped = escape_markdown("<script>alert(1)</script> [x](javascript:1) **b**")
    assert escaped.startswith(r"\<script\>alert\(1\)\<\/script\> \[x\]\(javascript\:1\) \*\*b\*\*")


def test_a_bare_address_is_in_two_pieces_that_no_page_makes_a_link_of() -> None:
    shown = escape_markdown("See https://evil.example/x, WWW.evil.example, me@evil.example or a@@b.c")
    assert shown == (
        r"See https`:`\/\/evil\.example\/x\, WWW`.`evil\.example\, me`@`evil\.example or a`@@`b\.c"
    )


def test_a_long_answer_says_how_much_was_cut() -> None:
    assert escape_markdown("a" * 5000).endswith("*… 1000 more characters*")


def test_terminal_and_direction_controls_are_spelled_out() -> None:
    assert visible("a\x1b[2J\u202eb\x00\ud800\n") == "a\\u{1b}[2J\\u{202e}b\\u{0}\\u{d800}\n"


def test_of_all_characters_those_are_spelled_out_that_a_screen_obeys_and_those_that_are_none() -> None:
    for number in (*range(0x3400), *range(0xD700, 0x11000), *range(0xE0000, 0xE0200), 0x1FFFE, 0x10FFFF):
        character = chr(number)
        obeyed = unicodedata.category(character) in ("Cc", "Cf", "Cs") and character not in "\n\t"
        expected = f"\\u{{{number:x}}}" if obeyed or number & 0xFFFE == 0xFFFE else character
        assert visible(character) == expected
        assert visible(f"a {character}") == f"a {expected}"


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])))
def test_unescaping_gives_the_text_back(text: str) -> None:
    escaped = escape_markdown(text)
    assert re.sub(r"\\([!-/:-@\[-`{-~])|`([:.@]+)`", r"\1\2", escaped) == text
    assert not re.search(r"(?<!\\)(?:\\\\)*[<>\[\]]", escaped)


def test_one_line_is_short_and_calls_nobody() -> None:
    assert one_line("a <!channel>\n\n @everyone \x1b[2J") == "a ‹!channel› ＠everyone \\u{1b}[2J"
    assert one_line("x" * 10, limit=4) == "xxx…"
    assert one_line("\n" * 10_000 + "far away") == ""


@given(st.text(), st.integers(min_value=1, max_value=50))
def test_one_line_is_one_line_whatever_the_text(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert len(line) <= limit
    assert len(line.splitlines()) <= 1
    assert not set(line) & set("<>@")


def test_where_a_text_is_cut() -> None:
    assert escape_markdown("a" * 4000) == "a" * 4000
    assert escape_markdown("a" * 4001) == "a" * 4000 + "\n\n*… 1 more characters*"
    assert escape_markdown("abc", limit=2) == "ab\n\n*… 1 more characters*"
    assert one_line("x" * 200) == "x" * 200
    assert one_line("x" * 201) == "x" * 199 + "…"
    assert one_line("\n" * 8 + "x", limit=2) == "", "what is far behind is not read at all"
    assert one_line("\n" * 7 + "x", limit=2) == "x"


def test_a_line_break_stays_one() -> None:
    assert escape_markdown("a\nb") == "a  \nb"


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_no_cell_of_csv_is_a_formula(first: str) -> None:
    assert defused(f"{first}1") == f"'{first}1"
    assert defused(f"1{first}") == f"1{first}"
    assert defused(f"{first}1", formula=("x",)) == f"{first}1"
