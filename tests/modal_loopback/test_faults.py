"""What the real SDK makes of each fault, and how many calls it costs. The server answers by itself."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import modal
import modal.exception as of
import psutil
import pytest
from grpclib.exceptions import StreamTerminatedError

from tests.modal_loopback import Call, Loopback, LoopbackProcess, Match, faults
from tests.waiting import PATIENCE_SECONDS

APP = "example"
ROOT = Path(__file__).parents[2]
REPLY = {"region": "us-east-1", "items": [{"id": "q", "text": "an answer"}]}


def answer(call: Call) -> object:
    return {"region": call.region, "items": [{"id": "q", "text": "an answer"}]}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Loopback]:
    with Loopback(tmp_path / "modal", answer=answer) as server, server.clients_here():
        server.serve(APP, "Model", ["answer"], region="us")
        server.serve(APP, "Other", ["answer"], region="eu")
        yield server


@pytest.fixture(params=["cbor", "pickle"])
def payload_format(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MODAL_PAYLOAD_FORMAT", request.param)
    return str(request.param)


def spawn(class_name: str = "Model", **request: object) -> modal.FunctionCall[Any]:
    called: modal.FunctionCall[Any] = modal.Cls.from_name(APP, class_name)().answer.spawn(request)
    return called


def with_text(text: object) -> object:
    return {**REPLY, "items": [{"id": "q", "text": text}]}


CHANGED_REPLIES = {
    faults.EmptyText(): with_text(""),
    faults.WhitespaceText(): with_text(" \n\t"),
    faults.NullText(): with_text(None),
    faults.NullReply(): None,
    faults.FewerItems(): {**REPLY, "items": []},
    faults.OtherRegion(region="eu-west-1"): {**REPLY, "region": "eu-west-1"},
    faults.PendingFor(seconds=0.05): REPLY,
    faults.ReplyTwice(): REPLY,
    faults.AnswerLost(times=1): REPLY,
}


@pytest.mark.parametrize(
    ("fault", "reply"), CHANGED_REPLIES.items(), ids=lambda value: getattr(value, "kind", "")
)
def test_a_call_that_succeeds_with_another_reply(
    server: Loopback, payload_format: str, fault: faults.Fault, reply: object
) -> None:
    server.inject(fault)
    assert spawn().get(timeout=PATIENCE_SECONDS) == reply
    assert len(server.events("spawn")) == 1


def test_a_malformed_reply_lacks_and_has_what_was_said(server: Loopback) -> None:
    server.inject(faults.MalformedReply(without=("region",), replaced={"version": 99}))
    assert spawn().get(timeout=PATIENCE_SECONDS) == {"items": REPLY["items"], "version": 99}


# A fault, and what the SDK raises with payloads in CBOR and as pickles.
ENDS = [
    (faults.RemoteException(), of.RemoteError, RuntimeError),
    (faults.RemoteTimeoutError(), of.RemoteError, TimeoutError),  # as a pickle it looks like pending
    (faults.CrashAtStart(), LookupError, LookupError),
    (faults.CrashAtStart(error="TimeoutError"), TimeoutError, TimeoutError),  # it looks like pending
    (faults.CrashAtStart(error="SystemExit"), SystemExit, SystemExit),
    (faults.FunctionTimeout(), of.FunctionTimeoutError, of.FunctionTimeoutError),
    (faults.WorkerLost(), of.InternalFailure, of.InternalFailure),
    (faults.Terminated(), of.RemoteError, of.RemoteError),
    (faults.Ended(status="TERMINATED"), of.RemoteError, of.RemoteError),  # nothing tells these three apart
    (faults.Ended(status="INIT_FAILURE"), of.RemoteError, of.RemoteError),
    (faults.Ended(status="KERNEL_OOM_KILL"), of.RemoteError, of.RemoteError),
    (faults.Expired(), of.OutputExpiredError, of.OutputExpiredError),
    (faults.BlobGone(), of.NotFoundError, of.NotFoundError),  # as for a call that is unknown
    (faults.UnknownFormat(), of.InvalidError, of.InvalidError),
    (faults.ResultUnavailable(status=500), of.ExecutionError, of.ExecutionError),
    (faults.PendingUntilReleased(), TimeoutError, TimeoutError),
    (faults.not_found(), of.NotFoundError, of.NotFoundError),
    (faults.unavailable(), of.ServiceError, of.ServiceError),
    (faults.unauthenticated(("FunctionGetOutputs",)), of.AuthError, of.AuthError),
    (faults.permission_denied(("FunctionGetOutputs",)), of.PermissionDeniedError, of.PermissionDeniedError),
    (faults.Refused(status="RESOURCE_EXHAUSTED"), of.ResourceExhaustedError, of.ResourceExhaustedError),
    (faults.Refused(status="INTERNAL"), of.InternalError, of.InternalError),
]


@pytest.mark.parametrize(
    ("fault", "as_cbor", "as_pickle"),
    ENDS,
    ids=lambda value: getattr(value, "status", None) or getattr(value, "kind", ""),
)
def test_what_polling_raises(
    server: Loopback,
    payload_format: str,
    fault: faults.Fault,
    as_cbor: type[BaseException],
    as_pickle: type[BaseException],
) -> None:
    server.inject(fault)
    call = spawn()
    with pytest.raises(as_cbor if payload_format == "cbor" else as_pickle) as raised:
        call.get(timeout=0)
    assert raised.type is (as_cbor if payload_format == "cbor" else as_pickle)
    assert len(server.events("spawn")) == 1


def test_the_four_that_are_not_found_are_one_exception(
    server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function or environment, a call, the blob of a result, a Dict."""
    server.inject(faults.BlobGone(times=1))
    call = spawn()
    with pytest.raises(of.NotFoundError, match="no blob"):
        call.get(timeout=PATIENCE_SECONDS)
    assert call.num_inputs() == 1, "the call itself is known"
    assert call.get(timeout=PATIENCE_SECONDS) == REPLY
    server.in_workspace("elsewhere")
    for ask in (modal.FunctionCall.from_id(call.object_id).num_inputs, lambda: call.get(timeout=0)):
        with pytest.raises(of.NotFoundError, match="no function call"):
            ask()
    with pytest.raises(of.NotFoundError, match="no dict"):
        modal.Dict.from_name("nowhere").get("x")
    with pytest.raises(of.NotFoundError, match="no class"):
        modal.Cls.from_name(APP, "Nowhere")().answer.spawn({})
    monkeypatch.setenv("MODAL_ENVIRONMENT", "nowhere")
    for look in (
        lambda: modal.Cls.from_name(APP, "Model")().answer.spawn({}),
        lambda: modal.Dict.from_name("any", create_if_missing=True).get("x"),
    ):
        with pytest.raises(of.NotFoundError, match="Environment 'nowhere' not found"):
            look()


