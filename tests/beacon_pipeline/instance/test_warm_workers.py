"""A run whose code is here starts in a fork of a process that has its libraries; one that dies ends."""

import json
import os
import signal
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import dagster as dg
import psutil
import pytest
from dagster._core.code_pointer import ModuleCodePointer  # noqa: TID251

# What the daemon gives a run launcher, and how a run knows its code; Dagster has no public names for it.
from dagster._core.errors import DagsterLaunchFailedError  # noqa: TID251
from dagster._core.launcher import LaunchRunContext  # noqa: TID251
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin  # noqa: TID251
from dagster._core.remote_origin import (  # noqa: TID251
    GrpcServerCodeLocationOrigin,
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin  # noqa: TID251

from beacon_pipeline.instance import warm_workers
from beacon_pipeline.instance.dead_runs import dead_runs
from beacon_pipeline.instance.processes import started_at
from beacon_pipeline.instance.run_launcher import BeaconRunLauncher, worker_of
from beacon_pipeline.instance.warm_workers import can_start_warm
from beacon_pipeline.names import CODE_SERVER_TAG
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("fork_server")

ROOT = Path(__file__).parents[3]
RunStatus = dg.DagsterRunStatus
WORKSPACE: Any = SimpleNamespace(get_code_location=lambda _: None)
HERE = ManagedGrpcPythonEnvCodeLocationOrigin(LoadableTargetOrigin(module_name="warm_jobs"), "here")
OVER_A_PORT = GrpcServerCodeLocationOrigin("localhost", 4000)


def a_run(
    job: str = "saying", *, location: Any = HERE, python: str = sys.executable, image: str | None = None
) -> dg.DagsterRun:
    code = ModuleCodePointer("tests.beacon_pipeline.instance.warm_jobs", "jobs", str(ROOT))
    return dg.DagsterRun(
        job_name=job,
        run_id=str(uuid.uuid4()),
        status=RunStatus.STARTING,
        remote_job_origin=RemoteJobOrigin(RemoteRepositoryOrigin(location, "jobs"), job),
        job_code_origin=JobPythonOrigin(job, RepositoryPythonOrigin(python, code, image)),
    )


@pytest.mark.parametrize(
    ("run", "warm"),
    [
        (a_run(), True),
        (a_run(python="/usr/bin/python3"), False),
        (a_run(image="beacon-pipeline"), False),
        (a_run(location=OVER_A_PORT), False),
        (dg.DagsterRun("job"), False),
    ],
)
def test_a_run_whose_code_is_here_and_for_this_python_starts_warm(run: dg.DagsterRun, warm: bool) -> None:
    assert can_start_warm(run) is warm


def test_a_fork_is_made_on_linux_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not can_start_warm(a_run())


@pytest.fixture
def launcher(instance: dg.DagsterInstance) -> BeaconRunLauncher:
    made = BeaconRunLauncher()
    made.register_instance(instance)
    return made


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file in which a run says where it runs."""
    file = tmp_path / "said.json"
    monkeypatch.setenv("BEACON_TEST_SAID", str(file))
    yield file
    Path(f"{file}.go").touch()


def launched(instance: dg.DagsterInstance, launcher: BeaconRunLauncher, job: str) -> str:
    run = instance.add_run(a_run(job))
    launcher.launch_run(LaunchRunContext(run, WORKSPACE))
    return run.run_id


def status_of(instance: dg.DagsterInstance, run_id: str) -> RunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def becomes(instance: dg.DagsterInstance, run_id: str, status: RunStatus) -> None:
    wait_for(status.value, lambda: status_of(instance, run_id) is status, lambda: events(instance, run_id))


def events(instance: dg.DagsterInstance, run_id: str) -> str:
    return "\n".join(
        record.event_log_entry.message for record in instance.get_records_for_run(run_id).records
    )


def what(said: Path) -> dict[str, Any]:
    text = wait_for("what the run says", lambda: said.exists() and said.read_text())
    found: dict[str, Any] = json.loads(str(text))
    return found


def test_a_run_starts_in_a_fork_of_a_process_that_has_its_libraries_only(
    instance: dg.DagsterInstance,
    launcher: BeaconRunLauncher,
    said: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BEACON_TEST_VARIABLE", "of the launcher")
    run_id = launched(instance, launcher, "saying")
    becomes(instance, run_id, RunStatus.SUCCESS)
    told = what(said)
    assert f"Started process for run (pid: {told['pid']})" in events(instance, run_id)
    here = str(Path.cwd())
    assert (told["variable"], told["cwd"], told["first_path"]) == ("of the launcher", here, here)
    assert not told["sigint"], "it can be interrupted"
    run = instance.get_run_by_id(run_id)
    assert run is not None
    assert CODE_SERVER_TAG not in run.tags
    worker = worker_of(instance, run)
    assert worker is not None
    assert worker.pid == told["pid"]

    server = psutil.Process(told["parent"])
    assert "multiprocessing.forkserver" in " ".join(server.cmdline())
    assert server.num_threads() == 1, "a lock that another thread holds would never be free in a fork"
    assert server.net_connections("inet") == []
    files = [file.path for file in server.open_files() if file.path.startswith(str(tmp_path))]
    assert files == []
    ours = tmp_path / "ours.json"
    look = f"import json, sys; json.dump(sorted(sys.modules), open({str(ours)!r}, 'w'))"
    process = warm_workers._forks.Process(target=exec, args=(look,))
    process.start()
    process.join()
    loaded = json.loads(ours.read_text())
    assert {"dagster._grpc.impl", "sqlalchemy", "alembic.command"} <= set(loaded)
    assert [name for name in loaded if name.startswith(("beacon_pipeline", "inference", "dbt_like"))] == [
        "beacon_pipeline",
        "beacon_pipeline.instance",
        "beacon_pipeline.instance.libraries",
    ], "the code of a run is read when it starts"


def killed(instance: dg.DagsterInstance, launcher: BeaconRunLauncher, run_id: str, pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def terminated(instance: dg.DagsterInstance, launcher: BeaconRunLauncher, run_id: str, pid: int) -> None:
    assert launcher.terminate(run_id)


@pytest.mark.parametrize(
    ("stopped", "status", "event"),
    [
        (killed, RunStatus.FAILURE, "was terminated by signal 9 (SIGKILL)"),
        (terminated, RunStatus.CANCELED, 'Execution of run for "waiting" canceled'),
    ],
)
def test_a_run_that_is_stopped_ends(
    instance: dg.DagsterInstance,
    launcher: BeaconRunLauncher,
    said: Path,
    stopped: Callable[[dg.DagsterInstance, BeaconRunLauncher, str, int], None],
    status: RunStatus,
    event: str,
) -> None:
    run_id = launched(instance, launcher, "waiting")
    pid = what(said)["pid"]
    assert launcher.why_dead(instance.get_runs()[0]) is None
    stopped(instance, launcher, run_id, pid)
    becomes(instance, run_id, status)
    wait_for("end of the process", lambda: not psutil.pid_exists(pid))
    wait_for(event, lambda: event in events(instance, run_id), lambda: events(instance, run_id))
    assert "Unable to" not in events(instance, run_id)


def test_a_run_goes_on_without_the_process_that_it_was_forked_from(
    instance: dg.DagsterInstance, launcher: BeaconRunLauncher, said: Path
) -> None:
    run_id = launched(instance, launcher, "waiting")
    server = psutil.Process(what(said)["parent"])
    server.kill()
    wait_for("end of the fork server", lambda: started_at(server.pid) is None)
    said.unlink()
    second = launched(instance, launcher, "waiting")
    assert what(said)["parent"] != server.pid, "another fork server starts with the next run"
    assert (status_of(instance, run_id), dead_runs(instance)) == (RunStatus.STARTED, {})
    Path(f"{said}.go").touch()
    for each in (run_id, second):
        becomes(instance, each, RunStatus.SUCCESS)


def test_a_run_that_cannot_begin_fails(instance: dg.DagsterInstance, launcher: BeaconRunLauncher) -> None:
    not_on_record = LaunchRunContext(a_run(), WORKSPACE)
    with (
        mock.patch.object(instance, "add_run_tags"),
        pytest.raises(DagsterLaunchFailedError, match="could not load run"),
    ):
        launcher.launch_run(not_on_record)


def test_where_no_process_can_be_forked_the_code_server_starts_the_run(
    instance: dg.DagsterInstance, launcher: BeaconRunLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = instance.add_run(a_run())

    def refuses(*_: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(warm_workers._Worker, "start", refuses)
    with mock.patch.object(dg.DefaultRunLauncher, "launch_run") as by_the_code_server:
        launcher.launch_run(LaunchRunContext(run, WORKSPACE))
    assert by_the_code_server.call_count == 1
