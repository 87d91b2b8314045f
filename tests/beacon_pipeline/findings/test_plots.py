"""The plots of a page, from a record."""

from dataclasses import replace

from beacon_pipeline.findings.page.plots import plots_of
from beacon_pipeline.findings.rows import answer_rows
from beacon_pipeline.findings.subject import Subject
from beacon_pipeline.findings.summary import summarized
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Job
from tests.beacon_pipeline.asking import CELLS, SUCCEEDED, a_request_for, completed


def answered(ledger: Ledger, name: str, study: str | None, rules: str | None = None) -> Job:
    plan = {"study": study, "version": 1} if study else None
    job = ledger.jobs.ensure(name, source="study", catalog="demo", catalog_digest="d", plan=plan)
    ledger.executions.ensure(job.id, CELLS, actor="test")
    executions = ledger.executions.of_job(job.id)
    call = ledger.calls.open(executions, a_request_for, provider="local", actor="test")
    assert call is not None
    answer = replace(completed(), kind_version=rules)
    ledger.calls.settle(call.id, {e.id: answer for e in executions}, SUCCEEDED, actor="test")
    return job


def test_the_timeline_of_a_study_has_its_own_jobs_only(ledger: Ledger) -> None:
    first, _other = answered(ledger, "look-1", "mine"), answered(ledger, "look-of-another", "another")
    second = answered(ledger, "look-2", "mine")
    assert (first.study, first.study_version) == ("mine", 1)
    plots = plots_of(ledger, Subject((second,)), summarized(answer_rows(ledger, [second])))
    (timeline,) = [plot for plot in plots if plot.title.startswith("Over time")]
    assert [row.cells[1] for row in timeline.rows] == ["look-1", "look-2"]


def test_the_timeline_of_a_job_without_a_study_has_all_jobs(ledger: Ledger) -> None:
    answered(ledger, "look-1", "mine")
    job = answered(ledger, "ask-1", None)
    assert (job.study, job.study_version) == (None, None)
    plots = plots_of(ledger, Subject((job,)), summarized(answer_rows(ledger, [job])))
    (timeline,) = [plot for plot in plots if plot.title.startswith("Over time")]
    assert [row.cells[1] for row in timeline.rows] == ["look-1", "ask-1"]


def test_the_rules_of_refusals_are_named(ledger: Ledger) -> None:
    old, new = (answered(ledger, name, None, rules) for name, rules in (("old", None), ("new", "6")))
    rows = list(answer_rows(ledger, [new, old]))
    mine, others = (summarized(row for row in rows if row["job"] == name) for name in ("new", "old"))
    plots = plots_of(ledger, Subject((new,)), mine, ("old", others.sides))
    assert [plot.title for plot in plots if "efusals" in plot.title] == [
        "Refusals by rules, version 6: label rate",
        "Refusals beside each other, by rules, versions not on record, 6: label rate",
        "Over time: label rate of refusals by job",
    ]
    (timeline,) = [plot for plot in plots if plot.title.startswith("Over time")]
    assert timeline.columns[3] == "Version of rules"
    assert [row.cells[1:4:2] for row in timeline.rows] == [("old", "not on record"), ("new", "6")]
    assert ledger.aggregates.rules_by_job([old.id, new.id, "none"]) == {old.id: {None}, new.id: {"6"}}
