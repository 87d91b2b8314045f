"""No sequence of runs, kills, lies, outages and reconciliations breaks an invariant, and all of it settles.

The ledger, the materializer and the reconciliation are the real ones; the provider and what Dagster
shows are small models of the outside world.
"""

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from beacon_pipeline.catalog.partitions import key_of
from beacon_pipeline.execution.decide import Attendance
from beacon_pipeline.execution.providers import Providers
from beacon_pipeline.execution.run import Materializer
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.database import Database
from beacon_pipeline.ledger.records import CallFacts, Cell, Execution, Unsuccessful
from beacon_pipeline.ledger.rows import executions_table
from beacon_pipeline.ledger.status import Status
from beacon_pipeline.reconciliation.consistency import MaterializedState
from beacon_pipeline.reconciliation.inspect import Inspection, Inspector
from beacon_pipeline.reconciliation.reconcile import Repair
from beacon_pipeline.reconciliation.repair_runs import healing_runs
from beacon_pipeline.reconciliation.view import Materialization, TargetMaterialization
from inference.contract import (
    CallFailure,
    CallState,
    CallStatus,
    FailureCode,
    Reply,
    ReplyUnavailable,
    Request,
    SubmitUnknown,
)
from tests.beacon_pipeline.asking import a_job
from tests.beacon_pipeline.location import CATALOG, Scripted
from tests.beacon_pipeline.scripted import (
    PENDING,
    SUCCEEDED,
    UNREACHABLE,
    Behaviour,
    ScriptedProvider,
    ended,
    says,
)
from tests.databases import migrated_sqlite_file

CELLS = [Cell("eu", "tiny-llama", question.id) for question in CATALOG.questions[:3]]
ENDS = {
    "answer": (SUCCEEDED, "fine"),
    "empty": (SUCCEEDED, ""),
    "worker lost": (ended(CallStatus.FAILED, FailureCode.WORKER_LOST), ""),
    "timed out": (ended(CallStatus.TIMED_OUT, FailureCode.TIMED_OUT), ""),
    "expired": (ended(CallStatus.EXPIRED, FailureCode.EXPIRED), ""),
}
ANSWER_COLUMNS = (
    "answer",
    "answer_kind",
    "finish_reason",
    "executed_region",
    "provenance",
    "dead_lettered_at",
)
AT_ANY_AGE = datetime.now(UTC) + timedelta(days=1)


class Killed(Exception):
    """The process of a run is gone."""


class World(ScriptedProvider):
    """A durable provider whose calls end when a test says so."""

    def __init__(self) -> None:
        super().__init__([Behaviour()])
        self.states: dict[str, CallState] = {}
        self.texts: dict[str, str] = {}
        self.reachable = True
        self.kills_after_submit = False

    async def submit(self, request: Request) -> str:
        if not self.reachable:
            raise SubmitUnknown("unreachable")
        if request.id not in self.states:
            self.requests.append(request)
            self.states[request.id] = PENDING
        if self.kills_after_submit:
            self.kills_after_submit = False
            raise Killed
        return request.id

    async def poll(self, call_id: str) -> CallState:
        return self.states[call_id] if self.reachable else UNREACHABLE

    async def fetch(self, call_id: str, request: Request) -> Reply:
        if not self.reachable:
            raise ReplyUnavailable("unreachable")
        self.script = [Behaviour(results=says(self.texts[call_id]))]
        return await super().fetch("-0", request)

    async def cancel(self, call_id: str) -> None:
        if not self.reachable:
            raise ReplyUnavailable("unreachable")
        if self.states[call_id] == PENDING:
            self.states[call_id] = ended(CallStatus.CANCELLED, FailureCode.CANCELLED)

    def end(self, call_id: str, how: str) -> None:
        self.states[call_id], self.texts[call_id] = ENDS[how]


