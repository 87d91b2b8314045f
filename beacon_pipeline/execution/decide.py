"""What an execution needs next, and what the end of a call means: pure functions of values.

`decide` is the one place where the choice between attaching, submitting, dispatching, repairing
and giving up is made; runs and reconciliation both ask it. `tests/beacon_pipeline/execution/test_decide.py`
holds it as a table over every combination.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from beacon_pipeline.ledger.records import Call, Execution
from beacon_pipeline.ledger.status import Status
from inference.contract import CallStatus, FailureCode


class CallStage(StrEnum):
    """How far the newest call of an execution got, as the ledger knows."""

    NONE = "none"  # there is no call
    INTENDED = "intended"  # written down; the provider's answer to the submit was never recorded
    ACCEPTED = "accepted"  # the provider gave a call id; its end is not on record
    ANSWERED = "answered"  # its reply, or the provider's refusal of it, is on record


class Action(StrEnum):
    """What to do with an execution now."""

    NOTHING = "nothing"  # the record is complete and true
    ASK = "ask"  # the call's status is not known in this round: poll the provider
    WAIT = "wait"  # the provider still runs it, or cannot be reached: unknown is not failed
    SETTLE = "settle"  # the provider has an end for the call: record it
    REATTACH = "reattach"  # recorded as ended, but the provider still runs it
    RESUBMIT = "resubmit"  # send the identical request again; a durable provider runs it once
    INTERRUPT = "interrupt"  # cut off on a provider that keeps no calls: nothing to attach to
    DISPATCH = "dispatch"  # no call in flight: a new attempt
    GIVE_UP = "give_up"  # the attempt budget is spent: dead letter


@dataclass(frozen=True)
class Facts:
    """All that `decide` looks at.

    ``call_status`` is None until the provider was asked in this round; ``attempts`` counts those made,
    ``budget`` those allowed; ``durable`` is the provider's own word about its calls; ``in_hand``:
    an intended call is so young that another process may be sending it just now.
    """

    status: Status
    stage: CallStage
    call_status: CallStatus | None
    attempts: int
    budget: int
    durable: bool
    submitting: bool = False


def stage_of(call: Call | None) -> CallStage:
    """How far a call got, as the ledger knows."""
    if call is None:
        return CallStage.NONE
    if call.replied:
        return CallStage.ANSWERED
    return CallStage.INTENDED if call.provider_call_id is None else CallStage.ACCEPTED


def facts_of(
    execution: Execution,
    call_status: CallStatus | None,
    *,
    budget: int,
    durable: bool,
    submitting: bool = False,
) -> Facts:
    """The facts of an execution, with the provider's word on its newest call."""
    return Facts(
        status=execution.status,
        stage=stage_of(execution.newest_call),
        call_status=call_status,
        attempts=len(execution.attempts),
        budget=budget,
        durable=durable,
        submitting=submitting,
    )


def decide(facts: Facts) -> Action:
    """The next action for one execution. Total: every combination of facts has an answer."""
    match facts.status:
        case Status.COMPLETED:
            return Action.NOTHING
        case Status.PENDING:
            # A pending execution was granted its next attempt when it became pending.
            return Action.DISPATCH
        case Status.DISPATCHED:
            return _in_flight(facts)
        case Status.FAILED | Status.TIMED_OUT | Status.CANCELLED:
            return _ended_without_answer(facts)


def _in_flight(facts: Facts) -> Action:
    match facts.stage:
        case CallStage.INTENDED:
            if facts.durable:
                return Action.RESUBMIT
            # Sent twice it runs twice: whoever wrote the intent is given time to send it.
            return Action.WAIT if facts.submitting else Action.INTERRUPT
        case CallStage.ACCEPTED:
            return _by_call_status(facts.call_status, still_running=Action.WAIT, ended=Action.SETTLE)
        case CallStage.NONE | CallStage.ANSWERED:
            # The schema and the single transaction of a settlement keep this from arising; a
            # record written by other hands is brought back by a fresh attempt, within budget.
            return _next_attempt(facts)


def _ended_without_answer(facts: Facts) -> Action:
    match facts.stage:
        case CallStage.ACCEPTED:
            # The end on record did not come from a reply: it may be false.
            return _by_call_status(
                facts.call_status, still_running=Action.REATTACH, ended=_next_attempt(facts)
            )
        case CallStage.NONE | CallStage.INTENDED | CallStage.ANSWERED:
            return _next_attempt(facts)


def _by_call_status(call_status: CallStatus | None, *, still_running: Action, ended: Action) -> Action:
    match call_status:
        case None:
            return Action.ASK
        case CallStatus.PENDING:
            return still_running
        case CallStatus.UNREACHABLE:
            return Action.WAIT
        case CallStatus.SUCCEEDED:
            return Action.SETTLE
        case CallStatus.FAILED | CallStatus.TIMED_OUT | CallStatus.CANCELLED | CallStatus.EXPIRED:
            return ended


def _next_attempt(facts: Facts) -> Action:
    return Action.DISPATCH if facts.attempts < facts.budget else Action.GIVE_UP


@dataclass(frozen=True)
class Verdict:
    """What a failure means for an execution: try again, or end it with a status.

    ``dead_letter``: ended for good without anyone having wished it, so someone must be told.
    """

    status: Status
    dead_letter: bool

    @property
    def retries(self) -> bool:
        return self.status is Status.PENDING


def judge_failure(code: FailureCode, *, attempts: int, budget: int) -> Verdict:
    """The verdict on a failed attempt, given the attempts made so far, this one included."""
    if code is FailureCode.CANCELLED:
        return Verdict(Status.CANCELLED, dead_letter=False)
    if code.retryable and attempts < budget:
        return Verdict(Status.PENDING, dead_letter=False)
    ended = Status.TIMED_OUT if code is FailureCode.TIMED_OUT else Status.FAILED
    return Verdict(ended, dead_letter=True)


def retry_delay_seconds(failed_rounds: int) -> float:
    """Exponential backoff before the next attempt: 1, 2, 4, … at most 60 seconds."""
    return float(min(2 ** max(failed_rounds - 1, 0), 60))