@pytest.mark.parametrize(
    ("fault", "raises", "spawned"),
    [
        (faults.AnswerLost(times=None), StreamTerminatedError, 1),
        (faults.permission_denied(), of.PermissionDeniedError, 0),
        (faults.Refused(status="INVALID_ARGUMENT", methods=("FunctionMap",)), of.InvalidError, 0),
        (faults.not_found(methods=("FunctionMap",)), of.NotFoundError, 0),
        (faults.not_found(methods=("ClassGet",)), of.NotFoundError, 0),
        (faults.unavailable(methods=("FunctionMap",)), of.ServiceError, 0),
        (faults.unauthenticated(), of.AuthError, 0),
    ],
    ids=[
        "answers lost",
        "permission denied",
        "invalid",
        "no function",
        "no class",
        "unavailable",
        "unauthenticated",
    ],
)
def test_what_spawning_raises(
    server: Loopback, fault: faults.Fault, raises: type[Exception], spawned: int
) -> None:
    server.inject(fault)
    with pytest.raises(raises):
        spawn(id="lost")
    assert len(server.events("spawn")) == spawned
    assert server.events("fault"), "what was done to the client is on record"
    server.clear()
    for event in server.events("spawn"):
        assert modal.FunctionCall.from_id(event["call"]).get(timeout=PATIENCE_SECONDS) == REPLY


def test_one_spawn_can_make_two_calls_and_the_client_knows_one(server: Loopback) -> None:
    server.inject(faults.TwoCalls())
    call = spawn(id="twice")
    calls = [event["call"] for event in server.events("spawn", request_id="twice")]
    assert len(calls) == 2
    assert call.object_id == calls[1]
    assert len(server.events("input")) == 2


