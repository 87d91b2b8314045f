"""The decision, as a table, and the invariants over every combination there is."""

from dataclasses import replace
from itertools import product

import pytest

from beacon_pipeline.execution.decide import (
    Action,
    CallStage,
    Facts,
    decide,
    judge_failure,
    retry_delay_seconds,
)
from beacon_pipeline.ledger.status import Status
from inference.contract import CallStatus, FailureCode

EVERY_COMBINATION = [
    Facts(status, stage, call_status, attempts, 3, durable, submitting)
    for status, stage, call_status, attempts, durable, submitting in product(
        Status, CallStage, [None, *CallStatus], [0, 2, 3, 4], [True, False], [True, False]
    )
]

# status, stage of the newest call, provider truth -> with budget left, and without
TABLE = """
completed   answered  -            nothing    nothing
pending     none      -            dispatch   dispatch
pending     answered  -            dispatch   dispatch
dispatched  intended  -            resubmit   resubmit
dispatched  accepted  -            ask        ask
dispatched  accepted  pending      wait       wait
dispatched  accepted  unreachable  wait       wait
dispatched  accepted  succeeded    settle     settle
dispatched  accepted  failed       settle     settle
dispatched  accepted  timed_out    settle     settle
dispatched  accepted  cancelled    settle     settle
dispatched  accepted  expired      settle     settle
failed      answered  -            dispatch   give_up
failed      accepted  -            ask        ask
failed      accepted  pending      reattach   reattach
failed      accepted  unreachable  wait       wait
failed      accepted  succeeded    settle     settle
failed      accepted  failed       dispatch   give_up
failed      accepted  expired      dispatch   give_up
timed_out   accepted  -            ask        ask
timed_out   accepted  succeeded    settle     settle
timed_out   accepted  timed_out    dispatch   give_up
cancelled   accepted  succeeded    settle     settle
cancelled   accepted  pending      reattach   reattach
cancelled   accepted  cancelled    dispatch   give_up
cancelled   none      -            dispatch   give_up
"""


@pytest.mark.parametrize("row", TABLE.strip().splitlines())
def test_the_table(row: str) -> None:
    status, stage, call_status, with_budget, without = row.split()
    known = None if call_status == "-" else CallStatus(call_status)
    for attempts, expected in ((1, with_budget), (3, without)):
        facts = Facts(Status(status), CallStage(stage), known, attempts, 3, durable=True)
        assert decide(facts) is Action(expected), facts


def test_a_lost_submit_is_sent_again_only_where_the_provider_runs_it_once() -> None:
    facts = Facts(Status.DISPATCHED, CallStage.INTENDED, None, 1, 3, durable=False)
    assert decide(facts) is Action.INTERRUPT
    assert decide(replace(facts, submitting=True)) is Action.WAIT, "another process may be sending it"
    assert decide(replace(facts, submitting=True, durable=True)) is Action.RESUBMIT


def test_no_combination_breaks_an_invariant() -> None:
    for facts in EVERY_COMBINATION:
        breaks_no_invariant(facts, decide(facts))


def breaks_no_invariant(facts: Facts, action: Action) -> None:
    accepted = facts.stage is CallStage.ACCEPTED and facts.status not in (Status.PENDING, Status.COMPLETED)
    if facts.status is Status.COMPLETED:
        assert action is Action.NOTHING, "an answer on record is never asked for again"
    if accepted and facts.call_status is CallStatus.SUCCEEDED:
        assert action is Action.SETTLE, "a provider's success is always recorded"
    if accepted and facts.call_status in (None, CallStatus.PENDING, CallStatus.UNREACHABLE):
        assert action in (Action.ASK, Action.WAIT, Action.REATTACH), "unknown is not failed, nor paid twice"
    if action is Action.DISPATCH and facts.status is not Status.PENDING:
        assert facts.attempts < facts.budget, "healing is bounded"
    if action is Action.RESUBMIT:
        assert facts.durable, "only a durable provider runs one request once"


@pytest.mark.parametrize("code", list(FailureCode))
@pytest.mark.parametrize("attempts", [1, 2, 3])
def test_a_failure_ends_or_retries_within_the_budget(code: FailureCode, attempts: int) -> None:
    verdict = judge_failure(code, attempts=attempts, budget=3)
    if code is FailureCode.CANCELLED:
        assert (verdict.status, verdict.dead_letter) == (Status.CANCELLED, False)
    elif code.retryable and attempts < 3:
        assert verdict.retries
        assert not verdict.dead_letter
    else:
        assert verdict.dead_letter
        assert verdict.status is (Status.TIMED_OUT if code is FailureCode.TIMED_OUT else Status.FAILED)


def test_backoff_doubles_and_is_bounded() -> None:
    assert [retry_delay_seconds(n) for n in (1, 2, 3, 4, 50)] == [1, 2, 4, 8, 60]
