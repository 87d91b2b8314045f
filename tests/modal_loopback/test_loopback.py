"""The real SDK against the loopback server: deploying, running real classes, and losing nothing."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import modal
import pytest
from modal.exception import AuthError, FunctionTimeoutError, InternalFailure, NotFoundError, RemoteError

from tests.modal_loopback import Loopback
from tests.modal_loopback.faults import PendingUntilReleased
from tests.waiting import PATIENCE_SECONDS, wait_for

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    """A server with the example deployed, room for one container, and this process as its client."""
    with Loopback(tmp_path_factory.mktemp("modal"), max_containers=1) as server, server.clients_here():
        deploy(server)
        yield server


def deploy(server: Loopback, module: str = "tests.modal_loopback.example.app") -> None:
    run_client(server, "-m", "modal", "deploy", "-m", module)


def run_client(server: Loopback, *arguments: str) -> str:
    """Run Python as a client of the server, and return what it printed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | server.client_environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def method(class_name: str = "EchoEu") -> Any:
    return modal.Cls.from_name("example", class_name)().answer


def result_of(call: modal.FunctionCall[Any]) -> Any:
    return call.get(timeout=PATIENCE_SECONDS)


def test_a_deployment_has_the_classes_that_were_made_in_a_loop(server: Loopback) -> None:
    deployed = server.events("deploy", app="example")
    assert deployed[0]["classes"] == ["EchoEu", "EchoOnce", "EchoUs"]
    spawned = server.events("spawn")
    info = method().info()
    assert (info.regions, info.timeout, info.method_names) == (["eu"], 60, ["answer"])
    assert server.events("spawn") == spawned, "info runs nothing"


def test_a_container_for_single_use_answers_one_call_and_ends(server: Loopback) -> None:
    answers = [result_of(call) for call in [method("EchoOnce").spawn({"id": f"once-{n}"}) for n in range(2)]]
    assert [answer["calls"] for answer in answers] == [1, 1]
    assert len({answer["task_id"] for answer in answers}) == 2
    ended = {"class_name": "EchoOnce", "state": "ended", "code": 0}
    wait_for("two ended containers", lambda: len(server.events("container", **ended)) == 2)


def test_each_class_runs_its_real_code_in_its_region_with_what_was_deployed(server: Loopback) -> None:
    eu, us = method("EchoEu").remote({"id": "a"}), method("EchoUs").remote({"id": "b"})
    assert (eu["class_name"], eu["region"], eu["cloud"]) == (
        "EchoEu",
        "europe-west4",
        "CLOUD_PROVIDER_GCP",
    )
    assert (us["class_name"], us["region"], us["cloud"]) == ("EchoUs", "us-east-1", "CLOUD_PROVIDER_AWS")
    assert eu["image_variable"] == "it's here"
    assert eu["foreign_variable"] is None, "a container knows nothing of the server's environment"
    assert not eu["code"].startswith(str(ROOT)), "it runs the files that were uploaded"
    assert eu["call_id"] == server.events("spawn", request_id="a")[0]["call"]


def test_a_container_is_warm_for_the_next_call_and_makes_room_for_another_class(server: Loopback) -> None:
    first, second = method("EchoEu").remote({"id": "1"}), method("EchoEu").remote({"id": "2"})
    assert (second["task_id"], second["calls"]) == (first["task_id"], first["calls"] + 1)
    other = method("EchoUs").remote({"id": "3"})
    assert other["task_id"] != second["task_id"]
    wait_for("event", lambda: server.events("container", state="ended", task=first["task_id"]))
    idle_too_long = {"state": "ended", "task": other["task_id"]}
    wait_for("event", lambda: server.events("container", **idle_too_long))


