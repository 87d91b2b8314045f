"""The decision table: rows that a person can read, and the invariants over every combination there is."""

import math
from collections.abc import Collection, Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from beacon_pipeline.execution.decide import (
    TABLE,
    Action,
    Attendance,
    CallStage,
    ExecutionState,
    MaterializationMatch,
    calls_to_poll,
    decide,
    deciding_call,
    on_record,
    rule_for,
    stage_of,
    state_of,
)
from beacon_pipeline.ledger.records import Attempt, Call
from beacon_pipeline.ledger.status import Status
from inference.contract import CallStatus
from tests.beacon_pipeline.executions import MOMENT, a_call, an_execution

KNOWN = (CallStage.ACCEPTED, CallStage.ENDED, CallStage.ANSWERED, CallStage.EARLIER)
FINAL = (CallStatus.FAILED, CallStatus.TIMED_OUT, CallStatus.CANCELLED, CallStatus.EXPIRED)

VALUES: tuple[Collection[Any], ...] = (
    Status,
    CallStage,
    [None, *CallStatus],
    [2, 3],
    [True, False],  # durable
    [True, False],  # submitting
    Attendance,
    MaterializationMatch,
    [True, False],  # newest
    [True, False],  # acknowledged
)
STATES = math.prod(map(len, VALUES))

# Status, stage of the call that decides, what the provider says -> the step with attempts left, and without
ROWS = """
completed   answered  -            show       show
pending     none      -            dispatch   give_up
pending     refused   -            dispatch   give_up
pending     ended     -            poll       poll
pending     ended     unreachable  wait       wait
pending     ended     pending      reattach   reattach
pending     ended     succeeded    settle     settle
pending     ended     failed       dispatch   give_up
pending     ended     expired      dispatch   give_up
pending     earlier   succeeded    settle     settle
pending     earlier   pending      follow     follow
pending     earlier   -            poll       poll
pending     accepted  failed       settle     settle
pending     accepted  pending      reattach   reattach
dispatched  none      -            dispatch   give_up
dispatched  intended  -            resubmit   resubmit
dispatched  accepted  -            poll       poll
dispatched  accepted  pending      follow     follow
dispatched  accepted  unreachable  wait       wait
dispatched  accepted  succeeded    settle     settle
dispatched  accepted  failed       settle     settle
dispatched  accepted  timed_out    settle     settle
dispatched  accepted  cancelled    settle     settle
dispatched  accepted  expired      settle     settle
dispatched  ended     failed       dispatch   give_up
dispatched  ended     pending      reattach   reattach
failed      refused   -            dispatch   give_up
failed      answered  -            poll       poll
failed      answered  unreachable  wait       wait
failed      answered  pending      follow     follow
failed      answered  succeeded    settle     settle
failed      answered  expired      dispatch   give_up
failed      intended  -            resubmit   resubmit
failed      ended     -            poll       poll
failed      ended     pending      reattach   reattach
failed      ended     unreachable  wait       wait
failed      ended     succeeded    settle     settle
failed      ended     failed       dispatch   give_up
failed      ended     expired      dispatch   give_up
timed_out   ended     -            poll       poll
timed_out   ended     succeeded    settle     settle
timed_out   ended     timed_out    dispatch   give_up
cancelled   ended     succeeded    settle     settle
cancelled   ended     pending      reattach   reattach
cancelled   ended     cancelled    dispatch   give_up
cancelled   none      -            dispatch   give_up
"""


@pytest.mark.parametrize("row", ROWS.strip().splitlines())
def test_what_a_run_does(row: str) -> None:
    status, stage, call_status, left, spent = row.split()
    known = None if call_status == "-" else CallStatus(call_status)
    for attempts, expected in ((1, left), (3, spent)):
        state = ExecutionState(Status(status), CallStage(stage), known, attempts, 3)
        assert decide(state) is Action(expected), state


def test_a_lost_submit_is_sent_again_only_where_the_provider_runs_it_once() -> None:
    state = ExecutionState(Status.DISPATCHED, CallStage.INTENDED, None, 1, 3, durable=False)
    assert decide(state) is Action.INTERRUPT
    assert decide(replace(state, attempts=3)) is Action.GIVE_UP
    assert decide(replace(state, status=Status.FAILED)) is Action.DISPATCH
    assert decide(replace(state, submitting=True)) is Action.WAIT, "another process may be sending it"
    assert decide(replace(state, submitting=True, durable=True)) is Action.RESUBMIT


