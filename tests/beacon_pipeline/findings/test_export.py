"""The export: the same bytes again, read by others, and no change of it that goes unnamed."""

import ast
import csv
import io
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest

from beacon_pipeline.findings.export import tables
from beacon_pipeline.findings.export.files import read_frame, read_rows, sha256, write_sums, write_table
from beacon_pipeline.findings.export.inspect_logs import said_by
from beacon_pipeline.findings.export.tables import ANSWERS, LATER, TABLES, meaning
from beacon_pipeline.findings.export.verify import NoExport, verified
from beacon_pipeline.findings.export.write import ExportError, export
from beacon_pipeline.findings.frames import answers
from beacon_pipeline.findings.subject import Subject, subject_named
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Cell, Execution
from tests.beacon_pipeline.findings.asked import an_answered_job, an_answered_study
from tests.beacon_pipeline.findings.hostile import corpus
from tests.beacon_pipeline.findings.simulated import a_claim, a_study

ROOT = Path(__file__).parents[3]
STUDY = a_study(a_claim("prompt"), a_claim("deployment"), questions=3, blocks=6, samples=2)


def planted(execution: Execution) -> str:
    """Under the strict prompt, a refusal."""
    place = f"{execution.region} {execution.question} {execution.block} {execution.sample}"
    return f"I'm sorry, {place}." if execution.arm == "strict" else f"It is {place}."


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    folder = tmp_path_factory.mktemp("studied")
    with closing(Ledger(f"sqlite:///{folder / 'ledger.db'}")) as ledger:
        ledger.migrate()
        an_answered_study(ledger, STUDY, planted)
        yield ledger


