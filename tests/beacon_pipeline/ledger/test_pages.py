"""The record of a job page by page, where others' rows lie between its own, on both databases."""

from contextlib import closing

import pytest

from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.parts import pages
from beacon_pipeline.ledger.records import Cell
from beacon_pipeline.ledger.status import Status
from tests.beacon_pipeline.asking import a_request_for

CELLS = [Cell(region, "tiny", f"q{n}") for region in ("us", "eu") for n in range(3)]


def test_a_page_holds_what_is_of_its_job_and_nothing_of_those_between(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "PAGE", 2)
    with closing(Ledger(database_url)) as ledger:
        ledger.migrate()
        jobs = [
            ledger.jobs.ensure(name, source="launch", catalog="c", catalog_digest="d")
            for name in ("before", "ours", "empty", "between")
        ]
        before, ours, empty, between = jobs
        for job in (before, ours, between):
            ledger.executions.ensure(job.id, CELLS, actor="test")
        for job in (ours, between, ours, before):  # each of ours has changes before and after another's
            waiting = [e for e in ledger.executions.of_job(job.id) if e.status is Status.PENDING]
            assert ledger.calls.open(waiting[:3], a_request_for, provider="local", actor="test")

        own = {e.id for e in ledger.executions.of_job(ours.id)}
        changes = [row for page in ledger.pages.transitions(ours.id) for row in page]
        assert [row["id"] for row in changes] == sorted(row["id"] for row in changes)
        assert [(row["execution_id"] in own, row["to_status"]) for row in changes] == [
            (True, "pending") for _ in CELLS
        ] + [(True, "dispatched") for _ in CELLS]
        attempts = [row for page in ledger.pages.attempts(ours.id) for row in page]
        in_order = sorted(ledger.executions.of_job(ours.id), key=lambda e: e.cell)
        assert [row["execution_id"] for row in attempts] == [e.id for e in in_order]
        sizes = {len(page) for page in (*ledger.pages.transitions(ours.id), *ledger.pages.attempts(ours.id))}
        assert sizes == {2}
        assert [*ledger.pages.transitions(empty.id), *ledger.pages.attempts(empty.id)] == []
