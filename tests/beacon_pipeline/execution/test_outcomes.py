"""A reply becomes outcomes: thoughts are kept beside an answer, whoever left them in it."""

from datetime import UTC, datetime

import pytest

from beacon_pipeline.execution.outcomes import outcomes_of_reply
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Completed
from beacon_pipeline.ledger.status import AnswerKind
from inference.contract import FinishReason, ItemAnswer, Reply
from tests.beacon_pipeline.asking import CELLS, a_job, a_request_for
from tests.inference.provenance import made_up_provenance

SUBSTANTIVE, REFUSAL, EMPTY, UNFINISHED = AnswerKind
NEVER = "I cannot answer."


def outcome_of(ledger: Ledger, **answer: object) -> Completed:
    """What becomes of one answer, and is then read from the record again."""
    job = a_job(ledger, CELLS[:1])
    call = ledger.calls.open(ledger.executions.of_job(job.id), a_request_for, provider="local", actor="test")
    assert call is not None
    [execution] = ledger.executions.on_call(call.id)
    values = {
        "id": execution.id,
        "finish_reason": FinishReason.STOP,
        "prompt_tokens": 1,
        "output_tokens": 1,
        "output_token_sha256": None,
        "seconds": 0.1,
    }
    now = datetime.now(UTC)
    reply = Reply(
        version=1,
        request_id=call.id,
        region="eu",
        cloud=None,
        task_id=None,
        cold_start=None,
        started_at=now,
        finished_at=now,
        provenance=made_up_provenance("http", 8),
        items=(ItemAnswer.model_validate(values | answer),),
    )
    outcomes = outcomes_of_reply(reply, [execution], budget=3, read_region=lambda name: name)
    outcome = outcomes[execution.id]
    assert isinstance(outcome, Completed)
    return outcome


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("answer", "kind", "text", "reasoning"),
    [
        ({"text": "Paris."}, SUBSTANTIVE, "Paris.", None),
        ({"text": ""}, EMPTY, "", None),
        (
            {"text": "Paris.", "reasoning": "I cannot discuss this."},
            SUBSTANTIVE,
            "Paris.",
            "I cannot discuss this.",
        ),
        (
            {"text": "<think>I cannot answer.</think>Paris."},
            SUBSTANTIVE,
            "Paris.",
            "I cannot answer.",
        ),
        (
            {"text": "I cannot answer.</think>\n\nParis."},
            SUBSTANTIVE,
            "Paris.",
            "I cannot answer.",
        ),
        (
            {"text": "<think>hm</think>I cannot answer that."},
            REFUSAL,
            "I cannot answer that.",
            "hm",
        ),
        ({"text": "<think>hm</think>"}, EMPTY, "", "hm"),
        ({"text": "<think>hm", "finish_reason": FinishReason.LENGTH}, UNFINISHED, "", "hm"),
        ({"text": "", "reasoning": "hm", "reasoning_unfinished": True}, UNFINISHED, "", "hm"),
        ({"text": "", "reasoning": "hm"}, EMPTY, "", "hm"),
        (
            {"text": "A </think> of mine.", "rendered_prompt": "<|user|>?<|assistant|>"},
            SUBSTANTIVE,
            "A </think> of mine.",
            None,
        ),
    ],
)
def test_thoughts_are_kept_beside_the_answer_and_never_judged(
    ledger: Ledger, answer: dict[str, object], kind: AnswerKind, text: str, reasoning: str | None
) -> None:
    outcome = outcome_of(ledger, **answer)
    assert (outcome.answer_kind, outcome.answer, outcome.reasoning) == (kind, text, reasoning)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_answers_provenance_is_its_own(ledger: Ledger) -> None:
    outcome = outcome_of(ledger, text="Paris.", batch_size=2, batching="divided", rendered_prompt="<|user|>?")
    assert (outcome.provenance.batch_size, outcome.provenance.batching) == (2, "divided")
    assert outcome.rendered_prompt == "<|user|>?"