def test_an_outage_ends(server: Loopback) -> None:
    server.inject(faults.Refused(status="UNAVAILABLE", times=4))
    call = spawn()
    with pytest.raises(of.ServiceError):
        call.get(timeout=0)
    assert call.get(timeout=0) == REPLY


def test_a_fault_befalls_the_calls_it_matches(server: Loopback) -> None:
    server.inject(faults.EmptyText(), Match(class_name="Mod*", nth=2))
    server.inject(faults.NullReply(), Match(contains="taiwan"))
    server.inject(faults.not_found(), Match(contains="lost id"))
    calls = [spawn(), spawn("Other"), spawn(), spawn(), spawn("Other", id="taiwan_status")]
    replies = [call.get(timeout=PATIENCE_SECONDS) for call in calls]
    european = {**REPLY, "region": "europe-west4"}
    assert replies == [REPLY, european, with_text(""), REPLY, None]
    with pytest.raises(of.NotFoundError):
        spawn(id="lost id").get(timeout=0)


def test_faults_compose(server: Loopback) -> None:
    server.inject(faults.OtherRegion(region="ap-southeast-1"))
    server.inject(faults.EmptyText())
    server.inject(faults.PendingUntilReleased())
    call = spawn()
    with pytest.raises(TimeoutError):
        call.get(timeout=0)
    server.release()
    assert call.get(timeout=PATIENCE_SECONDS) == {
        "region": "ap-southeast-1",
        "items": [{"id": "q", "text": ""}],
    }


def test_an_exception_of_the_answering_function_is_the_call_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODAL_PAYLOAD_FORMAT", "pickle")

    def broken(call: Call) -> object:
        raise ValueError(f"{call.method} of {call.class_name} is broken")

    with Loopback(tmp_path / "modal", answer=broken) as server, server.clients_here():
        server.serve(APP, "Model", ["answer"])
        with pytest.raises(ValueError, match="answer of Model is broken"):
            spawn().get(timeout=PATIENCE_SECONDS)


PARENT = """
import sys, time
from pathlib import Path
from tests.modal_loopback import LoopbackProcess
with LoopbackProcess(Path(sys.argv[1])) as server:
    print(server.pid, flush=True)
    time.sleep(60)
"""


def test_a_server_of_its_own_ends_with_its_parent(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        server = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    assert psutil.wait_procs([server], timeout=PATIENCE_SECONDS)[1] == []


def test_a_server_of_its_own_is_told_over_http_and_from_a_file(tmp_path: Path) -> None:
    listed = tmp_path / "faults.json"
    listed.write_text(json.dumps([{"fault": {"kind": "empty_text"}, "match": {"nth": 1}}]))
    client = """
import modal
from tests.modal_loopback.example.app import app
app.deploy()
method = modal.Cls.from_name("example", "EchoUs")().answer
for n in range(3):
    print(method.remote({"id": str(n)}))
"""
    arguments = ("--faults", str(listed), "--answer", f"{__name__}:answer")
    with LoopbackProcess(tmp_path / "modal", *arguments) as server:
        server.inject(faults.NullReply(), Match(contains="'2'"))
        done = subprocess.run(
            [sys.executable, "-c", client],
            env=os.environ | server.client_environment(),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-3:] == [str(with_text("")), str(REPLY), "None"]
        assert [event["request_id"] for event in server.events("spawn", class_name="EchoUs")] == [
            "0",
            "1",
            "2",
        ]
        kept = (tmp_path / "modal" / "events.jsonl").read_text().splitlines()
        assert [json.loads(line) for line in kept] == server.events()
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, signal.SIG_DFL)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--answer", "tests.modal_loopback.test_faults"], "is not MODULE:FUNCTION"),
        (["--answer", "tests.nowhere:answer"], "No module named 'tests.nowhere'"),
        (["--faults", "no/such/file"], "does not exist"),
        (["--faults", str(ROOT / "Makefile")], "is no list of faults"),
    ],
)
def test_bad_arguments_are_refused_in_a_line(tmp_path: Path, arguments: list[str], said: str) -> None:
    command = [sys.executable, "-m", "tests.modal_loopback", "--state-dir", str(tmp_path), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert done.returncode == 2
    assert said in done.stderr
