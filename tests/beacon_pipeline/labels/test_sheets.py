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


KINDS = "complete, evasive, refusal"
NO_NAME = "a labeller's name is needed, of at most 80 ordinary characters"


@pytest.mark.parametrize(
    ("sheet", "problems"),
    [
        (b"", ["the sheet is empty: its first row has to be execution,question,answer,kind,labeller"]),
        (b"\xff\xfe", ["not UTF-8 at byte 0: save the sheet as CSV UTF-8"]),
        (
            b"execution,knd\n",
            [
                "row 1: the column kind is missing",
                "row 1: the column labeller is missing",
                "row 1: 'knd' is no column of a sheet; did you mean kind?",
            ],
        ),
        (
            b"execution,kind,kind,labeller,XYZ\x1b\n",
            ["row 1: the column kind is there twice", r"row 1: 'xyz\\u{1b}' is no column of a sheet"],
        ),
        (f"{HEADER}e1,?,a,refused,anna\n", [f"row 2: 'refused' is none of {KINDS}; did you mean refusal?"]),
        (f"{HEADER}e1,?,a,{'x' * 41},anna\n", [f"row 2: '{'x' * 40}' is none of {KINDS}"]),
        (f"{HEADER.strip()},{'z' * 41}\n", [f"row 1: '{'z' * 40}' is no column of a sheet"]),
        (f"{HEADER}e1,?,a,refusal\n", ["row 2: 4 cells where the header has 5"]),
        (f"{HEADER},?,a,refusal,\n", [f"row 2: it names no execution; {NO_NAME}"]),
        (
            f"{HEADER}e1,?,a,refusal,{'a' * 81}\ne2,?,a,refusal,a\x1b\n",
            [f"row {n}: {NO_NAME}" for n in (2, 3)],
        ),
        (
            f"{HEADER}e1,?,a,refusal,anna\n , ,,,\n\ne1,?,a,refusal,anna\n",
            ["row 5: anna labels the answer of row 2 again"],
        ),
        (f'{HEADER}e1,?,"a,refusal,anna\n', ["not CSV: unexpected end of data"]),
        (
            f"{HEADER}e1,?,a,x,anna\ne2,?,a,y,anna\n",
            [f"row {n}: '{k}' is none of {KINDS}" for n, k in ((2, "x"), (3, "y"))],
        ),
    ],
)
def test_a_wrong_sheet_is_refused_line_by_line(sheet: str | bytes, problems: list[str]) -> None:
    with pytest.raises(BadSheet) as raised:
        read(sheet if isinstance(sheet, bytes) else sheet.encode())
    assert list(raised.value.problems) == problems
    assert str(raised.value) == "\n".join(problems)


def test_two_people_may_label_one_answer_and_one_of_eighty_letters() -> None:
    names = ("anna", "b" * 80)
    rows = "".join(f"e1,?,a;b,refusal,{name}\n" for name in names)
    assert read(f"{HEADER}{rows}".encode()) == [
        Given(row, "e1", LabelKind.REFUSAL, name) for row, name in enumerate(names, 2)
    ]
