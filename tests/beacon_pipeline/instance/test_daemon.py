"""Which daemon a command uses: one that lives and works with its own environment, or one of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import dagster as dg
import psutil
import pytest

# How a daemon reports itself; Dagster has no public name for it.
from dagster._daemon.types import DaemonHeartbeat

from beacon_pipeline.catalog import load_catalog
from beacon_pipeline.instance.daemon import Daemon, is_alive
from beacon_pipeline.instance.daemon_record import DaemonRecord, differing, read_record, record_file
from beacon_pipeline.instance.dagster_yaml import InstanceError
from beacon_pipeline.instance.folder import console_script
from beacon_pipeline.instance.processes import ProcessIdentity, this_machine
from beacon_pipeline.jobs.job_making import make_job
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Cell
from tests.beacon_pipeline.instances import (
    BEACON,
    SLOWLY,
    beacon_here,
    environment,
    processes_of,
    report,
    witness,
)
from tests.ports import free_port
from tests.waiting import PATIENCE_SECONDS, end_of, wait_for

CATALOG = load_catalog("demo")
JOB = "questions: [math_basic]\nmodels: [{id: tiny-llama, regions: [eu]}]\n"


@pytest.mark.parametrize(("ago", "alive"), [(1, True), (60, True), (70, False), (-5, True), (-3600, False)])
def test_only_a_recent_report_is_that_of_a_living_daemon(
    instance: dg.DagsterInstance, ago: float, alive: bool
) -> None:
    assert not is_alive(instance)
    instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() - ago, "SENSOR", "an id", []))
    assert is_alive(instance) == alive


def test_a_daemon_that_was_killed_is_not_alive_whatever_it_reported(instance: dg.DagsterInstance) -> None:
    instance.add_daemon_heartbeat(DaemonHeartbeat(time.time(), "SENSOR", "an id", []))
    with a_sleeper() as sleeper:
        DaemonRecord.of(sleeper.pid, ()).write()
        assert is_alive(instance)
    assert not is_alive(instance)


def test_a_daemon_with_another_environment_is_not_used(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEACON_ALERT_URLS", "json://u:hunter2@h")
    with a_sleeper() as sleeper:
        DaemonRecord.of(sleeper.pid, ()).write()
        text = record_file().read_text()
        assert "hunter2" not in text
        assert record_file().stat().st_mode & 0o077 == 0
        with Daemon(instance, CATALOG):
            pass
        assert sleeper.poll() is None, "it was used, and it is another's"
        monkeypatch.setenv("BEACON_ALERT_URLS", "json://u:hunter3@h")
        monkeypatch.setenv("BEACON_CATALOG", "production")
        with pytest.raises(InstanceError) as raised:
            Daemon(instance, CATALOG).ensure()
        assert "BEACON_ALERT_URLS, BEACON_CATALOG are not the same there" in str(raised.value)
        assert f"process {os.getpid()}" in str(raised.value)
        assert "hunter" not in str(raised.value)


def test_what_is_the_same_however_it_is_written(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert instance
    monkeypatch.setenv("A_KEY", "one")
    record = DaemonRecord.of(1, {"A_KEY"})
    monkeypatch.setenv("BEACON_CATALOG", "demo")
    monkeypatch.setenv("UNRELATED", "1")
    assert differing(record, {"A_KEY"}) == []
    monkeypatch.setenv("A_KEY", "two")
    assert differing(record, {"A_KEY"}) == ["A_KEY"]
    monkeypatch.setenv("BEACON_CATALOG", "somewhere")
    monkeypatch.chdir(tmp_path)
    record = DaemonRecord.of(1, ())
    monkeypatch.chdir("/")
    assert differing(record, ()) == ["BEACON_CATALOG"], "a relative path is another folder elsewhere"


def test_a_daemon_whose_command_was_killed_is_ended_and_replaced(instance: dg.DagsterInstance) -> None:
    with a_sleeper() as command:
        owner = ProcessIdentity(machine=this_machine(), pid=command.pid, seen_at=time.time())
    with a_sleeper() as orphan:
        DaemonRecord.of(orphan.pid, ()).model_copy(update={"owner": owner}).write()
        with Daemon(instance, CATALOG):
            assert orphan.wait(PATIENCE_SECONDS) == -signal.SIGTERM
            record = read_record()
            assert record is not None
            assert (record.owner.pid, record.process.pid != orphan.pid) == (os.getpid(), True)
            daemon = psutil.Process(record.process.pid)
            assert console_script("dagster-daemon") in daemon.cmdline()
        assert not daemon.is_running()
    assert read_record() is None


def test_a_daemon_that_ends_again_and_again_is_an_error(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "workspace.yaml"
    broken.write_text("load_from: 7\n")
    monkeypatch.setenv("BEACON_WORKSPACE", str(broken))

    def insist() -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        with Daemon(instance, CATALOG) as daemon:
            while time.monotonic() < deadline:
                daemon.ensure()
                time.sleep(0.1)

    with pytest.raises(InstanceError, match=r"ended 3 times: .*daemon\.log says why"):
        insist()


@contextmanager
def a_sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


QUESTIONS = ("geography_basic", "math_basic", "taiwan_status")  # asked for seconds, and not longer
SELECTION = ("--region", "eu", "--model", "tiny-llama", *(f"--question={name}" for name in QUESTIONS))
TERMINATED, INTERRUPTED = 128 + signal.SIGTERM, 1  # exit codes: a shell's, and click's


def begun(env: dict[str, str], folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """A command at work, that writes to ``folder/log``."""
    with (folder / "log").open("wb") as log:
        return subprocess.Popen([BEACON, *arguments], env=env, stdout=log, stderr=log, cwd=folder)


@pytest.mark.parametrize(
    ("command", "number", "code"),
    [
        ("run", signal.SIGTERM, TERMINATED),
        pytest.param("run", signal.SIGINT, INTERRUPTED, marks=pytest.mark.long),
        pytest.param("reconcile", signal.SIGTERM, TERMINATED, marks=pytest.mark.long),
        pytest.param("reconcile", signal.SIGINT, INTERRUPTED, marks=pytest.mark.long),
    ],
)
def test_a_command_that_is_ended_in_mid_batch_takes_its_daemon_along(
    tmp_path: Path, command: str, number: signal.Signals, code: int
) -> None:
    env = environment(tmp_path, location="tests.beacon_pipeline.locations.slow") | SLOWLY
    if command == "reconcile":
        intend(env, CATALOG.cells(["eu"], ["tiny-llama"], QUESTIONS))
    running = begun(env, tmp_path, command, *(SELECTION if command == "run" else ()))
    wait_for("answer", lambda: witness(env, "generations"), lambda: end_of(tmp_path / "log"))
    running.send_signal(number)
    assert running.wait(PATIENCE_SECONDS) == code, (tmp_path / "log").read_text()
    assert not (Path(env["DAGSTER_HOME"]) / "daemon.json").exists()
    assert processes_of(env) == [], "the run in hand comes to its end, and nothing else goes on"
    assert report(env)["by_status"]["failed"] == 0


@pytest.mark.parametrize(
    ("arguments", "number", "code"),
    [
        (("submit", "job.yaml"), signal.SIGINT, INTERRUPTED),
        # That SIGTERM ends `beacon dev` is seen at the end of `defs/test_ui`.
        pytest.param(("dev", "--port", "PORT"), signal.SIGINT, 0, marks=pytest.mark.long),
        pytest.param(("submit", "job.yaml"), signal.SIGTERM, TERMINATED, marks=pytest.mark.long),
    ],
)
def test_other_commands_that_are_ended_leave_no_process(
    tmp_path: Path, arguments: tuple[str, ...], number: signal.Signals, code: int
) -> None:
    env = environment(tmp_path, location="tests.beacon_pipeline.locations.slow")
    (tmp_path / "job.yaml").write_text(JOB)
    running = begun(env, tmp_path, *(str(free_port()) if word == "PORT" else word for word in arguments))
    record = Path(env["DAGSTER_HOME"]) / "daemon.json"
    wait_for("daemon", record.exists, lambda: end_of(tmp_path / "log"))
    running.send_signal(number)
    assert running.wait(PATIENCE_SECONDS) == code, (tmp_path / "log").read_text()
    assert not record.exists()
    assert processes_of(env) == []


@pytest.mark.long  # a code server misses its daemon for 20 s before it ends
def test_what_a_killed_daemon_leaves_ends_by_itself(tmp_path: Path) -> None:
    """Nobody is left to end the code server, nor the run that it works on, which comes to its end."""
    env = environment(tmp_path, location="tests.beacon_pipeline.locations.slow") | SLOWLY
    running = begun(env, tmp_path, "run", *SELECTION)
    wait_for("answer", lambda: witness(env, "generations"), lambda: end_of(tmp_path / "log"))
    record = DaemonRecord.model_validate_json((Path(env["DAGSTER_HOME"]) / "daemon.json").read_text())
    running.kill()
    record.process.send(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    assert processes_of(env) == []
    after = report(env)
    by_status = after["by_status"]  # what no run had begun yet stays pending
    assert (by_status["dispatched"], by_status["failed"], after["mismatches"]) == (0, 0, 0)
    assert by_status["completed"] >= 1
    assert by_status["completed"] + by_status["pending"] == len(QUESTIONS)


def intend(env: dict[str, str], cells: Sequence[Cell]) -> None:
    """A job whose run never came to ask these cells."""
    assert beacon_here(env, "jobs").exit_code == 0  # now there is a ledger
    with closing(Ledger(f"sqlite:///{env['DAGSTER_HOME']}/ledger.db")) as ledger:
        make_job(ledger, CATALOG, "mine", cells, source="submit", actor="test")