def test_what_a_machine_leaves_to_a_person_or_to_another_run() -> None:
    dead_letter = ExecutionState(Status.FAILED, CallStage.REFUSED, None, 1, 3, acknowledged=True)
    machine = replace(dead_letter, attended_by=Attendance.NOBODY)
    assert decide(machine) is Action.NOTHING
    assert decide(replace(machine, attended_by=Attendance.REPAIR_RUN)) is Action.NOTHING
    assert decide(dead_letter) is Action.DISPATCH, "a person launched this run"
    assert decide(replace(machine, acknowledged=False)) is Action.DISPATCH
    assert decide(replace(machine, attended_by=Attendance.OTHER_RUN)) is Action.WAIT
    held = replace(machine, stage=CallStage.ANSWERED, call_status=CallStatus.SUCCEEDED)
    assert decide(held) is Action.SETTLE, "an answer is read, whoever was told of a failure"


def every_state() -> Iterator[ExecutionState]:
    for values in product(*VALUES):
        yield ExecutionState(*values[:4], 3, *values[4:])


def test_no_state_breaks_an_invariant() -> None:
    used = set()
    for state in every_state():
        rule = rule_for(state)
        used.add(rule)
        breaks_no_invariant(state, rule.action)
    assert used == set(TABLE), "a rule that never decides is no rule"


def breaks_no_invariant(state: ExecutionState, action: Action) -> None:
    if state.attended_by is Attendance.OTHER_RUN:
        assert action is Action.WAIT
        return
    if state.status is Status.COMPLETED:
        assert action in (Action.NOTHING, Action.SHOW), "an answer on record is never asked for again"
        return
    asked = state.stage in KNOWN and not (
        state.attended_by is Attendance.RECENT and not state.status.is_terminal
    )
    if asked and state.call_status is CallStatus.SUCCEEDED:
        assert action is Action.SETTLE, "a provider's success is always recorded"
    if asked and state.call_status is None:
        assert action is Action.POLL, "ask before paying"
    pays = action in (Action.DISPATCH, Action.INTERRUPT, Action.GIVE_UP)
    if pays:
        held = state.stage in KNOWN and state.call_status not in FINAL
        assert not held, "the provider may still hold an answer: unknown is not failed, nor paid twice"
        intended = state.stage is CallStage.INTENDED and (state.durable or state.submitting)
        assert not intended, "a call that may have been sent is not paid again"
    if action in (Action.DISPATCH, Action.INTERRUPT):
        assert state.attempts < state.budget, "healing is bounded"
    if action is Action.RESUBMIT:
        assert state.durable, "only a durable provider runs one request once"
    if action in (Action.DISPATCH, Action.GIVE_UP) and state.attended_by is not Attendance.RUN:
        assert not (state.status.is_terminal and state.acknowledged), "only a person asks that again"


def an_attempt(call: Call, number: int = 1, *, open_: bool = False, failed: bool = False) -> Attempt:
    settled_at = None if open_ else MOMENT
    return Attempt(f"a{number}", "e1", number, settled_at, "worker_lost" if failed else None, None, call)


INTENDED = a_call(provider_call_id=None)


@pytest.mark.parametrize(
    ("attempt", "newest", "stage"),
    [
        (an_attempt(INTENDED, open_=True), True, CallStage.INTENDED),
        (an_attempt(INTENDED), True, CallStage.INTENDED),
        (an_attempt(INTENDED), False, CallStage.REFUSED),
        (an_attempt(a_call(provider_call_id=None, settled_at=MOMENT), failed=True), True, CallStage.REFUSED),
        (an_attempt(a_call(), open_=True), True, CallStage.ACCEPTED),
        (an_attempt(a_call(), open_=True), False, CallStage.EARLIER),
        (an_attempt(a_call(settled_at=MOMENT), failed=True), True, CallStage.ENDED),
        (an_attempt(a_call(settled_at=MOMENT), failed=True), False, CallStage.EARLIER),
        (an_attempt(a_call(replied=True)), True, CallStage.ANSWERED),
        (an_attempt(a_call(replied=True)), False, CallStage.EARLIER),
        (an_attempt(a_call(replied=True), failed=True), True, CallStage.REFUSED),
        (an_attempt(a_call(replied=True), failed=True), False, CallStage.REFUSED),
    ],
)
def test_how_far_a_call_got(attempt: Attempt, newest: bool, stage: CallStage) -> None:
    assert stage_of(attempt, newest=newest) is stage


# What the provider says of the earlier and of the newest call, both ended -> the one that decides
DECIDES = """
failed       failed       newest
failed       -            newest
-            failed       earlier
-            -            newest
succeeded    failed       earlier
succeeded    pending      earlier
failed       succeeded    newest
succeeded    succeeded    newest
pending      failed       earlier
pending      -            earlier
unreachable  failed       earlier
unreachable  -            newest
expired      unreachable  newest
-            unreachable  earlier
unreachable  unreachable  newest
failed       expired      newest
"""


