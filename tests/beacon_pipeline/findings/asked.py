"""Jobs with chosen answers, without a provider."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from beacon_pipeline.catalog.plan import Plan
from beacon_pipeline.catalog.study import Study
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Cell, Completed, Execution, Job
from beacon_pipeline.ledger.status import AnswerKind
from inference.contract import GenerationParameters, Request
from tests.beacon_pipeline.asking import SUCCEEDED, a_request_for, completed

CATALOG = {
    "questions": [{"id": "q00", "text": "?", "category": "control", "sensitivity": "low"}],
    "models": [{"id": "m", "name": "Model M", "repository": "o/m"}],
    "regions": [{"id": "us", "name": "United States"}],
}


def an_answered_job(ledger: Ledger, answers: Mapping[Cell, str], name: str = "job-1") -> Job:
    """A job in which each cell got its text, one call for each region and model."""
    job = ledger.jobs.ensure(name, source="launch", catalog="demo", catalog_digest="d")
    ledger.executions.ensure(job.id, list(answers), actor="test")
    executions = ledger.executions.of_job(job.id)
    for region, model in sorted({(cell.region, cell.model) for cell in answers}):
        own = [e for e in executions if (e.region, e.model) == (region, model)]
        call = ledger.calls.open(own, a_request_for, provider="local", actor="test")
        assert call is not None
        ledger.calls.accept(call.id, f"fc-{name}-{region}-{model}")
        outcomes = {e.id: _answer(answers[e.cell], region) for e in own}
        ledger.calls.settle(call.id, outcomes, SUCCEEDED, actor="test")
    return job


def an_answered_study(ledger: Ledger, study: Study, answer: Callable[[Execution], str]) -> Job:
    """A registered study, asked in one job: in each block, a call for each region and model."""
    record = ledger.studies.register(study.id, study.content)
    plan = Plan(
        arms=study.arms,
        prompts=dict(study.prompts),
        blocks=tuple(range(1, study.blocks + 1)),
        samples=study.samples,
        temperature=1.0,
        seed="5eed5eed",
        study=study.id,
        version=record.version,
    )
    job = ledger.jobs.ensure(
        "study-job",
        source="launch",
        catalog="demo",
        catalog_digest="d",
        plan=plan.kept(),
        catalog_content=CATALOG,
    )
    ledger.executions.ensure(job.id, study.cells, actor="test", slots_of=plan.executions_of)
    executions = ledger.executions.of_job(job.id)
    for place in sorted({(e.block, e.region, e.model) for e in executions}):
        own = [e for e in executions if (e.block, e.region, e.model) == place]
        call = ledger.calls.open(own, _sampling, provider="local", actor="test")
        assert call is not None
        ledger.calls.accept(call.id, "-".join(map(str, place)))
        ledger.calls.settle(
            call.id, {e.id: _answer(answer(e), e.region) for e in own}, SUCCEEDED, actor="test"
        )
    return job


def _sampling(executions: Sequence[Execution]) -> Request:
    parameters = GenerationParameters(max_new_tokens=8, temperature=1.0)
    return a_request_for(executions).model_copy(update={"parameters": parameters})


def _answer(text: str, region: str) -> Completed:
    kind = AnswerKind.REFUSAL if text.startswith("I'm sorry") else completed(text).answer_kind
    return replace(completed(text, region), answer_kind=kind)
