"""Real Dagster instances in folders of their own, used through the command line as a person would."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import dagster as dg
import psutil
from click.testing import CliRunner, Result

# What Dagster keeps of a sensor; it has no public names for it.
from dagster._core.remote_origin import (  # noqa: TID251
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (  # noqa: TID251
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    SensorInstigatorData,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin  # noqa: TID251

from beacon_pipeline.cli import main
from beacon_pipeline.defs.sensors.reconciliation import INTERVAL_SECONDS
from beacon_pipeline.reconciliation.tick import SENSOR
from inference.local.call_store import CallFolder
from tests.waiting import PATIENCE_SECONDS, Seen, end_of, wait_for

ROOT = Path(__file__).parents[2]
BEACON = str(Path(sys.executable).with_name("beacon"))

# The sensor that requests a run of seconds for each job that has ended: beside the point of most tests.
COMPARING = "compare_ended_jobs"
# For `locations.slow`: a process can be killed between two answers, on a busy machine too.
SLOWLY = {"BEACON_TEST_ITEM_SECONDS": "1"}


def environment(
    folder: Path, *, database_url: str | None = None, location: str | None = None
) -> dict[str, str]:
    """The environment of an instance in ``folder``; ``location``: a module to load instead of ours."""
    values = {
        name: value for name, value in os.environ.items() if not name.startswith(("BEACON_", "DAGSTER_"))
    }
    values["DAGSTER_HOME"] = str(folder / "home")
    if database_url:
        values["BEACON_DATABASE_URL"] = database_url
    if location:
        module = {"module_name": location, "location_name": "beacon", "working_directory": str(ROOT)}
        workspace = folder / "workspace.yaml"
        workspace.write_text(json.dumps({"load_from": [{"python_module": module}]}))
        values["BEACON_WORKSPACE"] = str(workspace)
    return values


def beacon(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BEACON, *arguments], env=env, capture_output=True, text=True, check=False)


def beacon_here(env: dict[str, str], *arguments: str) -> Result:
    """A command that starts no run, in this process: a process of its own would import for two seconds."""
    others = {name: None for name in os.environ if name.startswith(("BEACON_", "DAGSTER_"))}
    done = CliRunner().invoke(main, arguments, env=others | env)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def switch_off(env: dict[str, str], *sensors: str) -> None:
    """Let no daemon begin with these sensors on, as if they were switched off in the UI before."""
    assert beacon_here(env, "jobs").exit_code == 0  # now there is an instance
    with opened(env) as instance:
        for name in sensors:
            put_sensor_state(instance, name, running=False)


def switch_reconciliation(env: dict[str, str], way: str) -> None:
    """``start`` or ``stop`` the sensor that heals, as its switch in the UI does."""
    assert beacon_here(env, "jobs").exit_code == 0  # now there is an instance
    with opened(env) as instance:
        put_sensor_state(instance, SENSOR, running=way == "start")
        if way == "stop" and (Path(env["DAGSTER_HOME"]) / "daemon.json").exists():
            _wait_until_the_daemon_knows(instance)


def _wait_until_the_daemon_knows(instance: dg.DagsterInstance) -> None:
    """It reads all switches, and then looks after one sensor after the other: a second look at another
    sensor is of a round that began after the switch, when the last tick by the old one is over."""
    since, other = time.time(), sensor_origin("alerts")
    state = InstigatorState(other, InstigatorType.SENSOR, InstigatorStatus.RUNNING)
    wait_for(
        "two looks of the daemon",
        lambda: len(instance.get_ticks(other.get_id(), state.selector_id, after=since)) >= 2,
    )


def sensor_origin(name: str) -> RemoteInstigatorOrigin:
    """Where Dagster keeps what it knows of a sensor."""
    location = ManagedGrpcPythonEnvCodeLocationOrigin(
        LoadableTargetOrigin(module_name="beacon_pipeline.definitions"), location_name="beacon"
    )
    return RemoteRepositoryOrigin(location, "__repository__").get_instigator_origin(name)


def put_sensor_state(
    instance: dg.DagsterInstance, name: str, *, running: bool, cursor: str | None = None
) -> None:
    """Write what `dagster sensor` writes of a sensor: that command loads a code location."""
    origin = sensor_origin(name)
    status = InstigatorStatus.RUNNING if running else InstigatorStatus.STOPPED
    data = SensorInstigatorData(min_interval=INTERVAL_SECONDS, cursor=cursor)
    state = InstigatorState(origin, InstigatorType.SENSOR, status, data)
    if (stored := instance.get_instigator_state(origin.get_id(), state.selector_id)) is None:
        instance.add_instigator_state(state)
    else:
        kept = stored.instigator_data if cursor is None else data
        instance.update_instigator_state(stored.with_status(status).with_data(kept))


def processes_of(env: dict[str, str]) -> list[str]:
    """The command lines of the processes that still work for this instance when patience ends."""

    def found() -> list[str]:
        commands = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("DAGSTER_HOME") == env["DAGSTER_HOME"]:
                    commands.append(" ".join(process.cmdline()))
        return commands

    deadline = time.monotonic() + PATIENCE_SECONDS
    while (left := found()) and time.monotonic() < deadline:
        time.sleep(0.5)
    return left


@contextmanager
def opened(env: dict[str, str]) -> Iterator[dg.DagsterInstance]:
    """The Dagster instance of an environment, by whose variables its `dagster.yaml` finds its storage."""
    dagsters = {name: value for name, value in env.items() if name.startswith("DAGSTER_")}
    # A patch empties the environment for a moment when it ends, and a command of another thread may read it.
    there = dagsters.items() <= os.environ.items()
    with nullcontext() if there else mock.patch.dict(os.environ, dagsters):
        instance = dg.DagsterInstance.get()
    with instance:
        yield instance


def wait_for_dagster(what: str, env: dict[str, str], seen: Callable[[dg.DagsterInstance], Seen]) -> Seen:
    """The first true result of ``seen``; a failure shows the runs, the backfills and the daemon's log."""
    with opened(env) as instance:
        return wait_for(what, lambda: seen(instance), lambda: _state_of(instance, env), every=0.5)


def _state_of(instance: dg.DagsterInstance, env: dict[str, str]) -> str:
    runs = [f"run {run.run_id[:8]} {run.job_name} {run.status.value}" for run in instance.get_runs(limit=20)]
    backfills = [f"backfill {each.backfill_id} {each.status.value}" for each in instance.get_backfills()]
    return "\n".join((*backfills, *runs, end_of(Path(env["DAGSTER_HOME"]) / "daemon.log")))


def report(env: dict[str, str], *arguments: str) -> dict[str, Any]:
    done = beacon_here(env, "status", "--json", *arguments)
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def witness(env: dict[str, str], name: str) -> list[dict[str, Any]]:
    """What the local provider says it accepted (``submissions``) or generated (``generations``)."""
    path = Path(env["DAGSTER_HOME"]) / "local_calls" / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines() if line] if path.exists() else []


def accepted_calls(env: dict[str, str]) -> list[dict[str, Any]]:
    """The submissions that survive a kill: a line of the witness comes a moment before its call exists."""
    store = Path(env["DAGSTER_HOME"]) / "local_calls"
    return [call for call in witness(env, "submissions") if CallFolder(store, call["call"]).is_accepted]