@pytest.mark.parametrize("row", DECIDES.strip().splitlines())
def test_the_call_that_may_bring_an_answer_decides(row: str) -> None:
    earlier, newest, expected = row.split()
    words = {"c1": earlier, "c2": newest}
    calls = [a_call(id="c1"), a_call(id="c2")]
    execution = an_execution(
        Status.PENDING, attempts=(an_attempt(calls[0], 1, failed=True), an_attempt(calls[1], 2, failed=True))
    )

    def status_of(call: Call) -> CallStatus | None:
        return None if words[call.id] == "-" else CallStatus(words[call.id])

    deciding = deciding_call(execution, status_of)
    assert deciding.call is calls[expected == "newest"]
    assert deciding.stage is (CallStage.ENDED if expected == "newest" else CallStage.EARLIER)
    assert calls_to_poll(execution) == calls[::-1]


def test_only_the_call_in_flight_is_polled_and_decides_while_it_is_in_flight() -> None:
    earlier, newest = a_call(id="c1", status=CallStatus.SUCCEEDED), a_call(id="c2")
    attempts = (an_attempt(earlier, 1, failed=True), an_attempt(newest, 2, open_=True))
    in_flight = an_execution(Status.DISPATCHED, attempts=attempts)
    assert calls_to_poll(in_flight) == [newest]
    assert deciding_call(in_flight, on_record).call is newest
    turned = an_execution(Status.FAILED, attempts=attempts)
    assert calls_to_poll(turned) == [newest, earlier]
    assert deciding_call(turned, on_record).call is earlier


def test_what_decides_where_nothing_can_be_polled() -> None:
    assert deciding_call(an_execution(Status.PENDING), on_record) == (CallStage.NONE, None, None)
    intended = an_execution(Status.FAILED, attempts=(an_attempt(INTENDED),))
    assert deciding_call(intended, on_record) == (CallStage.INTENDED, None, INTENDED)
    refused = a_call(replied=True, status=CallStatus.SUCCEEDED)
    execution = an_execution(Status.FAILED, attempts=(an_attempt(refused, failed=True),))
    assert deciding_call(execution, on_record) == (CallStage.REFUSED, None, refused)
    assert calls_to_poll(intended) == calls_to_poll(execution) == []
    assert calls_to_poll(an_execution(Status.COMPLETED, attempts=(an_attempt(a_call(replied=True)),))) == []


def test_a_state_counts_attempts_and_knows_what_a_person_was_alerted_of() -> None:
    execution = an_execution(Status.FAILED, attempts=(an_attempt(a_call(), failed=True),))
    deciding = deciding_call(execution, on_record)
    state = state_of(execution, deciding, budget=1)
    assert (state.status, state.attempts, state.attempts_left) == (Status.FAILED, 1, False)
    assert (state.attended_by, state.acknowledged) == (Attendance.RUN, False)
    assert state_of(replace(execution, dead_lettered_at=MOMENT), deciding, budget=1).acknowledged
    assert state_of(an_execution(Status.CANCELLED), deciding, budget=1).acknowledged
    assert state_of(execution, deciding, budget=2).attempts_left


def test_the_words_that_metadata_and_documents_keep() -> None:
    words = {
        kind: [one.value for one in kind] for kind in (CallStage, MaterializationMatch, Attendance, Action)
    }
    assert words == {
        CallStage: ["none", "intended", "accepted", "ended", "answered", "earlier", "refused"],
        MaterializationMatch: ["missing", "agrees", "differs", "other"],
        Attendance: ["run", "repair run", "other run", "recent", "nobody"],
        Action: [
            *("nothing", "show", "poll", "wait", "follow", "settle", "reattach", "resubmit", "interrupt"),
            *("dispatch", "give_up"),
        ],
    }


def test_unless_it_is_given_a_state_is_what_a_persons_run_finds() -> None:
    execution = an_execution(Status.PENDING)
    state = state_of(execution, deciding_call(execution, on_record), budget=3)
    expected = ExecutionState(Status.PENDING, CallStage.NONE, None, 0, 3)
    assert state == expected
    assert (expected.durable, expected.submitting, expected.newest) == (True, False, True)
    assert expected.attended_by is Attendance.RUN
    assert expected.shown is MaterializationMatch.MISSING
    given = state_of(
        execution,
        deciding_call(execution, on_record),
        budget=3,
        durable=False,
        submitting=True,
        attended_by=Attendance.NOBODY,
        shown=MaterializationMatch.OTHER,
        newest=False,
    )
    assert (given.durable, given.submitting, given.newest) == (False, True, False)
    assert (given.attended_by, given.shown) == (Attendance.NOBODY, MaterializationMatch.OTHER)
