"""THE decision table: what an execution needs next. Pure.

A run, the reconciliation sensor, `beacon reconcile`, the remedy of a check and `docs/reconciliation.md`
all take it from `TABLE`. Two principles are in it: *unknown is not failed* (what the provider has not
reported is waited for), and *ask before paying* (no new attempt while the provider may still hold an answer
of an earlier call).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from beacon_pipeline.ledger.records import Attempt, Call, Execution
from beacon_pipeline.ledger.status import UNSUCCESSFUL, Status
from inference.contract import CallStatus


class CallStage(StrEnum):
    """How far the call that decides got, as the ledger knows. See `deciding_call`."""

    NONE = "none"  # there is no call
    INTENDED = "intended"  # written down; the provider's answer to the submit was never recorded
    ACCEPTED = "accepted"  # the provider gave a call id; the attempt is open
    ENDED = "ended"  # the attempt ended by a report without a reply: the provider may revise it
    ANSWERED = "answered"  # its reply with this execution's answer was read: the provider may still have it
    EARLIER = "earlier"  # a newer call followed it, and the provider may still have its answer
    REFUSED = "refused"  # the reply, or the refusal, on record is this execution's failure: final


class MaterializationMatch(StrEnum):
    """What Dagster shows of an execution's partition."""

    MISSING = "missing"  # the partition is not materialized
    AGREES = "agrees"  # it shows this execution as the ledger has it
    DIFFERS = "differs"  # it shows this execution, but not as the ledger has it
    OTHER = "other"  # it shows another execution, or none that the ledger knows


class Attendance(StrEnum):
    """Who works on an execution at the moment."""

    RUN = "run"  # the run that decides, which a person or a schedule launched
    REPAIR_RUN = "repair run"  # the run that decides, which reconciliation requested
    OTHER_RUN = "other run"  # another run, queued or running
    RECENT = "recent"  # no run, but something touched it within its deadline
    NOBODY = "nobody"  # nothing touched it within its deadline, or the run that worked on it is gone


class Action(StrEnum):
    """The next step of one execution."""

    NOTHING = "nothing"  # the record is complete and true, or only a person may go on
    SHOW = "show"  # there is an answer on record: materialize the partition from it
    POLL = "poll"  # the call's status is not known in this round: ask the provider
    WAIT = "wait"  # another run works on it, or the provider cannot be reached: unknown is not failed
    FOLLOW = "follow"  # the provider runs it: wait for its end
    SETTLE = "settle"  # the provider has an end for the call: read and record it
    REATTACH = "reattach"  # recorded as ended, but the provider still runs it
    RESUBMIT = "resubmit"  # send the identical request again; a durable provider runs it once
    INTERRUPT = "interrupt"  # cut off on a provider that keeps no calls: nothing to attach to
    DISPATCH = "dispatch"  # no call can bring an answer: a new attempt
    GIVE_UP = "give_up"  # the attempt budget is spent: dead letter


@dataclass(frozen=True)
class ExecutionState:
    """All that the table looks at.

    ``stage`` and ``call_status`` are of the call that decides; ``call_status`` is None until the provider
    was asked. ``attempts`` counts those made, ``budget`` those allowed. ``durable``: the provider's calls
    outlive the process that asked. ``submitting``: an intended call is so young that another process may
    be sending it now. ``newest``: no newer job asks the same. ``acknowledged``: a person cancelled it, or
    it is a dead letter, of which a person was alerted.
    """

    status: Status
    stage: CallStage
    call_status: CallStatus | None
    attempts: int
    budget: int
    durable: bool = True
    submitting: bool = False
    attended_by: Attendance = Attendance.RUN
    shown: MaterializationMatch = MaterializationMatch.MISSING
    newest: bool = True
    acknowledged: bool = False

    @property
    def attempts_left(self) -> bool:
        return self.attempts < self.budget


Values = frozenset[object]


