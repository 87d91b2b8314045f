"""Runs whose process is gone are told from those that live, and end; whatever else died with it."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import dagster as dg
import pytest

# What a run's process writes of itself; Dagster has no public name for it.
from dagster._core.errors import DagsterUserCodeUnreachableError  # noqa: TID251
from dagster._core.events import EngineEventData  # noqa: TID251

from beacon_pipeline.catalog import load_catalog
from beacon_pipeline.instance import run_launcher
from beacon_pipeline.instance.dagster_yaml import (
    Kind,
    write_configuration,
)
from beacon_pipeline.instance.dead_runs import dead_runs, end_dead_runs
from beacon_pipeline.instance.making import opened_instance
from beacon_pipeline.instance.processes import (
    Machine,
    ProcessIdentity,
    ProcessState,
    judge,
    started_at,
    this_machine,
    this_process,
)
from beacon_pipeline.instance.run_queue import longest_run_seconds
from beacon_pipeline.jobs.cancel import terminate_runs
from beacon_pipeline.monitoring.alerts.grouping import Failing
from beacon_pipeline.monitoring.alerts.sources.runs import first_positions, read_runs
from beacon_pipeline.monitoring.doctor import examine_instance
from beacon_pipeline.names import CODE_SERVER_TAG, LAUNCHER_TAG
from tests.waiting import PATIENCE_SECONDS, wait_for

RunStatus = dg.DagsterRunStatus
HERE = Machine("host", "boot", "pid:[1]")
A_WHILE_AGO = 1000.0  # seconds
CODE_SERVER = '{"host": "localhost", "socket": "/nowhere/dagster"}'  # nobody listens there


@pytest.mark.parametrize(
    ("machine", "started", "state"),
    [
        (HERE, 99.0, ProcessState.ALIVE),
        (HERE, 101.0, ProcessState.ALIVE),  # clocks are not read alike
        (HERE, 200.0, ProcessState.GONE),  # another program has its id by now
        (HERE, None, ProcessState.GONE),
        (Machine("host", "earlier", "pid:[1]"), 99.0, ProcessState.GONE),
        (Machine("host", "boot", "pid:[2]"), 99.0, ProcessState.ELSEWHERE),
        (Machine("another", "another boot", "pid:[1]"), 99.0, ProcessState.ELSEWHERE),
        (Machine("", "", ""), 99.0, ProcessState.ELSEWHERE),
    ],
)
def test_which_process_is_meant(machine: Machine, started: float | None, state: ProcessState) -> None:
    assert judge(ProcessIdentity(machine=machine, pid=7, seen_at=100.0), HERE, started) is state


def test_a_process_that_waits_to_be_buried_is_gone() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    wait_for("end of a process", lambda: started_at(child.pid) is None, every=0.01)
    assert child.wait() == 0
    assert started_at(os.getpid()) is not None


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An instance folder as `beacon` makes it."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    write_configuration(tmp_path, Kind.LOCAL, load_catalog("demo"))
    return tmp_path


@pytest.fixture
def instance(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.delenv("DAGSTER_POSTGRES_URL", raising=False)
    with opened_instance(folder) as opened:
        yield opened


@contextmanager
def a_process(code: str = "import time; time.sleep(600)") -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def ended_process() -> int:
    with a_process() as process:
        return process.pid


def launched(machine: Machine | None = None, pid: int | None = None, ago: float = 0) -> str:
    process = ProcessIdentity(
        machine=machine or this_machine(), pid=pid or os.getpid(), seen_at=time.time() - ago
    )
    return process.model_dump_json()


def a_run(
    instance: dg.DagsterInstance,
    status: RunStatus,
    *,
    launcher: str | None,
    worker: int | None = None,
    ago: float = 0,
) -> str:
    """A run as it is on record: by whom it was launched, and what process it said it has, how long ago."""
    tags = {CODE_SERVER_TAG: CODE_SERVER} | ({LAUNCHER_TAG: launcher} if launcher else {})
    run = instance.add_run(
        dg.DagsterRun(job_name="job", run_id=str(uuid.uuid4()), status=RunStatus.STARTING, tags=tags)
    )
    if worker is not None:
        event = dg.DagsterEvent(
            dg.DagsterEventType.ENGINE_EVENT.value,
            "job",
            event_specific_data=EngineEventData.in_process(worker),
            message=f"Started process for run (pid: {worker}).",
        )
        instance.report_dagster_event(event, run.run_id, timestamp=time.time() - ago)
    if status is RunStatus.STARTED:
        begun = dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, "job")
        instance.report_dagster_event(begun, run.run_id, timestamp=time.time() - ago)
    if status is RunStatus.CANCELING:
        instance.report_run_canceling(run)
    return run.run_id


def status_of(instance: dg.DagsterInstance, run_id: str) -> RunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


ANOTHER_HOST = Machine("another", "boot", "pid:[1]")
BEFORE_THE_REBOOT = Machine(this_machine().host, "an earlier boot", this_machine().namespace)
ALIVE, ENDED, NONE = "alive", "ended", "none"


@pytest.mark.parametrize(
    ("status", "worker", "worker_ago", "launched_by", "becomes"),
    [
        (RunStatus.STARTED, ALIVE, 0, partial(launched), RunStatus.STARTED),
        (RunStatus.STARTED, ENDED, 0, partial(launched), RunStatus.FAILURE),
        (
            RunStatus.STARTED,
            ALIVE,
            A_WHILE_AGO,
            partial(launched),
            RunStatus.FAILURE,
        ),  # its id was used again
        (RunStatus.STARTED, ALIVE, 0, partial(launched, BEFORE_THE_REBOOT), RunStatus.FAILURE),
        (RunStatus.STARTED, ENDED, 0, partial(launched, ANOTHER_HOST), RunStatus.STARTED),
        (RunStatus.STARTED, ENDED, 0, None, RunStatus.STARTED),  # launched by an older version
        (RunStatus.STARTING, NONE, 0, partial(launched), RunStatus.STARTING),
        (RunStatus.STARTING, NONE, 0, partial(launched, pid=2**30), RunStatus.FAILURE),
        (RunStatus.STARTING, NONE, 0, partial(launched, ago=A_WHILE_AGO), RunStatus.FAILURE),
        (RunStatus.STARTING, NONE, 0, None, RunStatus.STARTING),
        (RunStatus.STARTING, ENDED, 0, partial(launched), RunStatus.FAILURE),
        (RunStatus.CANCELING, ALIVE, 0, partial(launched), RunStatus.CANCELING),
        (RunStatus.CANCELING, ENDED, 0, partial(launched), RunStatus.CANCELED),
    ],
)
def test_dead_runs_end(
    instance: dg.DagsterInstance,
    status: RunStatus,
    worker: str,
    worker_ago: float,
    launched_by: Callable[[], str] | None,
    becomes: RunStatus,
) -> None:
    with a_process() as living:
        pid = {ALIVE: living.pid, ENDED: ended_process(), NONE: None}[worker]
        launcher = launched_by() if launched_by else None
        run_id = a_run(instance, status, launcher=launcher, worker=pid, ago=worker_ago)
        ended = end_dead_runs(instance)
        assert status_of(instance, run_id) is becomes
        assert (run_id in ended) == (becomes is not status)


def test_a_run_on_another_host_is_given_up_when_no_code_server_serves_it_for_long(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = a_run(instance, RunStatus.STARTED, launcher=launched(ANOTHER_HOST), worker=os.getpid())
    run = instance.get_run_by_id(run_id)
    assert run is not None
    assert instance.run_launcher.check_run_worker_health(run).status.value == "RUNNING"
    monkeypatch.setattr(run_launcher, "ELSEWHERE_SECONDS", 0.0)
    health = instance.run_launcher.check_run_worker_health(run)
    assert health.status.value == "FAILED"
    assert "on another, whose code server cannot be reached" in (health.msg or "")


def test_a_run_that_outlasts_every_limit_of_the_catalog_is_ended(folder: Path) -> None:
    file = folder / "dagster.yaml"
    text = file.read_text().split("\n", 1)[1]
    limit = f"longest_run_seconds: {longest_run_seconds(load_catalog('demo'))}"
    assert limit in text
    file.write_text(text.replace(limit, "longest_run_seconds: 100"))
    with opened_instance(folder) as instance, a_process() as living:
        run_id = a_run(instance, RunStatus.STARTED, launcher=launched(), worker=living.pid, ago=0)
        run = instance.get_run_by_id(run_id)
        assert run is not None
        assert instance.run_launcher.check_run_worker_health(run).status.value == "RUNNING"
        begun = dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, "job")
        instance.report_dagster_event(begun, run_id, timestamp=time.time() - 101)
        health = instance.run_launcher.check_run_worker_health(run)
        assert (health.status.value, "longer than 100 s" in (health.msg or "")) == ("FAILED", True)
        assert living.wait(PATIENCE_SECONDS) == -signal.SIGKILL


def test_stopping_needs_no_code_server(instance: dg.DagsterInstance) -> None:
    wait, end = "print(flush=True); time.sleep(600)", "raise SystemExit(7)"
    interruptible = f"import time\ntry:\n  {wait}\nexcept KeyboardInterrupt:\n  {end}"
    with a_process(interruptible) as living:
        assert living.stdout is not None
        living.stdout.readline()
        lives = a_run(instance, RunStatus.STARTED, launcher=launched(), worker=living.pid)
        gone = a_run(instance, RunStatus.STARTED, launcher=launched(), worker=ended_process())
        elsewhere = a_run(instance, RunStatus.STARTED, launcher=launched(ANOTHER_HOST), worker=1)
        with pytest.raises(DagsterUserCodeUnreachableError):
            instance.run_launcher.terminate(elsewhere)
        assert terminate_runs(instance, [lives, gone, elsewhere]) == {}
        assert living.wait(PATIENCE_SECONDS) == 7, "it was interrupted, as by its code server"
    assert status_of(instance, lives) is RunStatus.CANCELING, "the run itself says how it ended"
    assert status_of(instance, gone) is RunStatus.CANCELED
    assert status_of(instance, elsewhere) is RunStatus.CANCELED
    assert terminate_runs(instance, [gone]) == {gone: "it has ended"}


def test_a_dead_run_is_named_by_the_doctor_and_by_an_alert(
    instance: dg.DagsterInstance, folder: Path
) -> None:
    (before,) = examine_instance(folder)
    assert (before.ok, before.detail) == (True, "0 runs at work, none is dead; no daemon runs")
    positions = first_positions(instance, datetime.now(UTC))
    pid = ended_process()
    run_id = a_run(instance, RunStatus.STARTED, launcher=launched(), worker=pid)
    (found,) = examine_instance(folder)
    assert (found.subject, found.ok) == (f"run {run_id[:8]}", False)
    why = f"its process {pid} on {this_process().machine.host} is gone"
    assert why in found.detail
    assert "`beacon reconcile`" in found.detail
    assert status_of(instance, run_id) is RunStatus.STARTED, "the doctor only looks"
    end_dead_runs(instance)
    assert dead_runs(instance) == {}
    (told,) = read_runs(instance, None, positions, datetime.now(UTC))[0]
    assert isinstance(told, Failing)
    assert (told.cause, told.detail) == ("run_failed", f"The run is dead: {why}.")


def test_the_doctor_tells_an_instance_that_would_not_notice(folder: Path) -> None:
    assert examine_instance(folder / "nothing-yet") == []
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    (found,) = examine_instance(folder)
    assert (found.ok, "no `run_launcher` of Beacon" in found.detail) == (False, True)
