"""Sheets on which people label: CSV that shows neither region nor model nor arm, read strictly."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rapidfuzz import process

from beacon_pipeline.errors import BeaconError
from beacon_pipeline.escaping import defused, visible
from beacon_pipeline.ledger.status import LabelKind

COLUMNS = ("execution", "question", "answer", "kind", "labeller")
NEEDED = ("execution", "kind", "labeller")
KNOWN = {*COLUMNS, "at", "note"}  # `at`: of sheets that a report's page saved
NAME_LIMIT = 80  # characters of a labeller's name


class BadSheet(BeaconError):
    """A sheet that cannot be taken, one line for each problem with the number of its row."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True)
class Asked:
    """An answer as a rater sees it."""

    execution_id: str
    question: str
    answer: str


@dataclass(frozen=True)
class Given:
    """A label as a rater gave it; ``row`` counts the sheet's records, the header being the first."""

    row: int
    execution_id: str
    kind: LabelKind
    labeller: str


def written(asked: Iterable[Asked], labeller: str) -> str:
    """A sheet for one rater, the column `kind` to be filled in."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for one in asked:
        cells = (one.execution_id, one.question, one.answer, "", labeller)
        writer.writerow(defused(storable(text)) for text in cells)
    return stream.getvalue()


def storable(text: str) -> str:
    """Text that any file and spreadsheet can hold."""
    return text.replace("\x00", "␀").encode("utf-8", "backslashreplace").decode()


def read(content: bytes) -> list[Given]:
    """The labels on a sheet; a row without a kind is not labelled yet. Raises BadSheet."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadSheet([f"not UTF-8 at byte {error.start}: save the sheet as CSV UTF-8"]) from None
    header, _, _ = text.partition("\n")
    delimiter = ";" if header.count(";") > header.count(",") else ","
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise BadSheet([f"not CSV: {error}"]) from None
    if not rows:
        raise BadSheet([f"the sheet is empty: its first row has to be {','.join(COLUMNS)}"])
    names = [name.strip().lower() for name in rows[0]]
    _check_header(names)
    problems: list[str] = []
    found: dict[tuple[str, str], Given] = {}
    for number, row in enumerate(rows[1:], start=2):
        given = _given(number, names, row, problems) if any(cell.strip() for cell in row) else None
        if given is None:
            continue
        first = found.setdefault((given.execution_id, given.labeller), given)
        if first is not given:
            problems.append(f"row {number}: {given.labeller} labels the answer of row {first.row} again")
    if problems:
        raise BadSheet(problems)
    return list(found.values())


def _check_header(names: Sequence[str]) -> None:
    problems = [f"row 1: the column {name} is missing" for name in NEEDED if name not in names]
    for name in dict.fromkeys(names):
        if name not in KNOWN:
            near = process.extractOne(name, sorted(KNOWN), score_cutoff=60)
            hint = f"; did you mean {near[0]}?" if near else ""
            problems.append(f"row 1: {visible(name[:40])!r} is no column of a sheet{hint}")
        elif names.count(name) > 1:
            problems.append(f"row 1: the column {name} is there twice")
    if problems:
        raise BadSheet(problems)


def _given(number: int, names: Sequence[str], row: Sequence[str], problems: list[str]) -> Given | None:
    """The label in a row; None where there is none, and a problem says why where there should be one."""
    if len(row) != len(names):
        problems.append(f"row {number}: {len(row)} cells where the header has {len(names)}")
        return None
    cells = {name: cell.strip() for name, cell in zip(names, row, strict=True)}
    kind, labeller = cells["kind"].lower(), cells["labeller"].removeprefix("'").strip()
    if not kind:
        return None
    wrong = []
    if kind not in list(LabelKind):
        near = process.extractOne(kind, list(LabelKind), score_cutoff=60)
        hint = f"; did you mean {near[0]}?" if near else ""
        wrong.append(f"{visible(kind[:40])!r} is none of {', '.join(LabelKind)}{hint}")
    if not cells["execution"]:
        wrong.append("it names no execution")
    if not labeller or len(labeller) > NAME_LIMIT or visible(labeller) != labeller:
        wrong.append(f"a labeller's name is needed, of at most {NAME_LIMIT} ordinary characters")
    if wrong:
        problems.append(f"row {number}: {'; '.join(wrong)}")
        return None
    return Given(number, cells["execution"], LabelKind(kind), labeller)
