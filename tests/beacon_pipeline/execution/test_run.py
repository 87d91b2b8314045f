"""What a provider does -> what is recorded, and how often it is asked and paid."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import pytest

from beacon_pipeline.catalog import Catalog, load_catalog
from beacon_pipeline.execution.decide import Attendance
from beacon_pipeline.execution.providers import Providers
from beacon_pipeline.execution.run import Materializer
from beacon_pipeline.jobs.job_making import make_job
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import CallFacts, Cell, Execution, Job, Unsuccessful
from beacon_pipeline.ledger.status import Cause, Status
from inference.contract import CallFailure, CallStatus, FailureCode, NotConfigured, Request
from tests.beacon_pipeline.asking import a_job
from tests.beacon_pipeline.catalog.test_kept import changed
from tests.beacon_pipeline.records import damage
from tests.beacon_pipeline.scripted import (
    PENDING,
    SUCCEEDED,
    UNREACHABLE,
    Behaviour,
    ScriptedProvider,
    ended,
    fails,
    says,
)

CATALOG = load_catalog("demo")
CELLS = [Cell("eu", "tiny-llama", question) for question in ("math_basic", "taiwan_status")]

LOST_WORKER = ended(CallStatus.FAILED, FailureCode.WORKER_LOST)
TIMED_OUT = ended(CallStatus.TIMED_OUT, FailureCode.TIMED_OUT)
EXPIRED = ended(CallStatus.EXPIRED, FailureCode.EXPIRED)


async def no_sleep(_seconds: float) -> None:
    await asyncio.sleep(0)


@dataclass
class Asking:
    """One job on a scripted provider, worked on as often as a test wants."""

    ledger: Ledger
    provider: ScriptedProvider
    job: Job
    url: str = ""  # of the ledger's database
    catalog: Catalog = CATALOG

    def materializer(
        self,
        patience: float = 60,
        sleep: Callable[[float], Awaitable[None]] = no_sleep,
        attended_by: Attendance = Attendance.RUN,
    ) -> Materializer:
        providers = Providers(self.catalog, {"local": lambda _: self.provider})
        return Materializer(
            self.ledger,
            self.catalog,
            providers,
            actor="test",
            attended_by=attended_by,
            sleep=sleep,
            unreachable_patience_seconds=patience,
        )

    def materialize(self, cells: Sequence[Cell] = CELLS, patience: float = 60) -> list[Execution]:
        reported: list[Execution] = []
        asyncio.run(self.materializer(patience).materialize(self.job.id, cells, reported.extend))
        return reported

    def executions(self) -> list[Execution]:
        return self.ledger.executions.of_job(self.job.id)


Ask = Callable[..., Asking]


@pytest.fixture
def asking(ledger: Ledger, database_url: str) -> Ask:
    def ask(*script: Behaviour, **options: bool) -> Asking:
        copies = [replace(behaviour) for behaviour in script]
        return Asking(ledger, ScriptedProvider(copies, **options), a_job(ledger, CELLS), database_url)

    return ask


# provider's behaviours, call by call -> status, answer kind, failure code, calls paid
TABLE = {
    "an answer": ([Behaviour()], "completed substantive - 1"),
    "an empty text": ([Behaviour(results=says(""))], "completed empty - 1"),
    "whitespace": ([Behaviour(results=says(" \n\t\u200b"))], "completed empty - 1"),
    "a refusal": ([Behaviour(results=says("I cannot help with that."))], "completed refusal - 1"),
    "slow": ([Behaviour(states=[PENDING] * 5 + [SUCCEEDED])], "completed substantive - 1"),
    "unreachable a while": ([Behaviour(states=[UNREACHABLE] * 5 + [SUCCEEDED])], "completed substantive - 1"),
    "the reply could not be fetched at first": (
        [Behaviour(unavailable_fetches=2)],
        "completed substantive - 1",
    ),
    "cut right after submit": ([Behaviour(submit="lost")], "completed substantive - 1"),
    "cut right after submit, then refused": (
        [Behaviour(submit="lost", refusals_after_loss=3)],
        "completed substantive - 1",
    ),
    "cut right before submit": ([Behaviour(submit="lost before")], "completed substantive - 1"),
    "worker lost once": ([Behaviour(states=[LOST_WORKER]), Behaviour()], "completed substantive - 2"),
    "worker lost for ever": ([Behaviour(states=[LOST_WORKER])], "failed - worker_lost 3"),
    "the provider's time limit": ([Behaviour(states=[TIMED_OUT])], "timed_out - timed_out 3"),
    "expired once": ([Behaviour(states=[EXPIRED]), Behaviour()], "completed substantive - 2"),
    "rejected": ([Behaviour(submit="rejected")], "failed - rejected 1"),
    "malformed": ([Behaviour(malformed=True)], "failed - malformed_reply 1"),
    "items too long": ([Behaviour(results=fails(FailureCode.PROMPT_TOO_LONG))], "failed - prompt_too_long 1"),
    "out of memory once": (
        [Behaviour(results=fails(FailureCode.OUT_OF_MEMORY)), Behaviour()],
        "completed substantive - 2",
    ),
    "cancelled at the provider": (
        [Behaviour(states=[ended(CallStatus.CANCELLED, FailureCode.CANCELLED)])],
        "cancelled - cancelled 1",
    ),
}


@pytest.mark.parametrize(("script", "expected"), TABLE.values(), ids=TABLE)
def test_the_record_after_each_behaviour(asking: Ask, script: list[Behaviour], expected: str) -> None:
    status, kind, code, calls = expected.split()
    work = asking(*script)
    reported = work.materialize()
    assert sorted(e.cell for e in reported) == sorted(CELLS)
    for execution in work.executions():
        assert execution.status.value == status
        assert (execution.answer_kind.value if execution.answer_kind else "-") == kind
        assert (execution.failure_code.value if execution.failure_code else "-") == code
        assert len(execution.attempts) == int(calls)
        assert (execution.dead_lettered_at is not None) == (status in ("failed", "timed_out"))
    assert len(work.provider.requests) == int(calls)
    assert all(len(request.items) == len(CELLS) for request in work.provider.requests), "one batch a call"


def test_a_person_may_give_up_what_is_refused_whenever_it_is_sent_again(asking: Ask) -> None:
    work = asking(Behaviour(submit="lost", refusals_after_loss=100))
    for _ in range(2):
        assert {e.status for e in work.materialize(patience=0)} == {Status.DISPATCHED}
    asyncio.run(work.materializer().cancel(work.job.id, CELLS))
    for execution in work.executions():
        assert (execution.status, execution.failure_code) == (Status.CANCELLED, FailureCode.CANCELLED)
        assert "whether an earlier sending runs is not known" in str(execution.failure_message)
    assert len(work.provider.requests) == 1


def test_materializing_again_reads_the_record_and_asks_nobody(asking: Ask) -> None:
    work = asking(Behaviour())
    work.materialize()
    polls = work.provider.polls
    assert len(work.materialize()) == len(CELLS)
    assert (len(work.provider.requests), work.provider.polls) == (1, polls)


def test_out_of_patience_leaves_dispatched_and_the_next_one_attaches(asking: Ask) -> None:
    work = asking(Behaviour(states=[UNREACHABLE]))
    assert [e.status for e in work.materialize(patience=0)] == [Status.DISPATCHED] * 2
    work.provider.script[0].states = [SUCCEEDED]
    assert [e.status for e in work.materialize()] == [Status.COMPLETED] * 2
    assert len(work.provider.requests) == 1


def test_a_provider_that_refuses_connections_is_tried_ever_more_slowly(asking: Ask) -> None:
    work = asking(Behaviour(refused_submits=8))
    slept: list[float] = []

    async def count(seconds: float) -> None:
        slept.append(seconds)

    reported: list[Execution] = []
    asyncio.run(work.materializer(sleep=count).materialize(work.job.id, CELLS, reported.extend))
    assert [e.status for e in reported] == [Status.COMPLETED] * 2
    assert slept[:8] == [0.1, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]


def test_a_lost_submit_is_left_dispatched_when_patience_runs_out(asking: Ask) -> None:
    work = asking(Behaviour(submit="lost"))
    assert [e.status for e in work.materialize(patience=0)] == [Status.DISPATCHED] * 2
    assert [e.status for e in work.materialize()] == [Status.COMPLETED] * 2
    assert len(work.provider.requests) == 1
    assert work.provider.script[0].duplicate_submits == 1, (
        "the same id again: a durable provider runs it once"
    )


def test_a_lost_submit_to_a_provider_without_durable_calls_is_retried_within_budget(asking: Ask) -> None:
    work = asking(Behaviour(submit="lost"), Behaviour(), durable=False)
    assert [e.status for e in work.materialize()] == [Status.COMPLETED] * 2
    for execution in work.executions():
        assert [a.failure_code for a in execution.attempts] == [FailureCode.INTERRUPTED, None]


class MeetingProvider(ScriptedProvider):
    """Answers no submit before the request was submitted twice."""

    met: asyncio.Barrier

    async def submit(self, request: Request) -> str:
        call_id = await super().submit(request)
        await self.met.wait()
        return call_id


def test_two_runs_at_once_that_get_two_ids_of_one_call_both_end_well(ledger: Ledger) -> None:
    provider = MeetingProvider([Behaviour()], new_ids=True)
    work = Asking(ledger, provider, a_job(ledger, CELLS))
    reported: list[list[Execution]] = [[], []]

    async def both() -> None:
        provider.met = asyncio.Barrier(2)
        runs = [work.materializer().materialize(work.job.id, CELLS, told.extend) for told in reported]
        await asyncio.gather(*runs)

    asyncio.run(both())
    assert [[e.status for e in told] for told in reported] == [[Status.COMPLETED] * 2] * 2
    calls = {attempt.call.id for e in work.executions() for attempt in e.attempts}
    assert (len(calls), len(provider.requests)) == (1, 1)
    assert provider.script[0].duplicate_submits == 1


def test_only_the_missing_item_of_a_batch_is_asked_again(asking: Ask) -> None:
    def one_fails(item: object) -> object:
        chosen = says("56") if "7 times 8" in item.prompt else fails(FailureCode.OUT_OF_MEMORY)  # type: ignore[attr-defined]
        return chosen(item)  # type: ignore[arg-type]

    work = asking(Behaviour(results=one_fails), Behaviour())  # type: ignore[arg-type]
    work.materialize()
    assert [e.status for e in work.executions()] == [Status.COMPLETED] * 2
    assert [len(request.items) for request in work.provider.requests] == [2, 1]
    answers = {e.question: e.answer for e in work.executions()}
    assert answers == {"math_basic": "56", "taiwan_status": "fine"}


def test_a_false_failure_is_healed_from_the_provider_without_paying(asking: Ask) -> None:
    """The incident: recorded as failed while the provider had succeeded, with an empty text."""
    work = asking(Behaviour(states=[UNREACHABLE], results=says("")))
    work.materialize(patience=0)
    (call,) = work.ledger.calls.unsettled()
    failure = CallFailure(code=FailureCode.WORKER_LOST, message="somebody gave up too early")
    falsely = Unsuccessful(
        status=Status.FAILED, failure_code=failure.code, message=failure.message, dead_letter=True
    )
    facts = CallFacts(status=CallStatus.FAILED, replied=False, failure=failure)
    work.ledger.calls.settle(call.id, {e.id: falsely for e in work.executions()}, facts, actor="router")
    assert [e.status for e in work.executions()] == [Status.FAILED] * 2

    work.provider.script[0].states = [SUCCEEDED]
    work.materialize()
    for execution in work.executions():
        assert (execution.status, execution.answer, execution.failure_code) == (Status.COMPLETED, "", None)
        assert execution.dead_lettered_at is None
    assert len(work.provider.requests) == 1


def test_an_answer_from_another_region_is_kept_and_not_usable(asking: Ask) -> None:
    work = asking(Behaviour(region="us-east-1"))
    work.materialize()
    for execution in work.executions():
        assert (execution.status, execution.executed_region) == (Status.COMPLETED, "us")
        assert not execution.usable


def test_an_unknown_region_name_is_kept_as_reported(asking: Ask) -> None:
    work = asking(Behaviour(region="mars-north1"))
    work.materialize()
    assert {e.executed_region for e in work.executions()} == {"mars-north1"}
    assert not any(e.usable for e in work.executions())


def test_a_malformed_reply_is_kept_for_inspection(asking: Ask) -> None:
    work = asking(Behaviour(malformed=True))
    work.materialize()
    (call,) = {e.newest_call for e in work.executions()}
    assert call is not None
    assert (call.status, call.raw_reply) == (CallStatus.SUCCEEDED, "{'text': 'hm'}")


def test_not_configured_dispatches_nothing(asking: Ask) -> None:
    work = asking(Behaviour(), configured=False)
    with pytest.raises(NotConfigured, match="log in with"):
        work.materialize()
    assert [e.status for e in work.executions()] == [Status.PENDING] * 2


def test_not_deployed_dispatches_nothing(asking: Ask) -> None:
    work = asking(Behaviour(), deployed=False)
    with pytest.raises(NotConfigured, match="eu:tiny-llama: run `scripted deploy`"):
        work.materialize()
    assert [e.status for e in work.executions()] == [Status.PENDING] * 2
    assert work.provider.requests == []


def test_a_deployment_that_could_not_be_looked_up_is_asked_all_the_same(asking: Ask) -> None:
    work = asking(Behaviour(), deployed=None)
    assert [e.status for e in work.materialize()] == [Status.COMPLETED] * 2


def test_an_answer_is_had_from_a_deployment_that_is_gone(asking: Ask) -> None:
    work = asking(Behaviour(states=[UNREACHABLE]))
    work.materialize(patience=0)
    work.provider.script[0].states = [SUCCEEDED]
    work.provider.deployed = False
    assert [e.status for e in work.materialize()] == [Status.COMPLETED] * 2


def test_cancelling_stops_the_call_and_is_recorded_as_the_provider_tells(asking: Ask) -> None:
    work = asking(Behaviour(states=[PENDING]))

    async def ask_then_cancel() -> None:
        asked = asyncio.ensure_future(work.materializer().materialize(work.job.id, CELLS, lambda _: None))
        while not work.provider.polls:
            await asyncio.sleep(0.01)
        await work.materializer().cancel(work.job.id, CELLS)
        await asked

    asyncio.run(ask_then_cancel())
    assert len(set(work.provider.cancelled)) == 1
    assert len(work.provider.requests) == 1, "what a person cancelled is not asked again"
    for execution in work.executions():
        assert (execution.status, execution.failure_code) == (Status.CANCELLED, FailureCode.CANCELLED)
        assert execution.dead_lettered_at is None


def test_what_was_cancelled_while_a_run_waited_is_not_asked_again_by_it(asking: Ask) -> None:
    work = asking(Behaviour(states=[PENDING]))

    async def cancelled_by_someone_else(_seconds: float) -> None:
        await work.materializer().cancel(work.job.id, CELLS)

    waiting = work.materializer(sleep=cancelled_by_someone_else)
    reported: list[Execution] = []
    asyncio.run(waiting.materialize(work.job.id, CELLS, reported.extend))
    assert len(work.provider.requests) == 1
    assert [e.status for e in reported] == [Status.CANCELLED] * 2


def test_a_cancel_that_comes_after_the_answer_keeps_the_answer(asking: Ask) -> None:
    work = asking(Behaviour())
    work.materialize()
    asyncio.run(work.materializer().cancel(work.job.id, CELLS))
    assert [e.status for e in work.executions()] == [Status.COMPLETED] * 2
    assert work.provider.cancelled == []


def test_the_path_of_an_execution_is_kept(asking: Ask) -> None:
    work = asking(Behaviour(states=[LOST_WORKER]), Behaviour())
    work.materialize()
    path = [(t.to_status, t.cause) for t in work.ledger.executions.transitions(work.executions()[0].id)]
    assert path == [
        (Status.PENDING, Cause.ASKED),
        (Status.DISPATCHED, Cause.DISPATCH),
        (Status.PENDING, Cause.RETRY),
        (Status.DISPATCHED, Cause.DISPATCH),
        (Status.COMPLETED, Cause.REPLY),
    ]


class Killed(Exception):
    """The process of a run is gone."""


async def killed_in_the_backoff(seconds: float) -> None:
    """Polling sleeps for less than a second at first; the first backoff is one."""
    if seconds >= 1:
        raise Killed
    await asyncio.sleep(0)


def ask_and_die_in_the_backoff(work: Asking) -> None:
    dying = work.materializer(sleep=killed_in_the_backoff)
    with pytest.raises(Killed):
        asyncio.run(dying.materialize(work.job.id, CELLS, lambda _: None))
    assert {e.status for e in work.executions()} == {Status.PENDING}


def turned_to(work: Asking, status: Status) -> None:
    """Another hand changes the status, and takes the answer out."""
    reason = "'provider_error'" if status.is_terminal else "NULL"
    forgotten = (
        "answer",
        "answer_kind",
        "finish_reason",
        "executed_region",
        "provenance",
        "dead_lettered_at",
    )
    columns = ", ".join(f"{column} = NULL" for column in forgotten)
    damage(work.url, f"UPDATE executions SET status = '{status.value}', failure_code = {reason}, {columns}")


def test_a_failure_that_the_provider_revises_in_the_backoff_is_not_paid_again(asking: Ask) -> None:
    work = asking(Behaviour(states=[LOST_WORKER]))
    ask_and_die_in_the_backoff(work)
    work.provider.script[0].states = [SUCCEEDED]
    work.materialize()
    assert [e.status for e in work.executions()] == [Status.COMPLETED] * 2
    assert len(work.provider.requests) == 1


def test_a_failure_that_is_revised_while_the_run_backs_off_is_not_paid_again(asking: Ask) -> None:
    work = asking(Behaviour(states=[LOST_WORKER]))

    async def revised(seconds: float) -> None:
        if seconds >= 1:
            work.provider.script[0].states = [SUCCEEDED]

    asyncio.run(work.materializer(sleep=revised).materialize(work.job.id, CELLS, lambda _: None))
    assert [e.status for e in work.executions()] == [Status.COMPLETED] * 2
    assert len(work.provider.requests) == 1


def test_a_failed_call_that_turns_out_to_run_is_followed_and_not_paid_again(asking: Ask) -> None:
    work = asking(Behaviour(states=[LOST_WORKER]))
    ask_and_die_in_the_backoff(work)
    work.provider.script[0].states = [PENDING, PENDING, SUCCEEDED]
    work.materialize()
    assert [e.status for e in work.executions()] == [Status.COMPLETED] * 2
    assert len(work.provider.requests) == 1


def test_an_earlier_call_of_several_is_asked_about_before_the_next_is_paid(asking: Ask) -> None:
    work = asking(Behaviour(states=[LOST_WORKER]), Behaviour(states=[LOST_WORKER]))
    backoffs = 0

    async def killed_in_the_second_backoff(seconds: float) -> None:
        nonlocal backoffs
        backoffs += seconds >= 1
        if backoffs == 2:
            raise Killed

    dying = work.materializer(sleep=killed_in_the_second_backoff)
    with pytest.raises(Killed):
        asyncio.run(dying.materialize(work.job.id, CELLS, lambda _: None))
    work.provider.script[0].states = [SUCCEEDED]
    work.materialize()
    assert [e.status for e in work.executions()] == [Status.COMPLETED] * 2
    assert len(work.provider.requests) == 2


def test_what_cannot_be_asked_about_its_failed_call_is_not_paid_again_yet(asking: Ask) -> None:
    work = asking(Behaviour(states=[LOST_WORKER]))
    ask_and_die_in_the_backoff(work)
    work.provider.script[0].states = [UNREACHABLE]
    assert {e.status for e in work.materialize(patience=0)} == {Status.PENDING}
    assert len(work.provider.requests) == 1


@pytest.mark.parametrize("status", [Status.FAILED, Status.TIMED_OUT, Status.CANCELLED, Status.PENDING])
def test_a_status_that_another_hand_turned_is_set_right_from_what_the_provider_still_has(
    asking: Ask, status: Status
) -> None:
    work = asking(Behaviour(results=says("as it was")))
    work.materialize()
    turned_to(work, status)
    work.materialize()
    assert [(e.status, e.answer) for e in work.executions()] == [(Status.COMPLETED, "as it was")] * 2
    assert len(work.provider.requests) == 1


def test_an_answer_that_the_provider_no_longer_has_is_asked_again_within_the_budget(asking: Ask) -> None:
    work = asking(Behaviour(), Behaviour(results=says("anew")))
    work.materialize()
    turned_to(work, Status.FAILED)
    work.provider.script[0].states = [EXPIRED]
    work.materialize()
    assert [(e.status, e.answer) for e in work.executions()] == [(Status.COMPLETED, "anew")] * 2
    assert len(work.provider.requests) == 2


def test_the_failure_that_a_reply_holds_is_final_for_its_call(asking: Ask) -> None:
    """It is asked again within the budget: reading the same reply once more would bring the same."""
    work = asking(Behaviour(results=fails(FailureCode.OUT_OF_MEMORY)), Behaviour())
    ask_and_die_in_the_backoff(work)
    polls = work.provider.polls
    work.materialize()
    assert [e.status for e in work.executions()] == [Status.COMPLETED] * 2
    assert (len(work.provider.requests), work.provider.polls) == (2, polls + 1)


def test_a_reply_that_holds_a_failure_when_it_is_read_again_is_read_no_third_time(asking: Ask) -> None:
    work = asking(Behaviour(), Behaviour(results=says("anew")))
    work.materialize()
    turned_to(work, Status.FAILED)
    work.provider.script[0].results = fails(FailureCode.OUT_OF_MEMORY)
    work.materialize()
    assert [(e.status, e.answer) for e in work.executions()] == [(Status.COMPLETED, "anew")] * 2
    assert len(work.provider.requests) == 2


def test_a_repair_does_not_ask_again_what_a_person_cancelled_and_the_provider_has_no_more(
    asking: Ask,
) -> None:
    work = asking(Behaviour())
    work.materialize()
    turned_to(work, Status.CANCELLED)
    work.provider.script[0].states = [EXPIRED]
    repair = work.materializer(attended_by=Attendance.REPAIR_RUN)
    reported: list[Execution] = []
    asyncio.run(repair.materialize(work.job.id, CELLS, reported.extend))
    assert [e.status for e in reported] == [Status.CANCELLED] * 2
    assert len(work.provider.requests) == 1


@pytest.mark.parametrize("status", [Status.PENDING, Status.DISPATCHED])
def test_a_spent_budget_is_no_more_open_because_another_hand_turned_the_status(
    asking: Ask, status: Status
) -> None:
    work = asking(Behaviour(states=[LOST_WORKER]))
    work.materialize()
    turned_to(work, status)
    assert {e.status for e in work.materialize()} == {Status.FAILED}
    assert all(e.dead_lettered_at for e in work.executions())
    assert len(work.provider.requests) == 3


def test_dispatched_without_a_call_in_flight_is_asked_again(asking: Ask) -> None:
    work = asking(Behaviour())
    turned_to(work, Status.DISPATCHED)
    work.materialize()
    assert [e.status for e in work.executions()] == [Status.COMPLETED] * 2
    assert len(work.provider.requests) == 1


def test_a_submit_whose_answer_was_lost_is_sent_again_whatever_another_hand_wrote(asking: Ask) -> None:
    work = asking(Behaviour(submit="lost"))
    work.materialize(patience=0)
    turned_to(work, Status.FAILED)
    work.materialize()
    assert [e.status for e in work.executions()] == [Status.COMPLETED] * 2
    assert len(work.provider.requests) == 1


def test_a_job_is_one_question_with_one_date_whatever_the_catalog_has_become(
    ledger: Ledger, database_url: str
) -> None:
    """Its second half is asked, and asked again after a failure, when all that it asks was rewritten."""
    provider = ScriptedProvider([Behaviour(), Behaviour(states=[LOST_WORKER]), Behaviour()])
    job = make_job(ledger, CATALOG, "mine", CELLS, source="submit", actor="test")
    work = Asking(ledger, provider, job, database_url)
    work.materialize(CELLS[:1])
    work.catalog = changed(CATALOG)
    work.materialize()
    assert {e.status for e in work.executions()} == {Status.COMPLETED}
    first, *others = provider.requests
    assert len(others) == 2
    assert {request.parameters for request in others} == {first.parameters}
    assert {str(e.parameters["prompt_date"]) for e in work.executions() if e.parameters} == {"2026-01-01"}
    asked = {item.prompt for request in provider.requests for item in request.items}
    assert asked == {CATALOG.question(cell.question).text for cell in CELLS}
    under = {item.system_prompt for request in provider.requests for item in request.items}
    assert under == {CATALOG.region("eu").system_prompt}
    later = make_job(ledger, work.catalog, "later", CELLS[:1], source="submit", actor="test")
    Asking(ledger, provider, later, database_url, work.catalog).materialize(CELLS[:1])
    assert provider.requests[-1].parameters.prompt_date == work.catalog.settings.prompt_date
    assert provider.requests[-1].items[0].prompt.startswith("Once more: ")
