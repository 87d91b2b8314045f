"""Jobs with chosen answers, without a provider."""

from collections.abc import Mapping
from dataclasses import replace

from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Cell, Completed, Job
from beacon_pipeline.ledger.status import AnswerKind
from tests.beacon_pipeline.asking import SUCCEEDED, a_request_for, completed


def an_answered_job(ledger: Ledger, answers: Mapping[Cell, str], name: str = "job-1") -> Job:
    """A job in which each cell got its text, one call for each region and model."""
    job = ledger.ensure_job(name, source="launch", catalog="demo", catalog_digest="d")
    ledger.ensure_executions(job.id, list(answers), actor="test")
    for region, model in sorted({(cell.region, cell.model) for cell in answers}):
        own = [e for e in ledger.executions(job.id) if (e.region, e.model) == (region, model)]
        call = ledger.open_call(own, a_request_for, provider="local", actor="test")
        assert call is not None
        ledger.record_accepted(call.id, f"fc-{name}-{region}-{model}")
        outcomes = {e.id: _answer(answers[e.cell], region) for e in own}
        ledger.settle_call(call.id, outcomes, SUCCEEDED, actor="test")
    return job


def _answer(text: str, region: str) -> Completed:
    kind = AnswerKind.REFUSAL if text.startswith("I'm sorry") else completed(text).answer_kind
    return replace(completed(text, region), answer_kind=kind)
