"""The page: everything in one file, the same bytes again, and no text that becomes anything else."""

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from beacon_pipeline.catalog import UnknownName, load_catalog
from beacon_pipeline.findings.page import page_of, words, write_page
from beacon_pipeline.findings.page.build import PageError
from beacon_pipeline.findings.page.record import packed_rows, paths_of
from beacon_pipeline.findings.page.words import Beside
from beacon_pipeline.findings.rows import answer_rows
from beacon_pipeline.findings.subject import NothingAsked, Subject, subject_named
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Cell
from beacon_pipeline.monitoring.alerts.causes import EMPTY_ANSWER
from beacon_pipeline.monitoring.alerts.past import AlertSpan
from tests.beacon_pipeline.findings.asked import an_answered_job
from tests.beacon_pipeline.findings.hostile import corpus
from tests.beacon_pipeline.records import a_sound_record


@pytest.fixture
def file_ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")) as ledger:
        ledger.migrate()
        yield ledger


def test_a_page_is_one_file_that_names_nothing_outside_and_is_made_twice_alike(file_ledger: Ledger) -> None:
    texts = corpus("http://outside.example")
    job = an_answered_job(file_ledger, {Cell("eu", "m<i>", name): text for name, text in texts.items()})
    html = page_of(file_ledger, Subject((job,))).html
    assert page_of(file_ledger, Subject((job,))).html == html
    assert "outside.example" not in html
    assert "m<i>" not in html
    assert not re.search(r"<(?:script|link|img|iframe)[^>]*\b(?:src|href)=", html)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    assert policy[1].startswith("default-src &#39;none&#39;; script-src &#39;sha256-")
    assert "unsafe" not in policy[1]


def test_a_job_with_every_kind_of_end_says_what_it_cannot_answer(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    a_sound_record(url)
    with closing(Ledger(url)) as ledger:
        html = page_of(ledger, subject_named(ledger, None)).html
    for line in (
        "No study: nothing tested.",
        "region and prompt cannot be separated",
        "there is one sample of each",
        "What the 2 lost answers would have been",
        "4 were asked, 6 are the least",
        "7 of 12 asked, 2 lost, 3 under way",
    ):
        assert line in html, line


def test_planted_models_are_called_so(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    a_sound_record(url)
    with closing(Ledger(url)) as ledger:
        rows = list(answer_rows(ledger, subject_named(ledger, None).jobs))
    assert words.notice(rows) is None
    shipped = load_catalog("demo").model("tiny-llama")
    line = words.notice([*rows, rows[0] | {"model": "tiny-llama", "provenance_revision": shipped.revision}])
    assert line is not None
    assert line.startswith("Planted answers: tiny-llama came with Beacon")


def test_beside_another_job_it_says_what_changed(file_ledger: Ledger) -> None:
    cells = [Cell(region, "m", name) for region in ("eu", "us") for name in ("a", "b")]
    first = Subject((an_answered_job(file_ledger, dict.fromkeys(cells, "It is so."), "first"),))
    answers = dict.fromkeys(cells, "It is so.") | {cells[0]: "I'm sorry, no.", Cell("eu", "m", "c"): "New."}
    second = Subject((an_answered_job(file_ledger, answers, "second"),))
    html = page_of(file_ledger, second, beside=Beside(first)).html
    assert "Beside first: texts changed in 1 of 4 answered by both" in html
    assert "<h1>second beside first</h1>" in html
    assert "Refusals beside each other, by rules, version not on record: label rate" in html
    assert "Refusals by rules, version not on record (a label rate): " in html
    with pytest.raises(PageError, match="have a job in common"):
        page_of(file_ledger, Subject((*first.jobs, *second.jobs), "s"), beside=Beside(first))


def test_the_path_of_an_execution_has_its_alerts(file_ledger: Ledger) -> None:
    cells = [Cell("eu", "m", "a"), Cell("eu", "m", "b"), Cell("us", "m", "b")]
    job = an_answered_job(file_ledger, dict.fromkeys(cells, "It is so.") | {Cell("eu", "m", "c"): ""})
    rows, _ = packed_rows(file_ledger, [job])
    asked, later = rows[0]["queued_at"], rows[0]["queued_at"] + timedelta(minutes=1)
    check = "check:inference:executed_region"
    alerts = [
        AlertSpan("timed_out", job.job_name, "eu:m|a", asked, later),
        AlertSpan("timed_out", "another job", "eu:m|a", asked),
        AlertSpan(check, None, "eu:m|b", later),
        AlertSpan(check, None, "eu:m|b", asked - timedelta(minutes=1)),
        *(AlertSpan(EMPTY_ANSWER, None, f"m|{question}", asked - timedelta(days=1)) for question in "bc"),
    ]
    found = paths_of(file_ledger, [job], rows, alerts)["alerts"]
    at = {row["question"]: number for number, row in enumerate(rows) if row["region"] == "eu"}
    assert {number: [(one[1] is None, one[2]) for one in of_row] for number, of_row in found.items()} == {
        at["a"]: [(False, "execution over the model's time limit")],
        at["b"]: [(True, "partition failing the check executed_region of inference")],
        at["c"]: [(True, "question that a model answered without any text")],
    }


def test_names_that_are_none_and_jobs_without_questions_are_refused(file_ledger: Ledger) -> None:
    with pytest.raises(NothingAsked):
        subject_named(file_ledger, None)
    job = an_answered_job(file_ledger, {})
    with pytest.raises(PageError, match="nothing was asked"):
        page_of(file_ledger, Subject((job,)))
    with pytest.raises(UnknownName, match="job-1"):
        subject_named(file_ledger, "job-2")


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    write_page(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_page(path, "\ud800")
    assert path.read_text() == "old"