@pytest.fixture(scope="module")
def exported(studied: Ledger, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "export"
    export(studied, subject_named(studied, "s"), str(path))
    return path


def test_an_older_version_that_was_asked_before_is_no_late_registration(tmp_path: Path) -> None:
    with closing(Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")) as ledger:
        ledger.migrate()
        an_answered_study(ledger, STUDY, planted)
        changed = a_study(a_claim("prompt"), questions=3, blocks=6, samples=2)
        assert ledger.studies.register("s", changed.content).version == 2
        export(ledger, subject_named(ledger, "s"), str(tmp_path / "export"))
    assert verified(str(tmp_path / "export")) == []


@pytest.fixture
def copy(exported: Path, tmp_path: Path) -> Path:
    return shutil.copytree(exported, tmp_path / "copy")


def test_twice_the_same_bytes_and_all_of_it_holds(studied: Ledger, exported: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    export(studied, subject_named(studied, None), str(again))  # the newest job is the study's
    names = sorted(path.name for path in exported.iterdir())
    assert sorted(path.name for path in again.iterdir()) == names
    for name in names:
        assert (exported / name).read_bytes() == (again / name).read_bytes(), name
    for number in (1, 2):
        export(studied, subject_named(studied, "s"), f"{tmp_path / str(number)}.zip")
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()
    assert verified(str(exported)) == verified(str(tmp_path / "1.zip")) == []


def test_the_findings_are_in_it_and_on_the_page(exported: Path) -> None:
    found = {row["claim"]: row for row in rows_of(exported / "comparisons.csv")}
    assert (found["prompt"]["verdict"], float(found["prompt"]["effect"])) == ("differs", -1.0)
    assert found["deployment"]["verdict"] == "inconclusive"
    page = (exported / "page.html").read_text(encoding="utf-8")
    assert "No study" not in page
    assert "prompt · m" in page
    assert json.loads((exported / "plan.json").read_text())["study"]["hash"] == STUDY.hash
    (model,) = rows_of(exported / "models.csv")
    assert (model["name"], model["repository"], model["revisions"]) == ("Model M", "o/m", "r")


def rows_of(path: Path) -> list[dict[str, str]]:
    csv.field_size_limit(sys.maxsize)
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def change_page(folder: Path) -> None:
    path = folder / "page.html"
    path.write_bytes(path.read_bytes().replace(b"differs", b"equals!", 1))


def change_answer(folder: Path) -> None:
    path = folder / "answers.csv"
    path.write_bytes(path.read_bytes().replace(b"It is us q01 3 2.", b"It is us q01 3 9.", 1))
    write_sums(folder)


def drop_row(folder: Path) -> None:
    path = folder / "answers.parquet"
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path, compression="zstd")
    write_sums(folder)


def change_figure(folder: Path) -> None:
    path = folder / "comparisons.csv"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    (changed,) = [line for line in lines if line.startswith("s,1,prompt")]
    at = list(tables.COMPARISONS.types).index("p")
    (cells,) = csv.reader([changed])
    path.write_bytes(path.read_bytes().replace(f",{cells[at]},".encode(), b",0.0001,", 1))
    write_sums(folder)


def change_rate(folder: Path) -> None:
    path = folder / "rates.csv"
    path.write_bytes(path.read_bytes().replace(b"m,us,strict,36", b"m,us,strict,35", 1))
    write_sums(folder)


def register_later(folder: Path) -> None:
    path = folder / "plan.json"
    content = json.loads(path.read_text())
    content["study"]["registered_at"] = "2999-01-01T00:00:00+00:00"
    path.write_text(json.dumps(content))
    write_sums(folder)


def change_plan(folder: Path) -> None:
    path = folder / "plan.json"
    content = json.loads(path.read_text())
    content["study"]["content"] = content["study"]["content"].replace('"level":0.05', '"level":0.04')
    path.write_text(json.dumps(content))
    write_sums(folder)


def add_file(folder: Path) -> None:
    (folder / "more.txt").write_text("more")


def lose_file(folder: Path) -> None:
    (folder / "transitions.parquet").unlink()


def break_file(folder: Path) -> None:
    (folder / "answers.parquet").write_bytes(b"PAR1 nothing PAR1")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (change_page, "page.html was changed"),
        (change_answer, "answer is 'It is us q01 3 9.', the rows give 'It is us q01 3 2.'"),
        (drop_row, "answers.csv, record"),
        (change_figure, "(claim prompt): p is '0.0001'"),
        (change_rate, "rates.csv, record 5 (model m): asked is '35', the rows give '36'"),
        (register_later, "after its first answer"),
        (change_plan, "its content has another hash than the registered one"),
        (add_file, "more.txt is not in SHA256SUMS"),
        (lose_file, "transitions.parquet is missing"),
        (break_file, "answers.parquet cannot be read"),
    ],
)
def test_a_change_is_named(copy: Path, change: Callable[[Path], None], named: str) -> None:
    change(copy)
    found = verified(str(copy))
    assert any(named in line for line in found), found


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("format",), {}),
        (("jobs",), None),
        (("jobs", 0), 5),
        (("jobs", 0, "job"), {}),
        (("jobs", 0, "plan"), {"arms": 3}),
        (("study",), []),
        (("study", "content"), True),
        (("study", "registered_at"), 5),
        (("study", "evidence"), [3]),
    ],
)
def test_a_plan_of_another_shape_is_a_line(copy: Path, place: tuple[str | int, ...], value: object) -> None:
    content = inside = json.loads((copy / "plan.json").read_text())
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = value
    (copy / "plan.json").write_text(json.dumps(content))
    write_sums(copy)
    (found,) = verified(str(copy))
    assert found.startswith("plan.json cannot be read: ")
    assert len(found.splitlines()) == 1


def test_an_export_of_a_version_that_keeps_other_provenance_holds(copy: Path) -> None:
    types = {name: kind for name, kind in ANSWERS.types.items() if name != "provenance_cuda"}
    other = replace(ANSWERS, types=types | {"provenance_new": "str"})
    rows = [row | {"provenance_new": "x"} for row in read_rows(copy, ANSWERS)]
    write_table(copy, other, rows)
    write_sums(copy)
    assert verified(str(copy)) == []
    write_table(
        copy, replace(ANSWERS, types=types | {"region": "Int64"}), [row | {"region": 1} for row in rows]
    )
    write_sums(copy)
    assert any("other columns or types" in line for line in verified(str(copy)))


