"""What Modal does with a call -> what is recorded, whether it is asked again, and what it costs.

The real SDK, the real app and a real container, on a Modal of this machine that misbehaves on demand.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from beacon_pipeline.catalog import Catalog, load_catalog
from beacon_pipeline.execution.call_status import poll_call
from beacon_pipeline.execution.providers import SHIPPED, Providers
from beacon_pipeline.execution.run import Materializer
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Cell, Execution, Job
from beacon_pipeline.ledger.status import Status
from beacon_pipeline.reconciliation.checks import CheckInput, executed_region
from inference.contract import CallStatus, FailureCode, NotConfigured
from inference.modal.provider import ModalProvider
from tests.beacon_pipeline.asking import a_job
from tests.beacon_pipeline.instances import beacon, environment
from tests.beacon_pipeline.modal_catalog import write_modal_catalog
from tests.modal_loopback import Fault, Loopback, Match, faults
from tests.waiting import wait_for

CELLS = [Cell("eu", "tiny-llama", question) for question in ("math_basic", "taiwan_status")]
ONCE = Match(nth=1)
ALWAYS = Match()


async def soon(seconds: float) -> None:
    await asyncio.sleep(min(seconds, 0.05))


def hasty_modal(_catalog: Catalog) -> ModalProvider:
    return ModalProvider(look_again_seconds=0.02)


@dataclass
class Asking:
    """One job on the loopback Modal, worked on as often as a test wants."""

    modal: Loopback
    catalog: Catalog
    ledger: Ledger
    job: Job
    spawned_before: int

    def materializer(self, patience: float = 60) -> Materializer:
        return Materializer(
            self.ledger,
            self.catalog,
            Providers(self.catalog, {**SHIPPED, "modal": hasty_modal}),
            actor="test",
            sleep=soon,
            unreachable_patience_seconds=patience,
        )

    def materialize(self, patience: float = 60) -> list[Execution]:
        reported: list[Execution] = []
        asyncio.run(self.materializer(patience).materialize(self.job.id, CELLS, reported.extend))
        return reported

    def executions(self) -> list[Execution]:
        return self.ledger.executions.of_job(self.job.id)

    def spawns(self) -> int:
        """Calls that Modal accepted since this job began."""
        return len(self.modal.events("spawn")) - self.spawned_before


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Loopback, Catalog]]:
    folder = tmp_path_factory.mktemp("modal")
    catalog = write_modal_catalog(folder / "catalog", models=["tiny-llama"], regions=["eu"])
    with Loopback(folder / "server") as modal:
        env = environment(folder) | modal.client_environment() | {"BEACON_CATALOG": str(catalog)}
        done = beacon(env, "deploy")
        assert done.returncode == 0, done.stderr
        with modal.clients_here():
            yield modal, load_catalog(str(catalog))


@pytest.fixture
def asking(deployed: tuple[Loopback, Catalog], tmp_path: Path) -> Iterator[Asking]:
    modal, catalog = deployed
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    ledger.migrate()
    yield Asking(modal, catalog, ledger, a_job(ledger, CELLS), len(modal.events("spawn")))
    modal.in_workspace("loopback")
    modal.release()
    modal.clear()
    ledger.close()


# faults, and which calls they befall -> status, answer kind, failure code, attempts, calls at Modal
TABLE: dict[str, tuple[Fault | None, Match, str]] = {
    "nothing": (None, ALWAYS, "completed substantive - 1 1"),
    "empty text": (faults.EmptyText(), ALWAYS, "completed empty - 1 1"),
    "whitespace": (faults.WhitespaceText(), ALWAYS, "completed empty - 1 1"),
    "text is null": (faults.NullText(), ALWAYS, "failed - malformed_reply 1 1"),
    "reply is null": (faults.NullReply(), ALWAYS, "failed - malformed_reply 1 1"),
    "reply without items": (faults.MalformedReply(), ALWAYS, "failed - malformed_reply 1 1"),
    "reply of an unknown version": (
        faults.MalformedReply(without=(), replaced={"version": 99}),
        ALWAYS,
        "failed - malformed_reply 1 1",
    ),
    "reply to another request": (
        faults.MalformedReply(without=(), replaced={"request_id": "another"}),
        ALWAYS,
        "failed - malformed_reply 1 1",
    ),
    "fewer items than asked": (faults.FewerItems(), ALWAYS, "failed - malformed_reply 1 1"),
    "reply twice": (faults.ReplyTwice(), ALWAYS, "completed substantive - 1 1"),
    "remote exception once": (faults.RemoteException(), ONCE, "completed substantive - 2 2"),
    "remote exception always": (faults.RemoteException(), ALWAYS, "failed - provider_error 3 3"),
    "remote TimeoutError once": (faults.RemoteTimeoutError(), ONCE, "completed substantive - 2 2"),
    "crash at start once": (faults.CrashAtStart(), ONCE, "completed substantive - 2 2"),
    "crash at start always": (faults.CrashAtStart(), ALWAYS, "failed - start_failed 3 3"),
    "CancelledError at start": (
        faults.CrashAtStart(error="CancelledError"),
        ONCE,
        "completed substantive - 2 2",
    ),
    "StopIteration at start": (
        faults.CrashAtStart(error="StopIteration"),
        ONCE,
        "completed substantive - 2 2",
    ),
    "cannot start": (faults.Ended(status="INIT_FAILURE"), ALWAYS, "failed - start_failed 3 3"),
    "out of memory once": (
        faults.Ended(status="KERNEL_OOM_KILL"),
        ONCE,
        "completed substantive - 2 2",
    ),
    "out of memory always": (
        faults.Ended(status="MEMORY_MANAGER_EVICTION"),
        ALWAYS,
        "failed - out_of_memory 3 3",
    ),
    "crash at start, no traceback": (
        faults.CrashAtStart(traced=False),
        ONCE,
        "completed substantive - 2 2",
    ),
    "TimeoutError at start": (
        faults.CrashAtStart(error="TimeoutError"),
        ONCE,
        "completed substantive - 2 2",
    ),
    "OSError at start": (faults.CrashAtStart(error="OSError"), ONCE, "completed substantive - 2 2"),
    "SystemExit at start": (
        faults.CrashAtStart(error="SystemExit"),
        ONCE,
        "completed substantive - 2 2",
    ),
    "function timeout once": (faults.FunctionTimeout(), ONCE, "completed substantive - 2 2"),
    "function timeout always": (faults.FunctionTimeout(), ALWAYS, "timed_out - timed_out 3 3"),
    "worker lost once": (faults.WorkerLost(), ONCE, "completed substantive - 2 2"),
    "worker lost always": (faults.WorkerLost(), ALWAYS, "failed - worker_lost 3 3"),
    "stopped by somebody else": (faults.Terminated(), ONCE, "cancelled - cancelled 1 1"),
    "stopped without a word": (faults.Ended(status="TERMINATED"), ONCE, "cancelled - cancelled 1 1"),
    "pending for a while": (faults.PendingFor(seconds=0.5), ALWAYS, "completed substantive - 1 1"),
    "expired once": (faults.Expired(), ONCE, "completed substantive - 2 2"),
    "unknown once": (faults.not_found(times=1), ALWAYS, "completed substantive - 1 1"),
    # Recorded as failed, and asked about once more before the next attempt is paid: there it is.
    "unknown when asked twice": (faults.not_found(times=2), ALWAYS, "completed substantive - 1 1"),
    "unknown for ever": (faults.not_found(), ALWAYS, "failed - unknown_call 3 3"),
    "blob of the result gone for a while": (
        faults.BlobGone(times=2),
        ALWAYS,
        "completed substantive - 1 1",
    ),
    "result in an unknown format": (faults.UnknownFormat(), ALWAYS, "failed - malformed_reply 1 1"),
    "unavailable for a while": (faults.unavailable(seconds=1.5), ALWAYS, "completed substantive - 1 1"),
    # Each time that it is asked the SDK tries five times to download a result.
    "result cannot be downloaded for a while": (
        faults.ResultUnavailable(status=500, times=5),
        ALWAYS,
        "completed substantive - 1 1",
    ),
    "token refused while polling": (
        faults.Refused(status="UNAUTHENTICATED", times=2),
        ALWAYS,
        "completed substantive - 1 1",
    ),
    "quota refuses the spawn": (
        faults.Refused(status="RESOURCE_EXHAUSTED", methods=(faults.SPAWN,), times=2),
        ALWAYS,
        "completed substantive - 1 1",
    ),
    "the spawn is invalid": (
        faults.Refused(status="INVALID_ARGUMENT", methods=(faults.SPAWN,)),
        ALWAYS,
        "failed - rejected 1 0",
    ),
    "cut once right after the spawn": (faults.AnswerLost(times=1), ALWAYS, "completed substantive - 1 1"),
    "two calls for one spawn": (faults.TwoCalls(), ONCE, "completed substantive - 1 2"),
}


@pytest.mark.parametrize(("fault", "match", "expected"), TABLE.values(), ids=TABLE)
def test_the_record_after_each_misbehaviour(
    asking: Asking, fault: Fault | None, match: Match, expected: str
) -> None:
    status, kind, code, attempts, spawns = expected.split()
    if fault is not None:
        asking.modal.inject(fault, match)
    reported = asking.materialize()
    assert sorted(e.cell for e in reported) == sorted(CELLS)
    for execution in asking.executions():
        assert execution.status.value == status
        assert (execution.answer_kind.value if execution.answer_kind else "-") == kind
        assert (execution.failure_code.value if execution.failure_code else "-") == code
        assert len(execution.attempts) == int(attempts)
        assert (execution.dead_lettered_at is not None) == (status in ("failed", "timed_out"))
        assert_no_success_is_a_failure(execution)
    assert asking.spawns() == int(spawns)


def assert_no_success_is_a_failure(execution: Execution) -> None:
    """What Modal calls a success is completed, or malformed with what it said kept."""
    call = execution.newest_call
    assert call is not None
    if call.status is CallStatus.SUCCEEDED and execution.status is not Status.COMPLETED:
        assert execution.failure_code is FailureCode.MALFORMED_REPLY
        assert call.raw_reply


def test_a_malformed_reply_is_kept_bounded(asking: Asking) -> None:
    asking.modal.inject(faults.MalformedReply(without=(), replaced={"noise": "x" * 200_000}))
    asking.materialize()
    (call,) = {execution.newest_call for execution in asking.executions()}
    assert call is not None
    assert call.raw_reply is not None
    assert 60_000 < len(call.raw_reply) <= 64 * 1024
    assert "noise" in str(call.failure_message)


def test_cut_right_after_the_spawn_is_dispatched_and_healed_by_attaching(asking: Asking) -> None:
    asking.modal.inject(faults.AnswerLost(times=None))
    assert [e.status for e in asking.materialize(patience=0)] == [Status.DISPATCHED] * 2
    assert {e.newest_call.provider_call_id for e in asking.executions() if e.newest_call} == {None}
    wait_for("event", lambda: bool(asking.modal.events("finish", request_id=request_id_of(asking))))
    asking.modal.clear()
    assert [e.status for e in asking.materialize()] == [Status.COMPLETED] * 2
    assert asking.spawns() == 1, "found in the register of requests, not asked again"
    assert {len(e.attempts) for e in asking.executions()} == {1}


def test_two_calls_of_one_request_generate_once(asking: Asking) -> None:
    asking.modal.inject(faults.TwoCalls(), ONCE)
    asking.materialize()
    wait_for("event", lambda: len(asking.modal.events("finish", request_id=request_id_of(asking))) == 2)
    calls = [event["call"] for event in asking.modal.events("spawn", request_id=request_id_of(asking))]
    replies = [reply_of(call) for call in calls]
    assert sorted("items" in reply for reply in replies) == [False, True]
    notice = next(reply for reply in replies if "items" not in reply)
    owner = calls[next(n for n, reply in enumerate(replies) if "items" in reply)]
    assert notice["duplicate_of"] == owner


def test_an_answer_from_another_region_is_kept_told_and_not_used(asking: Asking) -> None:
    asking.modal.inject(faults.OtherRegion(region="us-east-1"))
    asking.materialize()
    for execution in asking.executions():
        assert (execution.status, execution.executed_region) == (Status.COMPLETED, "us")
        assert execution.answer
        assert not execution.usable
        finding = executed_region(CheckInput(execution, lambda _: CallStatus.SUCCEEDED, None, budget=3))
        assert not finding.passed
        assert "'eu'" in finding.seen
        assert "'us'" in finding.seen
    assert asking.spawns() == 1, "not asked again: another answer would not make this one true"


def test_unreachable_is_not_failed_and_the_next_one_attaches(asking: Asking) -> None:
    asking.modal.inject(faults.unavailable())
    assert [e.status for e in asking.materialize(patience=0)] == [Status.DISPATCHED] * 2
    asking.modal.clear()
    assert [e.status for e in asking.materialize()] == [Status.COMPLETED] * 2
    assert asking.spawns() == 1


def test_a_result_whose_blob_is_gone_is_neither_a_failure_nor_paid_again(asking: Asking) -> None:
    asking.modal.inject(faults.BlobGone())
    for _ in range(2):
        assert [e.status for e in asking.materialize(patience=0)] == [Status.DISPATCHED] * 2
    assert {len(e.attempts) for e in asking.executions()} == {1}
    assert asking.spawns() == 1


@pytest.mark.parametrize("method", ["ClassGet", "FunctionMap", "DictGet", "DictGetOrCreate"])
def test_a_refusal_of_what_is_sent_again_says_nothing_of_the_call_that_runs(
    asking: Asking, method: str
) -> None:
    """Its container has not claimed the request yet; the answer to the first spawn was lost."""
    warm = warm_containers(asking)
    for process in warm:
        os.kill(process, signal.SIGSTOP)
    asking.modal.inject(faults.AnswerLost(times=None))
    assert [e.status for e in asking.materialize(patience=0)] == [Status.DISPATCHED] * 2
    asking.modal.clear()
    asking.modal.inject(faults.not_found(methods=(method,)))
    if method == "DictGetOrCreate":
        with pytest.raises(NotConfigured, match="has no environment"):
            asking.materialize(patience=0)
    else:
        asking.materialize(patience=0)
    assert [e.status for e in asking.executions()] == [Status.DISPATCHED] * 2
    asking.modal.clear()
    for process in warm:
        os.kill(process, signal.SIGCONT)
    wait_for("event", lambda: bool(asking.modal.events("finish", request_id=request_id_of(asking))))
    assert [e.status for e in asking.materialize()] == [Status.COMPLETED] * 2
    assert {len(e.attempts) for e in asking.executions()} == {1}


def test_a_call_of_another_workspace_is_waited_for_and_said_to_be_one(asking: Asking) -> None:
    asking.modal.inject(faults.PendingUntilReleased())
    asyncio.run(ask_until_accepted(asking))
    call = asking.executions()[0].newest_call
    assert call is not None
    assert (call.workspace, call.environment) == ("loopback", None)
    asking.modal.in_workspace("elsewhere")
    assert [e.status for e in asking.materialize(patience=0)] == [Status.DISPATCHED] * 2
    told = asyncio.run(poll_call(hasty_modal(asking.catalog), call))
    assert told.status is CallStatus.UNREACHABLE
    assert "was made in workspace 'loopback', and this token is of another account" in str(told.detail)
    asking.modal.in_workspace("loopback")
    asking.modal.release()
    assert [e.status for e in asking.materialize()] == [Status.COMPLETED] * 2
    assert asking.spawns() == 1


def test_an_environment_that_is_not_there_leaves_them_pending(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODAL_ENVIRONMENT", "nowhere")
    with pytest.raises(NotConfigured, match="`modal environment create nowhere`"):
        asking.materialize()
    assert [e.status for e in asking.executions()] == [Status.PENDING] * 2
    assert asking.spawns() == 0


async def ask_until_accepted(asking: Asking) -> None:
    asked = asyncio.ensure_future(asking.materializer().materialize(asking.job.id, CELLS, lambda _: None))
    while not any(e.newest_call and e.newest_call.provider_call_id for e in asking.executions()):
        await asyncio.sleep(0.02)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)


def test_cancelling_stops_the_call_at_modal(asking: Asking) -> None:
    asking.modal.inject(faults.PendingUntilReleased())

    async def ask_then_cancel() -> None:
        asked = asyncio.ensure_future(asking.materializer().materialize(asking.job.id, CELLS, lambda _: None))
        while not any(e.newest_call and e.newest_call.provider_call_id for e in asking.executions()):
            await asyncio.sleep(0.02)
        await asking.materializer().cancel(asking.job.id, CELLS)
        await asked

    asyncio.run(ask_then_cancel())
    for execution in asking.executions():
        assert (execution.status, execution.failure_code) == (Status.CANCELLED, FailureCode.CANCELLED)
    assert len(asking.modal.events("cancel", request_id=request_id_of(asking))) == 1
    assert asking.spawns() == 1


def test_a_killed_container_leaves_a_truth_and_is_asked_again_once(asking: Asking) -> None:
    warm = warm_containers(asking)
    for process in warm:
        os.kill(process, signal.SIGSTOP)

    async def ask_then_kill() -> None:
        asked = asyncio.ensure_future(asking.materializer().materialize(asking.job.id, CELLS, lambda _: None))
        while not asking.modal.events("input", request_id=newest_request_id(asking)):
            await asyncio.sleep(0.02)
        for process in warm:
            os.kill(process, signal.SIGKILL)
        await asked

    asyncio.run(ask_then_kill())
    for execution in asking.executions():
        assert execution.status is Status.COMPLETED
        assert [a.failure_code for a in execution.attempts] == [FailureCode.WORKER_LOST, None]
    assert asking.spawns() == 2


@pytest.mark.parametrize("methods", [("*",), ("ClassGet",)])
def test_a_refused_token_is_told_before_anything_is_dispatched(
    asking: Asking, methods: tuple[str, ...]
) -> None:
    asking.modal.inject(faults.unauthenticated(methods))
    with pytest.raises(NotConfigured, match="Modal refuses the token"):
        asking.materialize()
    assert [e.status for e in asking.executions()] == [Status.PENDING] * 2
    assert asking.spawns() == 0


def test_a_token_that_may_not_spawn_leaves_an_intent_that_is_sent_later(asking: Asking) -> None:
    asking.modal.inject(faults.permission_denied())
    with pytest.raises(NotConfigured, match="Modal refuses the token"):
        asking.materialize()
    assert [e.status for e in asking.executions()] == [Status.DISPATCHED] * 2
    assert asking.spawns() == 0
    asking.modal.clear()
    assert [e.status for e in asking.materialize()] == [Status.COMPLETED] * 2
    assert asking.spawns() == 1


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("MODAL_TOKEN_ID", "", "`modal setup`, or set MODAL_TOKEN_ID"),
        ("MODAL_OAUTH_CLIENT_ID", "x", "settings of this machine cannot be used"),  # two kinds at once
    ],
)
def test_settings_of_no_use_are_told_before_anything_is_sent(
    asking: Asking, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    import modal

    modal.Client.from_env().close()  # a process that begins has none, and reads the settings
    monkeypatch.setenv(variable, value)
    with pytest.raises(NotConfigured, match=said):
        asking.materialize()
    assert [e.status for e in asking.executions()] == [Status.PENDING] * 2
    assert asking.spawns() == 0


def warm_containers(asking: Asking) -> list[int]:
    """The processes of the containers that are up, or come up now, for a job of its own."""
    job = a_job(asking.ledger, CELLS, name="to warm one up")
    asyncio.run(asking.materializer().materialize(job.id, CELLS, lambda _: None))
    asking.spawned_before += 1
    ended = {event["task"] for event in asking.modal.events("container", state="ended")}
    started = asking.modal.events("container", state="started")
    return [int(event["pid"]) for event in started if event["task"] not in ended]


def newest_request_id(asking: Asking) -> str:
    return next((e.newest_call.id for e in asking.executions() if e.newest_call), "none yet")


def request_id_of(asking: Asking) -> str:
    (call,) = {e.newest_call for e in asking.executions()}
    assert call is not None
    return call.id


def reply_of(call_id: str) -> dict[str, object]:
    import modal

    reply: dict[str, object] = modal.FunctionCall.from_id(call_id).get(timeout=0)
    return reply