@pytest.mark.parametrize("payload_format", ["cbor", "pickle"])
def test_large_payloads_travel_as_blobs_both_ways(
    server: Loopback, payload_format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODAL_PAYLOAD_FORMAT", payload_format)
    request = {"id": f"large {payload_format}", "ballast": "y" * 20_000, "padding": 30_000}
    call = method().spawn(request)
    assert len(result_of(call)["padding"]) == 30_000
    (spawn,) = server.events("spawn", call=call.object_id)
    assert spawn["request_id"] == request["id"]


def test_an_exception_of_the_code_arrives_after_the_retries(
    server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODAL_PAYLOAD_FORMAT", "pickle")
    call = method("EchoUs").spawn({"id": "raising", "do": "raise"})
    with pytest.raises(ValueError, match="as told"):
        result_of(call)
    assert [e["attempt"] for e in server.events("input", call=call.object_id)] == [1, 2]
    monkeypatch.setenv("MODAL_PAYLOAD_FORMAT", "cbor")
    with pytest.raises(RemoteError, match="as told"):
        result_of(method("EchoUs").spawn({"id": "raising in words", "do": "raise"}))


def test_a_container_that_dies_is_a_lost_worker(server: Loopback) -> None:
    with pytest.raises(InternalFailure, match="ended with code 3"):
        result_of(method().spawn({"id": "dying", "do": "die"}))


def test_a_container_that_cannot_start_fails_its_calls_with_its_reason(server: Loopback) -> None:
    deploy(server, "tests.modal_loopback.example.broken")
    call = modal.Cls.from_name("broken", "Broken")().answer.spawn({"id": "hopeless"})
    with pytest.raises(LookupError, match="no such weights"):
        result_of(call)


def test_a_function_that_runs_out_of_its_time(server: Loopback, tmp_path: Path) -> None:
    waiting = {"do": "wait", "started": str(tmp_path / "started"), "stopped": str(tmp_path / "stopped")}
    with pytest.raises(FunctionTimeoutError):
        result_of(method("EchoUs").spawn({"id": "slow", **waiting}))


def test_cancelling_reaches_the_code_as_input_cancellation(server: Loopback, tmp_path: Path) -> None:
    started, stopped = tmp_path / "started", tmp_path / "stopped"
    waiting = {"id": "w", "do": "wait", "started": str(started), "stopped": str(stopped)}
    running = method().spawn(waiting)
    wait_for("start", started.exists)
    queued = method().spawn({"id": "queued"})
    queued.cancel()
    running.cancel()
    for call in (running, queued):
        with pytest.raises(RemoteError, match="cancelled"):
            result_of(call)
    assert stopped.read_text() == "InputCancellation"
    assert server.events("input", call=queued.object_id) == []
    assert method().remote({"id": "after"})["request_id"] == "after", "the container goes on"


def test_containers_can_be_forked_from_a_process_that_has_imported(tmp_path: Path) -> None:
    with (
        Loopback(tmp_path / "modal", max_containers=2, preload=("colorsys",)) as server,
        server.clients_here(),
    ):
        deploy(server)
        calls = [method(name).spawn({"id": name}) for name in ("EchoUs", "EchoEu")]
        results = [result_of(call) for call in calls]
        assert [result["region"] for result in results] == ["us-east-1", "europe-west4"]
        assert all(result["preloaded"] for result in results)
        assert not any(result["code"].startswith(str(ROOT)) for result in results)
        with pytest.raises(InternalFailure, match="ended with code 3"):
            result_of(method().spawn({"id": "dying", "do": "die"}))
    for started in server.events("container", state="started"):
        with pytest.raises(ProcessLookupError):
            os.kill(started["pid"], 0)


def test_a_template_that_cannot_import_fails_the_calls(tmp_path: Path) -> None:
    with Loopback(tmp_path / "modal", preload=("no_such_module",)) as server, server.clients_here():
        deploy(server)
        with pytest.raises(InternalFailure, match="no container could be started"):
            result_of(method().spawn({"id": "hopeless"}))


CHILD = """
import modal, time
call = modal.Cls.from_name("example", "EchoEu")().answer.spawn({"id": "orphan"})
print(call.object_id, flush=True)
time.sleep(60)
"""


def test_a_call_survives_its_client_and_another_process_has_its_result(server: Loopback) -> None:
    server.inject(PendingUntilReleased())
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD],
        env=os.environ | server.client_environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout is not None
        call_id = child.stdout.readline().strip()
        child.send_signal(signal.SIGKILL)
    server.clear()
    attached = modal.FunctionCall.from_id(call_id)
    with pytest.raises(TimeoutError):
        attached.get(timeout=0)
    server.release()
    fetching = f"import modal; print(modal.FunctionCall.from_id({call_id!r}).get(timeout=200)['request_id'])"
    assert run_client(server, "-c", fetching) == "orphan\n"
    assert result_of(attached)["request_id"] == "orphan", "a result can be fetched again"
    assert len(server.events("spawn", request_id="orphan")) == 1


def test_a_dict_keeps_the_first_of_two_puts(server: Loopback) -> None:
    register = modal.Dict.from_name("register", create_if_missing=True)
    assert register.put("request", "call 1", skip_if_exists=True)
    assert not register.put("request", "call 2", skip_if_exists=True)
    assert register.get("request") == "call 1"
    assert register.get("unknown", "nothing") == "nothing"
    register["other"] = 1
    assert sorted(register.keys()) == ["other", "request"]
    assert register.pop("other") == 1
    assert (len(list(register.items())), register.len()) == (1, 1)
    reading = 'import modal; print(modal.Dict.from_name("register")["request"])'
    assert run_client(server, "-c", reading) == "call 1\n"


@pytest.mark.parametrize(
    ("look_up", "named"),
    [
        (lambda: modal.Cls.from_name("nowhere", "EchoEu").hydrate(), "nowhere"),
        (lambda: modal.Cls.from_name("example", "EchoApac").hydrate(), "EchoApac"),
        (lambda: modal.FunctionCall.from_id("fc-unknown").get(timeout=0), "fc-unknown"),
        (lambda: modal.Dict.from_name("no_dict").len(), "no_dict"),
        (lambda: modal.Secret.from_name("no_secret").hydrate(), "no_secret"),
        (lambda: modal.Volume.from_name("no_volume").hydrate(), "no_volume"),
    ],
)
def test_what_does_not_exist_is_not_found(
    server: Loopback, look_up: Callable[[], object], named: str
) -> None:
    with pytest.raises(NotFoundError, match=named):
        look_up()


def test_only_its_own_token_is_accepted(server: Loopback) -> None:
    with modal.Client.from_credentials("ak-other", "as-other") as stranger, pytest.raises(AuthError):
        stranger.hello()
    modal.Client.from_env().hello()


def test_a_new_deployment_replaces_the_running_code(server: Loopback) -> None:
    before = method().remote({"id": "before"})
    deploy(server)
    after = method().remote({"id": "after"})
    assert after["task_id"] != before["task_id"]