def test_an_export_of_a_version_without_a_later_column_holds(copy: Path) -> None:
    earlier = replace(
        ANSWERS, types={name: kind for name, kind in ANSWERS.types.items() if name not in LATER}
    )
    assert set(LATER) < set(ANSWERS.types)
    write_table(copy, earlier, list(read_rows(copy, ANSWERS)))
    write_sums(copy)
    assert verified(str(copy)) == []
    assert {row["kind_version"] for row in read_rows(copy, ANSWERS)} == {None}
    write_table(copy, replace(ANSWERS, types={"region": "str"}), list(read_rows(copy, ANSWERS)))
    assert any("other columns or types" in line for line in verified(str(copy)))


def test_what_is_no_export_is_said_in_a_line(tmp_path: Path, copy: Path) -> None:
    with pytest.raises(NoExport, match="nothing at"):
        verified(str(tmp_path / "none"))
    with pytest.raises(NoExport, match="SHA256SUMS"):
        verified(str(tmp_path))
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04")
    with pytest.raises(NoExport, match="no zip file"):
        verified(str(tmp_path / "broken.zip"))
    for name, flags in (("damaged", 0), ("encrypted", 1)):
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("SHA256SUMS", "0123456789" * 100)
        content = bytearray(made.getvalue())
        content[40:44] = b"\xff" * 4 if not flags else content[40:44]
        content[content.index(b"PK\x01\x02") + 8] |= flags
        (tmp_path / f"{name}.zip").write_bytes(content)
        with pytest.raises(NoExport, match="no zip file that can be read"):
            verified(str(tmp_path / f"{name}.zip"))
    with zipfile.ZipFile(tmp_path / "slip.zip", "w") as packed:
        packed.writestr("../out.txt", "out")
    with pytest.raises(NoExport, match=r"holds '\.\./out\.txt'"):
        verified(str(tmp_path / "slip.zip"))
    assert not (tmp_path.parent / "out.txt").exists()


def test_nothing_is_written_over_and_nothing_half(studied: Ledger, exported: Path, tmp_path: Path) -> None:
    before = (exported / "SHA256SUMS").read_bytes()
    for place, reason in (("s3://bucket/x", "s3fs"), ("foo://x", "foo"), (f"{tmp_path}/x.tar", "never .tar")):
        with pytest.raises(ExportError, match=reason):
            export(studied, subject_named(studied, "s"), place)
    with pytest.raises(ExportError, match="is there already"):
        export(studied, subject_named(studied, "s"), str(exported))
    assert (exported / "SHA256SUMS").read_bytes() == before
    with pytest.raises(ExportError, match="nothing was asked"):
        export(
            studied,
            Subject((studied.jobs.ensure("empty", source="launch", catalog="d", catalog_digest="d"),)),
            str(tmp_path / "e"),
        )
    assert list(tmp_path.iterdir()) == []


def test_an_export_goes_where_fsspec_reaches(studied: Ledger) -> None:
    export(studied, subject_named(studied, "study-job"), "memory://bucket/export")
    export(studied, subject_named(studied, "study-job"), "memory://bucket/export.zip")
    assert verified("memory://bucket/export") == verified("memory://bucket/export.zip") == []