@dataclass(frozen=True)
class Rule:
    """One row of the table: fits when every condition that it has holds."""

    action: Action
    because: str
    conditions: tuple[tuple[str, Values], ...]  # field of ExecutionState -> what it may be

    def fits(self, state: ExecutionState) -> bool:
        return all(getattr(state, name) in allowed for name, allowed in self.conditions)


def _rule(action: Action, because: str, **conditions: object) -> Rule:
    """A rule whose conditions are single values or sets of them."""
    return Rule(
        action,
        because,
        tuple((name, v if isinstance(v, frozenset) else frozenset({v})) for name, v in conditions.items()),
    )


_UNSETTLED = frozenset(status for status in Status if not status.is_terminal)
_KNOWN_TO_PROVIDER = frozenset({CallStage.ACCEPTED, CallStage.ENDED, CallStage.ANSWERED, CallStage.EARLIER})
_MACHINES = frozenset(Attendance) - {Attendance.RUN}

# The first rule that fits decides.
TABLE: tuple[Rule, ...] = (
    _rule(Action.WAIT, "a run that works on it is queued or running", attended_by=Attendance.OTHER_RUN),
    _rule(
        Action.NOTHING,
        "ledger and Dagster agree",
        status=Status.COMPLETED,
        shown=MaterializationMatch.AGREES,
    ),
    _rule(Action.NOTHING, "the partition shows a newer job", status=Status.COMPLETED, newest=False),
    _rule(Action.SHOW, "the ledger is right, the partition is not", status=Status.COMPLETED),
    _rule(Action.WAIT, "its run may be about to touch it", status=_UNSETTLED, attended_by=Attendance.RECENT),
    _rule(
        Action.RESUBMIT,
        "the same request again: the provider runs it once",
        stage=CallStage.INTENDED,
        durable=True,
    ),
    _rule(Action.WAIT, "another process may be sending it", stage=CallStage.INTENDED, submitting=True),
    _rule(
        Action.INTERRUPT,
        "whoever sent it is gone, and its provider keeps no calls",
        status=_UNSETTLED,
        stage=CallStage.INTENDED,
        attempts_left=True,
    ),
    _rule(Action.POLL, "ask before paying", stage=_KNOWN_TO_PROVIDER, call_status=None),
    _rule(Action.WAIT, "unknown is not failed", stage=_KNOWN_TO_PROVIDER, call_status=CallStatus.UNREACHABLE),
    _rule(
        Action.SETTLE,
        "the provider has an answer: the incident, where the record says otherwise",
        stage=_KNOWN_TO_PROVIDER,
        call_status=CallStatus.SUCCEEDED,
    ),
    _rule(
        Action.FOLLOW,
        "the provider runs it",
        status=Status.DISPATCHED,
        stage=CallStage.ACCEPTED,
        call_status=CallStatus.PENDING,
    ),
    _rule(
        Action.REATTACH,
        "the record says that it does not run, and it does",
        stage=frozenset({CallStage.ACCEPTED, CallStage.ENDED}),
        call_status=CallStatus.PENDING,
    ),
    _rule(
        Action.FOLLOW,
        "an earlier call runs after all: its answer counts",
        stage=frozenset({CallStage.ANSWERED, CallStage.EARLIER}),
        call_status=CallStatus.PENDING,
    ),
    _rule(Action.SETTLE, "the call ended, and how is not on record yet", stage=CallStage.ACCEPTED),
    _rule(
        Action.NOTHING,
        "cancelled by a person, or a dead letter: only a person asks again",
        status=UNSUCCESSFUL,
        attended_by=_MACHINES,
        acknowledged=True,
    ),
    _rule(Action.DISPATCH, "no call can bring an answer any more", attempts_left=True),
    _rule(Action.GIVE_UP, "the attempt budget is spent"),
)


@lru_cache(maxsize=8192)
def rule_for(state: ExecutionState) -> Rule:
    """The row of the table that decides. Total: every state has one."""
    return next(rule for rule in TABLE if rule.fits(state))


