"""Any sequence of asks, replies, failures, false reports and repairs leaves a legal and complete record."""

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import CallFacts, Execution, Outcome, Retry, Unsuccessful
from beacon_pipeline.ledger.status import Status
from beacon_pipeline.ledger.transitions import LEGAL_TRANSITIONS
from inference.contract import CallFailure, CallStatus, FailureCode
from tests.beacon_pipeline.asking import CELLS, SUCCEEDED, a_job, a_request_for, completed
from tests.databases import migrated_sqlite_file

LOST = CallFailure(code=FailureCode.WORKER_LOST, message="gone")
OUTCOMES: dict[str, Outcome] = {
    "answer": completed(),
    "empty": completed(""),
    "retry": Retry(failure_code=LOST.code, message=LOST.message),
    "failed": Unsuccessful(
        status=Status.FAILED, failure_code=LOST.code, message=LOST.message, dead_letter=True
    ),
    "timed_out": Unsuccessful(
        status=Status.TIMED_OUT, failure_code=FailureCode.TIMED_OUT, message="late", dead_letter=True
    ),
}


class TheRecord(RuleBasedStateMachine):
    """Settles any call, however old, in any order and any number of times."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.ledger = Ledger(migrated_sqlite_file(Path(self.folder.name) / "ledger.db"))
        self.job = a_job(self.ledger)
        self.calls: list[str] = []
        self.answered: dict[str, str | None] = {}

    def executions(self) -> list[Execution]:
        return self.ledger.executions.of_job(self.job.id)

    @rule(chosen=st.sets(st.sampled_from(range(len(CELLS))), min_size=1))
    def dispatch(self, chosen: set[int]) -> None:
        some = [self.executions()[index] for index in sorted(chosen)]
        call = self.ledger.calls.open(some, a_request_for, provider="local", actor="test")
        assert (call is None) == all(e.status is not Status.PENDING for e in some)
        if call is not None:
            self.calls.append(call.id)

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), outcome=st.sampled_from(sorted(OUTCOMES)))
    def settle(self, data: st.DataObject, outcome: str) -> None:
        call_id = data.draw(st.sampled_from(self.calls))
        on_call = self.ledger.executions.on_call(call_id)
        replied = outcome in ("answer", "empty", "retry")
        facts = SUCCEEDED if replied else CallFacts(status=CallStatus.FAILED, replied=False, failure=LOST)
        self.ledger.calls.settle(call_id, {e.id: OUTCOMES[outcome] for e in on_call}, facts, actor="test")
        if outcome in ("answer", "empty"):
            after = {e.id: e for e in self.executions()}
            assert all(after[e.id].status is Status.COMPLETED for e in on_call), "a success is never lost"

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def reopen(self, data: st.DataObject) -> None:
        call_id = data.draw(st.sampled_from(self.calls))
        ids = [e.id for e in self.ledger.executions.on_call(call_id)]
        self.ledger.repairs.reopen(call_id, ids, actor="test")

    @rule()
    def retry(self) -> None:
        self.ledger.repairs.retry([e.id for e in self.executions()], actor="test")

    @rule()
    def cancel(self) -> None:
        self.ledger.repairs.cancel_pending([e.id for e in self.executions()], actor="test")

    @invariant()
    def only_legal_steps_and_the_last_is_the_status(self) -> None:
        for execution in self.executions():
            path = self.ledger.executions.transitions(execution.id)
            assert [t.from_status for t in path] == [None, *(t.to_status for t in path)][: len(path)]
            assert all(t.to_status in LEGAL_TRANSITIONS[t.from_status] for t in path)
            assert path[-1].to_status is execution.status

    @invariant()
    def an_answer_stays_as_it_was(self) -> None:
        for execution in self.executions():
            if execution.id in self.answered:
                assert execution.status is Status.COMPLETED
                assert execution.answer == self.answered[execution.id]
            elif execution.status is Status.COMPLETED:
                self.answered[execution.id] = execution.answer

    @invariant()
    def at_most_one_call_in_flight(self) -> None:
        for execution in self.executions():
            open_attempts = [a for a in execution.attempts if a.settled_at is None]
            assert len(open_attempts) <= 1
            assert (execution.status is Status.DISPATCHED) == bool(open_attempts)

    def teardown(self) -> None:
        self.ledger.close()
        self.folder.cleanup()


TestTheRecord = TheRecord.TestCase
TestTheRecord.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
