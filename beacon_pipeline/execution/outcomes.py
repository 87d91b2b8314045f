"""Where a provider's reply, or its report of a call, becomes an outcome for each execution. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from beacon_pipeline.execution.classify_answer import classify, version_of
from beacon_pipeline.execution.retry_policy import judge_failure
from beacon_pipeline.ledger.records import Attempt, Completed, Execution, Outcome, Retry, Unsuccessful
from beacon_pipeline.ledger.status import AnswerKind, Status
from inference.contract import CallFailure, FailureCode, ItemAnswer, ItemFailure, Reply
from inference.reasoning import separate

RegionReader = Callable[[str], str | None]
"""Canonical name of a region as a provider reports it, or None for an unknown name."""


def attempt_on(execution: Execution, call_id: str) -> Attempt:
    """The attempt of an execution that belongs to a call. Raises LookupError when there is none."""
    for attempt in execution.attempts:
        if attempt.call.id == call_id:
            return attempt
    raise LookupError(f"execution {execution.id} has no attempt on call {call_id}")


def executed_region(reported: str, read_region: RegionReader) -> str:
    """The region for the record: canonical where known, else exactly as reported, never a guess.

    A header that came twice, or through two proxies, lists regions: they count as one where all are
    names of the same.
    """
    named = {read_region(name) or name for name in map(str.strip, reported.split(",")) if name}
    return named.pop() if len(named) == 1 else reported


def outcomes_of_reply(
    reply: Reply, executions: Sequence[Execution], *, budget: int, read_region: RegionReader
) -> dict[str, Outcome]:
    """Execution id -> outcome, for a validated reply to the call that carried ``executions``."""
    items = {item.id: item for item in reply.items}
    outcomes: dict[str, Outcome] = {}
    for execution in executions:
        match items[execution.id]:
            case ItemAnswer() as answer:
                region = executed_region(answer.region or reply.region, read_region)
                outcomes[execution.id] = _completed(answer, reply, region, execution.prompt or "")
            case ItemFailure() as failure:
                outcomes[execution.id] = failed_outcome(
                    failure.code,
                    failure.message,
                    attempts=attempt_on(execution, reply.request_id).number,
                    budget=budget,
                )
    return outcomes


def outcomes_of_failure(
    failure: CallFailure, executions: Sequence[Execution], call_id: str, *, budget: int
) -> dict[str, Outcome]:
    """Execution id -> outcome, for a call that ended as a whole without a reply."""
    return {
        execution.id: failed_outcome(
            failure.code,
            failure.message,
            attempts=attempt_on(execution, call_id).number,
            budget=budget,
        )
        for execution in executions
    }


def failed_outcome(code: FailureCode, message: str, *, attempts: int, budget: int) -> Outcome:
    """Another attempt, or an end with a status and a reason."""
    decision = judge_failure(code, attempts=attempts, budget=budget)
    if decision.status is Status.PENDING:
        return Retry(failure_code=code, message=message)
    return Unsuccessful(
        status=decision.status, failure_code=code, message=message, dead_letter=decision.dead_letter
    )


def _completed(answer: ItemAnswer, reply: Reply, region: str, question: str) -> Completed:
    answer = _without_thoughts(answer)
    kind = AnswerKind.UNFINISHED if answer.reasoning_unfinished else classify(answer.text, question)
    return Completed(
        answer=answer.text,
        answer_kind=kind,
        kind_version=version_of(kind),
        finish_reason=answer.finish_reason,
        prompt_tokens=answer.prompt_tokens,
        output_tokens=answer.output_tokens,
        output_token_sha256=answer.output_token_sha256,
        executed_region=region,
        provenance=reply.provenance.of_item(answer),
        cold_start=reply.cold_start,
        started_at=reply.started_at,
        completed_at=reply.finished_at,
        rendered_prompt=answer.rendered_prompt,
        reasoning=answer.reasoning,
    )


def _without_thoughts(answer: ItemAnswer) -> ItemAnswer:
    """Of a provider that does not keep a model's thoughts apart itself."""
    if answer.reasoning is not None or answer.reasoning_unfinished:
        return answer
    found = separate(answer.text, answer.finish_reason, prompt=answer.rendered_prompt)
    return answer.model_copy(
        update={
            "text": found.answer,
            "reasoning": found.reasoning,
            "reasoning_unfinished": found.unfinished,
        }
    )