class Sequences(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.url = migrated_sqlite_file(Path(self.folder.name) / "ledger.db")
        self.ledger = Ledger(self.url)
        self.job = a_job(self.ledger, CELLS)
        self.world = World()
        self.dagster: dict[str, MaterializedState] = {}

    def executions(self) -> list[Execution]:
        return self.ledger.executions.of_job(self.job.id)

    def materialize(
        self, cells: Sequence[Cell], *, survives: int, attended_by: Attendance = Attendance.RUN
    ) -> None:
        """A run that is killed when it has waited so often."""
        waits = 0

        async def wait(_seconds: float) -> None:
            nonlocal waits
            waits += 1
            if waits > survives:
                raise Killed

        def show(settled: Sequence[Execution]) -> None:
            for e in settled:
                if e.status is Status.COMPLETED:
                    kind = e.answer_kind.value if e.answer_kind else None
                    self.dagster[key_of(e.cell)] = MaterializedState(e.id, e.status.value, kind)

        providers = Providers(CATALOG, {"local": lambda _: self.world})
        work = Materializer(
            self.ledger,
            CATALOG,
            providers,
            actor="run",
            attended_by=attended_by,
            sleep=wait,
            unreachable_patience_seconds=0,
        )
        try:
            asyncio.run(work.materialize(self.job.id, cells, show))
        except* Killed:
            pass

    def examine(self) -> list[Inspection]:
        def shown(keys: Sequence[str]) -> dict[str, Materialization]:
            target = TargetMaterialization(storage_id=1, run_id="run", timestamp=0.0)
            return {key: Materialization(self.dagster[key], target) for key in keys if key in self.dagster}

        examiner = Inspector(self.ledger, CATALOG, Scripted(self.world), shown=shown, under_way=())
        return examiner.examine(self.executions(), untouched_since=AT_ANY_AGE)

    def heal(self, *, survives: int) -> bool:
        """One reconciliation; returns whether it found anything to do."""
        examined = self.examine()
        spent = [e.execution.id for e in examined if e.repair is Repair.DEAD_LETTER]
        self.ledger.repairs.dead_letter(spent, actor="reconciliation", detail="the budget is spent")
        self.ledger.repairs.confirm([call_id for one in examined for call_id in one.confirmed])
        runs = healing_runs(CATALOG, {self.job.id: self.job.job_name}, examined)
        for run in runs:
            cells = [e.cell for e in run.executions]
            self.materialize(cells, survives=survives, attended_by=Attendance.REPAIR_RUN)
        return bool(spent or runs)

    @rule(survives=st.integers(0, 4))
    def run(self, survives: int) -> None:
        self.materialize(CELLS, survives=survives)

    @rule()
    def kill_the_next_run_after_its_submit(self) -> None:
        self.world.kills_after_submit = True

    @precondition(lambda self: PENDING in self.world.states.values())
    @rule(data=st.data(), how=st.sampled_from(sorted(ENDS)))
    def a_call_ends(self, data: st.DataObject, how: str) -> None:
        pending = [call_id for call_id, state in self.world.states.items() if state == PENDING]
        self.world.end(data.draw(st.sampled_from(pending)), how)

    @rule()
    def the_provider_goes_or_comes_back(self) -> None:
        self.world.reachable = not self.world.reachable

    @precondition(lambda self: self.ledger.calls.unsettled())
    @rule(data=st.data(), dead_letter=st.booleans())
    def somebody_records_a_failure_that_is_none(self, data: st.DataObject, dead_letter: bool) -> None:
        call = data.draw(st.sampled_from(self.ledger.calls.unsettled()))
        if call.provider_call_id is None:
            return
        failure = CallFailure(code=FailureCode.PROVIDER_ERROR, message="EMPTY_MODEL_RESPONSE")
        lie = Unsuccessful(
            status=Status.FAILED, failure_code=failure.code, message=failure.message, dead_letter=dead_letter
        )
        facts = CallFacts(status=CallStatus.FAILED, replied=False, failure=failure)
        ids = [e.id for e in self.ledger.executions.on_call(call.id)]
        self.ledger.calls.settle(call.id, dict.fromkeys(ids, lie), facts, actor="router")

    @precondition(lambda self: self.revisable())
    @rule(data=st.data(), how=st.sampled_from(["answer", "empty"]))
    def the_provider_revises_a_failure(self, data: st.DataObject, how: str) -> None:
        self.world.end(data.draw(st.sampled_from(self.revisable())), how)

    def revisable(self) -> list[str]:
        """The calls that failed, and whose failure the provider has not confirmed: after that none asks."""
        attempts = [attempt for e in self.executions() for attempt in e.attempts]
        confirmed = {attempt.call.id for attempt in attempts if attempt.call.confirmed_at}
        failed = [call_id for call_id, state in self.world.states.items() if state.failure is not None]
        return sorted(set(failed) - confirmed)

    @rule(data=st.data(), status=st.sampled_from(list(Status)))
    def the_status_is_turned_by_another_hand(self, data: st.DataObject, status: Status) -> None:
        """Which takes an answer out with it; one that was not there it cannot put in."""
        execution = data.draw(st.sampled_from(self.executions()))
        if status is Status.COMPLETED:
            return
        reason = "provider_error" if status.is_terminal else None
        values = dict.fromkeys(ANSWER_COLUMNS) | {"status": status.value, "failure_code": reason}
        change = sa.update(executions_table).where(executions_table.c.id == execution.id).values(values)
        with closing(Database(self.url)) as database:
            database.write(lambda connection: connection.execute(change))

    @precondition(lambda self: self.dagster)
    @rule(data=st.data(), by_hand=st.booleans())
    def dagster_forgets_or_is_told_by_hand(self, data: st.DataObject, by_hand: bool) -> None:
        key = data.draw(st.sampled_from(sorted(self.dagster)))
        del self.dagster[key]
        if by_hand:
            self.dagster[key] = MaterializedState(None, None, None)

    @rule()
    def a_person_cancels(self) -> None:
        async def no_wait(_seconds: float) -> None:
            await asyncio.sleep(0)

        providers = Providers(CATALOG, {"local": lambda _: self.world})
        canceller = Materializer(self.ledger, CATALOG, providers, actor="person", sleep=no_wait)
        try:
            asyncio.run(canceller.cancel(self.job.id, CELLS))
        except* Killed:
            pass

    @rule(survives=st.integers(0, 4))
    def reconcile(self, survives: int) -> None:
        self.heal(survives=survives)

    @invariant()
    def at_most_one_call_in_flight(self) -> None:
        pending = [r for r in self.world.requests if self.world.states[r.id] == PENDING]
        items = [item.id for request in pending for item in request.items]
        assert len(items) == len(set(items))

    @invariant()
    def the_budget_holds(self) -> None:
        items = [item.id for request in self.world.requests for item in request.items]
        assert all(items.count(item) <= CATALOG.settings.attempt_budget for item in set(items))

    def teardown(self) -> None:
        try:
            self.everything_settles()
        finally:
            self.ledger.close()
            self.folder.cleanup()

    def everything_settles(self) -> None:
        self.world.reachable, self.world.kills_after_submit = True, False
        for _ in range(20):
            for call_id, state in self.world.states.items():
                if state == PENDING:
                    self.world.end(call_id, "answer")
            if not self.heal(survives=50):
                break
        else:
            raise AssertionError("twenty reconciliations did not settle the record")
        succeeded = {
            item.id
            for request in self.world.requests
            if self.world.states[request.id] == SUCCEEDED
            for item in request.items
        }
        for execution in self.executions():
            assert execution.status.is_terminal
            if execution.id in succeeded:
                assert execution.status is Status.COMPLETED, "a provider's success is never a failure"
            if execution.status is Status.COMPLETED:
                assert self.dagster[key_of(execution.cell)].execution_id == execution.id
            elif execution.status is not Status.CANCELLED:
                assert execution.dead_lettered_at is not None, "someone is told"
        self.at_most_one_call_in_flight()
        self.the_budget_holds()


TestSequences = Sequences.TestCase
TestSequences.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


@pytest.mark.long
class TestManySequences(Sequences.TestCase):  # type: ignore[misc,name-defined]  # made by Hypothesis
    settings = settings(max_examples=200, stateful_step_count=20, deadline=None)