def test_hostile_texts_are_kept_exactly_and_start_no_formula(tmp_path: Path) -> None:
    texts = corpus("http://outside.example")
    with closing(Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")) as ledger:
        ledger.migrate()
        job = an_answered_job(ledger, {Cell("eu", "m", name): text for name, text in texts.items()})
        export(ledger, Subject((job,)), str(tmp_path / "export"))
        frame = answers(ledger, [job])
    assert verified(str(tmp_path / "export")) == []
    read = read_frame(tmp_path / "export", ANSWERS)
    own = {row.question: row.answer for row in read.itertuples()}
    assert own.pop("surrogate").startswith("\\ud800 alone, NUL \x00")
    assert "\\ud800" in own.pop("categories")
    assert own == {name: text for name, text in texts.items() if name in own}
    pd.testing.assert_frame_equal(read.drop(columns="answer"), frame.drop(columns="answer"))
    cells = {row["question"]: row["answer"] for row in rows_of(tmp_path / "export" / "answers.csv")}
    for name in ("formula", "plus", "at", "minus", "tab", "feed"):
        assert cells[name] == f"'{texts[name]}"
    make_format_1(tmp_path / "export")
    assert verified(str(tmp_path / "export")) == []
    path = tmp_path / "export" / "answers.parquet"
    with duckdb.connect() as database:
        found = database.execute("select answer from read_parquet(?) where question = 'lines'", [str(path)])
        assert found.fetchone() == (texts["lines"],)


def make_format_1(folder: Path) -> None:
    """As Beacon wrote exports before it defused a line feed."""
    plan, answers_csv = folder / "plan.json", folder / "answers.csv"
    plan.write_text(plan.read_text().replace('"format": 2', '"format": 1'))
    answers_csv.write_bytes(answers_csv.read_bytes().replace(b'"\'\n=1+1"', b'"\n=1+1"'))
    write_sums(folder)


@pytest.mark.parametrize(("change", "named"), [(1e-13, 0), (1e-6, 1)])
def test_a_figure_may_differ_in_its_last_digits_only(copy: Path, change: float, named: int) -> None:
    """Processors add up in another order: a colleague's machine gives other last digits."""
    path = copy / "rates.csv"
    (low, *_) = [float(row["low"]) for row in rows_of(path) if float(row["low"])]
    path.write_bytes(path.read_bytes().replace(repr(low).encode(), repr(low * (1 + change)).encode(), 1))
    write_sums(copy)
    assert len(verified(str(copy))) == named


def test_the_crate_names_every_file_and_a_run_for_each_job(exported: Path) -> None:
    graph = {
        one["@id"]: one for one in json.loads((exported / "ro-crate-metadata.json").read_text())["@graph"]
    }
    files = {path.name for path in exported.iterdir()} - {"ro-crate-metadata.json", "SHA256SUMS"}
    assert {part["@id"] for part in graph["./"]["hasPart"]} == files
    assert {graph[name]["sha256"] for name in files} == {sha256(exported / name) for name in files}
    run = graph["#job-study-job"]
    assert (run["@type"], run["instrument"]["@id"]) == ("CreateAction", "#beacon-pipeline")
    assert graph["./"]["conformsTo"]["@id"] == "https://w3id.org/ro/wfrun/process/0.5"


@pytest.fixture(scope="module")
def others_python() -> Path:
    """The Python of an environment with what others read an export by."""
    python = ROOT / ".venv-crate" / "bin" / "python"
    assert python.exists(), "`make test-long` makes this environment"
    return python


@pytest.mark.long
def test_an_ro_crate_validator_finds_no_fault(others_python: Path, exported: Path, tmp_path: Path) -> None:
    command = [others_python, ROOT / "tests" / "crate" / "validate.py", exported, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
def test_polars_reads_the_same_answers(others_python: Path, exported: Path) -> None:
    code = "import polars, sys; print(polars.read_parquet(sys.argv[1])[sys.argv[2]].sort().to_list())"
    for table, column in (("answers", "answer"), ("labels", "execution"), ("transitions", "execution")):
        command = [others_python, "-c", code, exported / f"{table}.parquet", column]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        own = pq.read_table(exported / f"{table}.parquet")[column].to_pylist()
        assert ast.literal_eval(done.stdout) == sorted(own)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")  # of the validator's own libraries
def test_croissants_own_validator_reads_the_tables(exported: Path) -> None:
    import mlcroissant

    dataset = mlcroissant.Dataset(jsonld=str(exported / "croissant.json"))
    assert dataset.metadata.issues.errors == set()
    assert next(iter(dataset.records("answers")))["answers/study"] == b"s"


@pytest.mark.parametrize(
    ("label", "kind", "kind_version", "said"),
    [
        ("refusal", "substantive", "6", "by judge, version 1"),
        (None, "refusal", "6", "by rules, version 6, as it came"),
        (None, "substantive", None, "by rules, version not on record, as it came"),
        (None, "empty", None, "by rules, as it came"),
    ],
)
def test_a_score_of_inspects_logs_says_by_whom_it_is(
    label: str | None, kind: str, kind_version: str | None, said: str
) -> None:
    row = {"label": label, "label_method": "judge", "label_version": "1", "kind": kind}
    assert said_by(row | {"kind_version": kind_version}) == said


def test_every_column_has_a_meaning() -> None:
    assert all(meaning(column) for table in TABLES for column in table.types)
