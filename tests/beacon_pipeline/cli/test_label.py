"""Labels from the shell: by rules, a drawn sample, two raters and whoever decides."""

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from beacon_pipeline.cli import main
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Cell
from tests.beacon_pipeline.asking import SUCCEEDED, a_job, a_request_for, completed

REFUSED, ANSWERED = "I'm sorry, but I can't answer that.", "=It is 56, of course."
Shell = Callable[..., Result]


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """A ledger with twelve answers, four of them refusals, and one that is empty."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("BEACON_DATABASE_URL", f"sqlite:///{tmp_path / 'ledger.db'}")
    with closing(Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")) as ledger:
        ledger.migrate()
        for region in ("eu", "us"):
            job = a_job(ledger, [Cell(region, "tiny", f"q{n}") for n in range(7 if region == "eu" else 6)])
            asked = [one for one in ledger.executions.of_job(job.id) if one.region == region]
            call = ledger.calls.open(asked, a_request_for, provider="local", actor="test")
            assert call is not None
            texts = [REFUSED if n < 2 else "" if n == 6 else ANSWERED for n in range(len(asked))]
            outcomes = {one.id: completed(text, region) for one, text in zip(asked, texts, strict=True)}
            ledger.calls.settle(call.id, outcomes, SUCCEEDED, actor="test")
        yield ledger


@pytest.fixture
def shell(record: Ledger) -> Shell:
    return lambda *line: CliRunner().invoke(main, list(map(str, line)))


def fill(sheet: Path, kinds: Callable[[int, str], str]) -> None:
    with sheet.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with sheet.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(row | {"kind": kinds(n, row["answer"])} for n, row in enumerate(rows))


def test_rules_label_a_job_once(record: Ledger, shell: Shell) -> None:
    for _ in range(2):
        done = shell("label", "rules")
        assert (done.exit_code, done.output) == (
            0,
            "labelled by rules, version 7: 8 complete, 0 evasive, 4 refusal\n",
        ), done.output
    labels = record.labels.of_job(record.jobs.newest()[0].id)
    assert len(labels) == 12
    assert {label.reason for label in labels} == {None, "en/inability"}


def test_two_raters_and_an_adjudicator(record: Ledger, shell: Shell, tmp_path: Path) -> None:
    assert "drew 8 answers of 4 strata: d\n" in shell("label", "sample", "--size", 8, "--name", "d").output
    again = shell("label", "sample", "--size", 8, "--name", "d")
    assert (again.exit_code, again.output) == (2, "Error: a draw 'd' is on record: give another --name\n")
    for rater in ("anna", "bert"):
        sheet = tmp_path / f"{rater}.csv"
        assert shell("label", "export", "d", "--rater", rater, "--out", sheet).exit_code == 0
        content = sheet.read_text()
        assert not any(hint in content for hint in ("tiny", "eu,", "us,", "regional", ",=It"))
        fill(sheet, lambda n, text, rater=rater: "evasive" if rater == "bert" and not n else kind_of(text))
        taken = shell("label", "import", sheet)
        assert (taken.exit_code, taken.output) == (0, "8 labels put on record, 0 were there already\n")
    assert (
        shell("label", "import", tmp_path / "anna.csv").output
        == "0 labels put on record, 8 were there already\n"
    )
    shown = shell("label", "agreement", "d").output
    assert "anna and bert, 8 answers, 95% intervals\n  same label     0.875 (" in shown
    assert "1 to be decided by a third person" in shown
    (measured,) = json.loads(shell("label", "agreement", "d", "--json").output)
    assert (measured["answers"], measured["share"]["value"]) == (8, 0.875)

    sheet = tmp_path / "cleo.csv"
    assert shell("label", "export", "d", "--rater", "cleo", "--out", sheet, "--disagreements").exit_code == 0
    fill(sheet, lambda n, text: kind_of(text))
    assert "1 labels put on record" in shell("label", "import", sheet, "--adjudicator").output
    assert "to be decided" not in shell("label", "agreement", "d").output
    people = [label for label in record.labels.of_job(record.jobs.newest()[0].id) if label.method == "people"]
    assert sorted({label.chance for label in people if label.chance}) == [0.5, 1.0]


def kind_of(text: str) -> str:
    return "refusal" if "sorry" in text else "complete"


def test_what_cannot_be_done_is_said_in_a_line(record: Ledger, shell: Shell, tmp_path: Path) -> None:
    shell("label", "sample", "--size", 8, "--name", "d")
    sheet = tmp_path / "anna.csv"
    shell("label", "export", "d", "--rater", "anna", "--out", sheet)
    assert "is there already" in shell("label", "export", "d", "--rater", "anna", "--out", sheet).output
    fill(sheet, lambda n, text: "complete")
    shell("label", "import", sheet)
    before = record.labels.of_job(record.jobs.newest()[0].id)
    fill(sheet, lambda n, text: "evasive" if n == 3 else "complete")
    changed = shell("label", "import", sheet)
    assert changed.exit_code == 2
    assert "row 5: execution" in changed.output
    assert "labels are never changed: use another version" in changed.output
    bad = tmp_path / "bad.csv"
    bad.write_text("execution,kind,labeller\nnowhere,refusal,anna\n")
    assert "row 2: no execution 'nowhere' on this record" in shell("label", "import", bad).output
    assert record.labels.of_job(record.jobs.newest()[0].id) == before
    for line, said in (
        (("agreement", "e"), "no draw 'e': there are d"),
        (("agreement", "d"), "no two people labelled the same two answers (anna)"),
        (("sample", "--size", "3", "--name", "e"), "two of each are 8; give --size 8 or more"),
        (("rules", "jo-1"), "job-1"),
    ):
        done = shell("label", *line)
        assert (done.exit_code, said in done.output) == (2, True), done.output
