"""Small values for tests that ask: a job, a request, a completed outcome."""

import hashlib
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import CallFacts, Cell, Completed, Execution, Job
from beacon_pipeline.ledger.status import AnswerKind
from inference.contract import (
    CallStatus,
    Deployment,
    FinishReason,
    GenerationParameters,
    Item,
    ModelSource,
    Request,
)
from tests.inference.provenance import made_up_provenance

CELLS = [Cell("eu", "tiny", f"q{n}") for n in range(3)]
MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
SUCCEEDED = CallFacts(status=CallStatus.SUCCEEDED, replied=True)


def a_job(ledger: Ledger, cells: Sequence[Cell] = CELLS, name: str = "job-1") -> Job:
    job = ledger.jobs.ensure(name, source="launch", catalog="demo", catalog_digest="d")
    ledger.executions.ensure(job.id, cells, actor="test")
    return job


def a_request_for(executions: Sequence[Execution]) -> Request:
    first = executions[0]
    return Request(
        id=str(uuid.uuid4()),
        deployment=Deployment(region=first.region, model=first.model),
        model=ModelSource(id=first.model, repository="o/m", revision="r", dtype="float32", context_tokens=64),
        parameters=GenerationParameters(max_new_tokens=8),
        items=tuple(Item(id=e.id, system_prompt="s", prompt=f"ask {e.question}") for e in executions),
    )


def completed(answer: str = "fine", region: str = "eu") -> Completed:
    return Completed(
        answer=answer,
        answer_kind=AnswerKind.SUBSTANTIVE if answer.strip() else AnswerKind.EMPTY,
        finish_reason=FinishReason.STOP,
        prompt_tokens=3,
        output_tokens=2,
        output_token_sha256=hashlib.sha256(answer.encode("utf-8", "surrogatepass")).hexdigest(),
        executed_region=region,
        provenance=made_up_provenance("transformers", 3),
        cold_start=False,
        started_at=MOMENT,
        completed_at=MOMENT,
    )
