"""The record as frames: every row once, typed, exact, in a fixed order."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pandas as pd
import pytest

from beacon_pipeline.catalog import UnknownName
from beacon_pipeline.findings.frames import (
    ANSWER_TYPES,
    CALL_TYPES,
    TRANSITION_TYPES,
    answers,
    calls,
    transitions,
)
from beacon_pipeline.findings.rows import COLUMNS
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.parts import pages
from tests.beacon_pipeline.asking import SUCCEEDED, a_job, a_request_for, completed
from tests.beacon_pipeline.records import CELLS, a_sound_record

AWKWARD = "one\x00two \ud800 \\ \u202e"  # NUL, a lone surrogate, a backslash, a bidirectional override


@pytest.fixture
def recorded(database_url: str) -> Iterator[Ledger]:
    a_sound_record(database_url)
    with closing(Ledger(database_url)) as ledger:
        yield ledger


def test_every_execution_is_one_row_of_the_documented_columns(recorded: Ledger) -> None:
    frame = answers(recorded, ["job-1"])
    assert list(frame.columns) == list(COLUMNS)
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == ANSWER_TYPES
    assert [tuple(cell) for cell in frame[["region", "model", "question"]].to_numpy()] == [
        (cell.region, cell.model, cell.question) for cell in sorted(CELLS)
    ]
    row = frame[(frame.region == "eu") & (frame.question == "q2")].iloc[0]
    assert (row.answer, row.kind, row.attempts, row.out_of_block, row.usable) == (
        "late",
        "substantive",
        2,
        True,
        True,
    )
    failed = frame[(frame.region == "us") & (frame.question == "q2")].iloc[0]
    assert (failed.status, failed.answer, failed.usable) == ("failed", None, False)
    assert failed.failure_code == "worker_lost"
    empty = frame[(frame.region == "us") & (frame.question == "q1")].iloc[0]
    assert (empty.status, empty.answer, empty.kind) == ("completed", "", "empty")


def test_a_kind_has_the_version_of_the_rules_that_found_it(ledger: Ledger) -> None:
    job = a_job(ledger, CELLS[:1])
    call = ledger.calls.open(ledger.executions.of_job(job.id), a_request_for, provider="local", actor="test")
    assert call is not None
    (execution,) = ledger.executions.of_job(job.id)
    answer = replace(completed("fine"), kind_version="6")
    ledger.calls.settle(call.id, {execution.id: answer}, SUCCEEDED, actor="test")
    (row,) = answers(ledger, [job]).itertuples()
    assert (row.kind, row.kind_version) == ("substantive", "6")


def test_what_a_job_without_a_plan_is(recorded: Ledger) -> None:
    frame = answers(recorded, ["job-1"])
    assert frame[["arm", "block", "sample", "probe"]].drop_duplicates().to_numpy().tolist() == [
        ["regional", 1, 1, False]
    ]
    assert frame.study.isna().all()


def test_pages_neither_lose_nor_repeat_a_row(recorded: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    makers = (answers, transitions, calls)
    whole = [make(recorded, ["job-1"]) for make in makers]
    monkeypatch.setattr(pages, "PAGE", 1)
    for make, expected in zip(makers, whole, strict=True):
        pd.testing.assert_frame_equal(make(recorded, ["job-1"]), expected)


def test_transitions_and_calls_are_typed_and_whole(recorded: Ledger) -> None:
    changes, asked = transitions(recorded, ["job-1"]), calls(recorded, ["job-1"])
    assert {name: str(kind) for name, kind in changes.dtypes.items()} == TRANSITION_TYPES
    assert {name: str(kind) for name, kind in asked.dtypes.items()} == CALL_TYPES
    assert len(asked) == 6
    assert set(changes.execution) == set(answers(recorded, ["job-1"]).execution)
    assert asked.created_at.is_monotonic_increasing


def test_a_text_is_kept_character_for_character(ledger: Ledger) -> None:
    job = a_job(ledger)
    call = ledger.calls.open(
        ledger.executions.of_job(job.id)[:1], a_request_for, provider="local", actor="test"
    )
    assert call is not None
    ledger.calls.accept(call.id, "fc-1")
    execution = ledger.executions.of_job(job.id)[0]
    ledger.calls.settle(call.id, {execution.id: completed(AWKWARD)}, SUCCEEDED, actor="test")
    assert answers(ledger, [job]).answer[0] == AWKWARD


def test_no_job_makes_an_empty_frame_and_an_unknown_one_is_named(recorded: Ledger) -> None:
    assert {name: str(kind) for name, kind in answers(recorded, []).dtypes.items()} == ANSWER_TYPES
    with pytest.raises(UnknownName, match="job-1"):
        answers(recorded, ["job-2"])
