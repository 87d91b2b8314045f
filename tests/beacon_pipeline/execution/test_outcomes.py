"""A reply becomes outcomes: thoughts are kept beside an answer, whoever left them in it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from beacon_pipeline.execution.outcomes import (
    attempt_on,
    executed_region,
    outcomes_of_failure,
    outcomes_of_reply,
)
from beacon_pipeline.labels.rules import VERSION
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Attempt, Completed, Execution, Retry, Unsuccessful
from beacon_pipeline.ledger.status import AnswerKind, Status
from inference.contract import CallFailure, FailureCode, FinishReason, ItemAnswer, ItemFailure, Reply
from tests.beacon_pipeline.asking import CELLS, a_job, a_request_for
from tests.beacon_pipeline.executions import MOMENT, a_call, an_execution
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


def a_reply(*items: ItemAnswer | ItemFailure, region: str = "eu-west") -> Reply:
    return Reply(
        version=1,
        request_id="c1",
        region=region,
        cloud="aws",
        task_id="t",
        cold_start=True,
        started_at=MOMENT,
        finished_at=MOMENT + timedelta(seconds=1),
        provenance=made_up_provenance("http", 8),
        items=items,
    )


def an_answer(execution: str, **changes: object) -> ItemAnswer:
    values = {"id": execution, "text": "Paris.", "finish_reason": "stop", "prompt_tokens": 3}
    values |= {"output_tokens": 2, "output_token_sha256": "0" * 64, "seconds": 0.1}
    return ItemAnswer.model_validate(values | changes)


def asked(name: str, attempts: int = 1) -> Execution:
    """An execution whose last attempt is on call c1."""
    calls = [a_call(id=f"earlier-{n}") for n in range(1, attempts)] + [a_call(id="c1")]
    return an_execution(
        Status.DISPATCHED,
        id=name,
        attempts=tuple(Attempt(f"a{n}", name, n, None, None, None, call) for n, call in enumerate(calls, 1)),
    )


REGIONS = {"eu-west": "eu", "EU": "eu", "us-east": "us"}


@pytest.mark.parametrize(
    ("reported", "region"),
    [
        ("eu-west", "eu"),
        ("eu-west, EU", "eu"),
        (" eu-west ,", "eu"),
        ("eu-west, us-east", "eu-west, us-east"),
        ("mars", "mars"),
        ("mars, mars", "mars"),
        ("unreported", "unreported"),
        ("", ""),
    ],
)
def test_a_region_is_read_by_its_aliases_and_never_guessed(reported: str, region: str) -> None:
    assert executed_region(reported, REGIONS.get) == region


@pytest.mark.parametrize(
    ("prompt", "kind"),
    [
        ("Translate “Ich kann diese Frage nicht beantworten.”", SUBSTANTIVE),
        ("Who leads?", REFUSAL),
        (None, REFUSAL),
    ],
)
def test_a_refusal_that_was_asked_for_is_an_answer(prompt: str | None, kind: AnswerKind) -> None:
    execution = replace(asked("e"), prompt=prompt)
    reply = a_reply(an_answer("e", text="I cannot answer that."))
    outcome = outcomes_of_reply(reply, [execution], budget=3, read_region=REGIONS.get)["e"]
    assert isinstance(outcome, Completed)
    assert outcome.answer_kind is kind


def test_a_reply_settles_each_execution_by_its_own_item() -> None:
    failures = [
        ItemFailure(id=name, code=code, message=f"why {name}")
        for name, code in {
            "again": FailureCode.OUT_OF_MEMORY,
            "spent": FailureCode.OUT_OF_MEMORY,
            "final": FailureCode.PROMPT_TOO_LONG,
        }.items()
    ]
    here, there = an_answer("here", rendered_prompt="<|user|>?"), an_answer("there", region="us-east")
    executions = [asked("here"), asked("there"), asked("again"), asked("spent", 3), asked("final")]
    outcomes = outcomes_of_reply(
        a_reply(*failures, there, here), executions, budget=3, read_region=REGIONS.get
    )
    assert outcomes["again"] == Retry(failure_code=FailureCode.OUT_OF_MEMORY, message="why again")
    for name, code in (("spent", FailureCode.OUT_OF_MEMORY), ("final", FailureCode.PROMPT_TOO_LONG)):
        assert outcomes[name] == Unsuccessful(
            status=Status.FAILED, failure_code=code, message=f"why {name}", dead_letter=True
        )
    assert outcomes["here"] == Completed(
        answer="Paris.",
        answer_kind=AnswerKind.SUBSTANTIVE,
        finish_reason=FinishReason.STOP,
        prompt_tokens=3,
        output_tokens=2,
        output_token_sha256="0" * 64,
        executed_region="eu",
        provenance=a_reply().provenance.of_item(here),
        cold_start=True,
        started_at=MOMENT,
        completed_at=MOMENT + timedelta(seconds=1),
        rendered_prompt="<|user|>?",
        reasoning=None,
        kind_version=VERSION,
    )
    assert isinstance(outcomes["there"], Completed)
    assert outcomes["there"].executed_region == "us"


@pytest.mark.parametrize(
    ("code", "attempts", "outcome"),
    [
        (FailureCode.WORKER_LOST, 1, Retry(failure_code=FailureCode.WORKER_LOST, message="gone")),
        (FailureCode.WORKER_LOST, 2, (Status.FAILED, True)),
        (FailureCode.TIMED_OUT, 2, (Status.TIMED_OUT, True)),
        (FailureCode.REJECTED, 1, (Status.FAILED, True)),
        (FailureCode.CANCELLED, 1, (Status.CANCELLED, False)),
    ],
)
def test_a_call_that_ended_as_a_whole_ends_each_of_its_attempts(
    code: FailureCode, attempts: int, outcome: Retry | tuple[Status, bool]
) -> None:
    expected = (
        outcome
        if isinstance(outcome, Retry)
        else Unsuccessful(status=outcome[0], failure_code=code, message="gone", dead_letter=outcome[1])
    )
    failure = CallFailure(code=code, message="gone")
    executions = [asked("e1", attempts), asked("e2", attempts)]
    assert outcomes_of_failure(failure, executions, "c1", budget=2) == {"e1": expected, "e2": expected}


def test_the_attempt_of_a_call_is_found_or_its_lack_is_an_error() -> None:
    execution = asked("e1", 3)
    assert attempt_on(execution, "c1").number == 3
    assert attempt_on(execution, "earlier-2").number == 2
    with pytest.raises(LookupError, match="execution e1 has no attempt on call c9"):
        attempt_on(execution, "c9")
