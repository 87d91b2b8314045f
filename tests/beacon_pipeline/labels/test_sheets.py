"""Sheets: nothing in them runs, and nothing of a wrong one is taken."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beacon_pipeline.escaping import FORMULA, defused
from beacon_pipeline.labels.sheets import Asked, BadSheet, Given, read, storable, written
from beacon_pipeline.ledger.status import LabelKind

HEADER = "execution,question,answer,kind,labeller\n"


def test_a_sheet_that_was_filled_in_is_read_back() -> None:
    asked = [Asked("e1", 'Who "is"?', "=HYPERLINK(1)\nsecond, line"), Asked("e2", "?", "\ud800\x00")]
    sheet = written(asked, "anna")
    rows = list(csv.reader(io.StringIO(sheet, newline="")))
    assert rows[1] == ["e1", 'Who "is"?', "'=HYPERLINK(1)\nsecond, line", "", "anna"]
    assert read(sheet.encode()) == []  # nothing is labelled yet
    rows[1][3] = " Refusal "
    filled = io.StringIO()
    csv.writer(filled, delimiter=";").writerows(rows)
    expected = [Given(2, "e1", LabelKind.REFUSAL, "anna")]
    assert read(filled.getvalue().encode("utf-8-sig")) == expected


def test_what_a_page_saved_is_read() -> None:
    saved = b"execution,kind,labeller,at\r\ne1,complete,'=anna,2026-01-02T03:04:05Z\r\n"
    assert read(saved) == [Given(2, "e1", LabelKind.COMPLETE, "=anna")]


@given(st.text())
def test_no_cell_begins_a_formula(text: str) -> None:
    assert not defused(storable(text)).startswith(FORMULA)
    defused(storable(text)).encode()


@pytest.mark.parametrize(
    ("sheet", "problems"),
    [
        (b"", ["the sheet is empty: its first row has to be execution,question,answer,kind,labeller"]),
        (b"\xff\xfe", ["not UTF-8 at byte 0: save the sheet as CSV UTF-8"]),
        (
            b"execution,knd\n",
            ["the column kind is missing", "the column labeller is missing", "did you mean kind?"],
        ),
        (b"execution,kind,kind,labeller\n", ["the column kind is there twice"]),
        (f"{HEADER}e1,?,a,refused,anna\n".encode(), ["row 2: 'refused' is none of", "did you mean refusal?"]),
        (f"{HEADER}e1,?,a,refusal\n".encode(), ["row 2: 4 cells where the header has 5"]),
        (f"{HEADER},?,a,refusal,\n".encode(), ["row 2: it names no execution; a labeller's name is needed"]),
        (
            f"{HEADER}e1,?,a,refusal,anna\n\ne1,?,a,refusal,anna\n".encode(),
            ["row 4: anna labels the answer of row 2 again"],
        ),
        (f'{HEADER}e1,?,"a,refusal,anna\n'.encode(), ["not CSV: "]),
        (f"{HEADER}e1,?,a,x,anna\ne2,?,a,y,anna\n".encode(), ["row 2: 'x'", "row 3: 'y'"]),
    ],
)
def test_a_wrong_sheet_is_refused_line_by_line(sheet: bytes, problems: list[str]) -> None:
    with pytest.raises(BadSheet) as raised:
        read(sheet)
    for problem in problems:
        assert problem in str(raised.value)
    assert str(raised.value).count("\n") == len(raised.value.problems) - 1
