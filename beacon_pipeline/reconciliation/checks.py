"""What each asset check of an execution checks. Pure; `view` reports it to Dagster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from beacon_pipeline.execution.classify_answer import reasoning_unfinished
from beacon_pipeline.execution.decide import StatusOf
from beacon_pipeline.ledger.records import Execution
from beacon_pipeline.ledger.status import AnswerKind, Status
from beacon_pipeline.reconciliation.consistency import MaterializedState, deployment_problem, find_mismatch
from inference.contract import CallStatus


class CheckName(StrEnum):
    """The checks on every partition of the inference asset."""

    NON_EMPTY_OUTPUT = "non_empty_output"
    STATUS_CONSISTENCY = "status_consistency"
    EXECUTED_REGION = "executed_region"


@dataclass(frozen=True)
class CheckInput:
    """All that a check looks at.

    ``status_of`` gives what the provider says of a call, or None where it was not asked; ``shown`` is None
    where the partition is not materialized; ``budget`` is the number of attempts that are allowed.
    """

    execution: Execution
    status_of: StatusOf
    shown: MaterializedState | None
    budget: int

    @property
    def call_status(self) -> CallStatus | None:
        """What the provider says of the newest call, or None where no call was accepted."""
        call = self.execution.newest_call
        return self.status_of(call) if call else None


@dataclass(frozen=True)
class CheckOutcome:
    """A check's verdict: what it saw, and for a failure what to do about it."""

    passed: bool
    seen: str
    remedy: str = "nothing to do"


def non_empty_output(looked_at: CheckInput) -> CheckOutcome:
    """An empty answer is a finding about the model, not a failure of the execution."""
    execution = looked_at.execution
    if execution.status is not Status.COMPLETED:
        return CheckOutcome(True, f"no answer to look at: the execution is {execution.status.value}")
    if execution.answer_kind is AnswerKind.EMPTY:
        return CheckOutcome(
            False,
            f"the model generated no visible text ({execution.output_tokens} tokens, "
            f"finish reason {execution.finish_reason.value if execution.finish_reason else 'unknown'})",
            "the record is right; compare with other regions and repeats before it is published",
        )
    # Older records hold such thoughts in the answer itself.
    if execution.answer_kind is AnswerKind.UNFINISHED or reasoning_unfinished(execution.answer or ""):
        return CheckOutcome(
            False,
            f"the output ended among the model's thoughts ({execution.output_tokens} tokens): "
            "the answer itself never came",
            "raise max_new_tokens of the model in the catalog and ask again in a new job",
        )
    kind = execution.answer_kind.value if execution.answer_kind else "unknown"
    return CheckOutcome(True, f"{kind} answer of {len(execution.answer or '')} characters")


def status_consistency(looked_at: CheckInput) -> CheckOutcome:
    """The provider, the ledger and Dagster agree."""
    mismatch = find_mismatch(
        looked_at.execution, looked_at.shown, looked_at.status_of, budget=looked_at.budget
    )
    if mismatch is not None:
        return CheckOutcome(False, mismatch.found, mismatch.remedy)
    call_status = looked_at.call_status.value if looked_at.call_status else "nothing"
    shown = looked_at.shown.status if looked_at.shown else "nothing"
    return CheckOutcome(
        True, f"provider: {call_status}, ledger: {looked_at.execution.status.value}, Dagster: {shown}"
    )


def executed_region(looked_at: CheckInput) -> CheckOutcome:
    """The answer came from the region that was asked, and from the model."""
    execution = looked_at.execution
    if problem := deployment_problem(execution):
        return CheckOutcome(
            False,
            problem,
            "the answer is kept and flagged unusable: check where and what the deployment serves "
            "(another name of the same model goes into endpoint_model_aliases), then ask again in a new job",
        )
    return CheckOutcome(True, f"asked in {execution.region!r}, executed there")


def of_cell(outcomes: Sequence[CheckOutcome]) -> CheckOutcome:
    """A check's verdict on a partition, from those on its executions: it passes where all do."""
    if len(outcomes) == 1:
        return outcomes[0]
    failed = [outcome for outcome in outcomes if not outcome.passed]
    if not failed:
        ((seen, times),) = Counter(outcome.seen for outcome in outcomes).most_common(1)
        return CheckOutcome(True, f"all {len(outcomes)} executions; {times} of them: {seen}")
    return CheckOutcome(
        False, f"{len(failed)} of {len(outcomes)} executions: {failed[0].seen}", failed[0].remedy
    )


CHECKS: Mapping[CheckName, Callable[[CheckInput], CheckOutcome]] = {
    CheckName.NON_EMPTY_OUTPUT: non_empty_output,
    CheckName.STATUS_CONSISTENCY: status_consistency,
    CheckName.EXECUTED_REGION: executed_region,
}