def decide(state: ExecutionState) -> Action:
    """The next step of one execution."""
    return rule_for(state).action


StatusOf = Callable[[Call], CallStatus | None]
"""What the provider says of a call, or None where it was not asked."""


def on_record(call: Call) -> CallStatus | None:
    """The provider's last report of a call, as the ledger has it."""
    return call.status


class DecidingCall(NamedTuple):
    """The call that decides what an execution needs: its stage, and what the provider says of it."""

    stage: CallStage
    status: CallStatus | None
    call: Call | None


def deciding_call(execution: Execution, status_of: StatusOf) -> DecidingCall:
    """Mostly the newest call. But one that has an answer comes first, and one that may bring one comes
    before one that cannot: so nothing is paid while any call may still bring an answer."""
    newest = execution.newest_call
    if newest is None:
        return DecidingCall(CallStage.NONE, None, None)
    if stage_of(execution.attempts[-1], newest=True) is CallStage.INTENDED:
        return DecidingCall(CallStage.INTENDED, None, newest)
    found = [DecidingCall(stage, status_of(a.call), a.call) for a, stage in _hopeful(execution)]
    refused = DecidingCall(CallStage.REFUSED, None, newest)
    return min(found, key=lambda one: _RANKS[one.status], default=refused)


def state_of(
    execution: Execution,
    deciding: DecidingCall,
    *,
    budget: int,
    durable: bool = True,
    submitting: bool = False,
    attended_by: Attendance = Attendance.RUN,
    shown: MaterializationMatch = MaterializationMatch.MISSING,
    newest: bool = True,
) -> ExecutionState:
    """What the table looks at of an execution, given the call that decides."""
    return ExecutionState(
        status=execution.status,
        stage=deciding.stage,
        call_status=deciding.status,
        attempts=len(execution.attempts),
        budget=budget,
        durable=durable,
        submitting=submitting,
        attended_by=attended_by,
        shown=shown,
        newest=newest,
        acknowledged=execution.status is Status.CANCELLED or execution.dead_lettered_at is not None,
    )


# A low rank brings the answer sooner; of calls of one rank the newest decides.
_RANKS: dict[CallStatus | None, int] = {
    CallStatus.SUCCEEDED: 0,
    CallStatus.PENDING: 1,
    None: 2,
    CallStatus.UNREACHABLE: 3,
    CallStatus.FAILED: 4,
    CallStatus.TIMED_OUT: 4,
    CallStatus.CANCELLED: 4,
    CallStatus.EXPIRED: 4,
}


def stage_of(attempt: Attempt, *, newest: bool) -> CallStage:
    """How far an attempt's call got, as the ledger knows. ``newest``: no other attempt came after it."""
    call = attempt.call
    if call.provider_call_id is None:
        return CallStage.INTENDED if newest and call.settled_at is None else CallStage.REFUSED
    if call.replied and attempt.failure_code is not None:
        return CallStage.REFUSED
    if not newest:
        return CallStage.EARLIER
    if call.replied:
        return CallStage.ANSWERED
    return CallStage.ACCEPTED if attempt.settled_at is None else CallStage.ENDED


def _hopeful(execution: Execution) -> Iterator[tuple[Attempt, CallStage]]:
    """The attempts whose calls the provider may have an answer of, newest first.

    While one is in flight no other is paid, and its own end is waited for.
    """
    newest = execution.attempts[-1] if execution.attempts else None
    for attempt in reversed(execution.attempts):
        stage = stage_of(attempt, newest=attempt is newest)
        if stage in _KNOWN_TO_PROVIDER:
            yield attempt, stage
        if stage is CallStage.ACCEPTED and execution.status is Status.DISPATCHED:
            return


def calls_to_poll(execution: Execution) -> list[Call]:
    """The calls that the provider is asked about before anything is decided, newest first."""
    return [] if execution.status is Status.COMPLETED else [a.call for a, _ in _hopeful(execution)]
