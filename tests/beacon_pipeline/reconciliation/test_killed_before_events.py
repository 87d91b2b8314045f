"""kill -9 after the ledger's commit and before Dagster has its events: the sensor corrects what is shown.

A real process on the shipped storages, on both databases, which ends at the very event that it was to store.
"""

import os
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa

from beacon_pipeline.catalog.partitions import key_of
from beacon_pipeline.defs.sensors.reconciliation import reconciliation_sensor
from beacon_pipeline.execution.resources import LedgerResource
from beacon_pipeline.jobs.dagster_api import CHECKS_JOB, INFERENCE_JOB
from beacon_pipeline.jobs.runs import cells_of_run
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.status import Status
from beacon_pipeline.names import INFERENCE, JOB_TAG
from beacon_pipeline.reconciliation.checks import CheckName
from beacon_pipeline.reconciliation.reconcile_all import look
from beacon_pipeline.reconciliation.view import newest_materializations
from tests.beacon_pipeline.homes import make_home, opened
from tests.beacon_pipeline.location import CATALOG, KEYS, Location, Scripted
from tests.beacon_pipeline.scripted import Behaviour

EVERY_CHECK = {name.value for name in CheckName}
FIRST, SECOND = [KEYS[question.id] for question in CATALOG.questions[:2]]
ASSET_MATERIALIZATION = dg.DagsterEventType.ASSET_MATERIALIZATION
ASSET_CHECK_EVALUATION = dg.DagsterEventType.ASSET_CHECK_EVALUATION
# The moment is a call of the storage's, of its kind the so manyth.
MOMENTS = {
    "before the materializations are written": (ASSET_MATERIALIZATION, 2),
    "before the checks are written": (ASSET_CHECK_EVALUATION, 6),
}
WHILE_WRITTEN = "while the checks are written"
# On SQLite a batch is in two files, the run's and that of all runs, with a commit for each.
BETWEEN_FILES = {"between files: the materializations": 1, "between files: the checks": 2}


@pytest.fixture
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return make_home(request.param, tmp_path, request)


def ask_and_die(home: Path, moment: str) -> None:
    """Ask two partitions in a process that is killed at that moment."""
    child = os.fork()
    if child == 0:
        try:
            with opened(home) as (instance, _):
                _die_at(instance.event_log_storage, moment)
                Location(instance, Behaviour()).run(INFERENCE_JOB, FIRST, SECOND, **{JOB_TAG: "mine"})
        finally:
            os._exit(1)  # it was not killed: no test goes on in the copy
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "it came to its end"
    assert os.WTERMSIG(status) == signal.SIGKILL


def _die_at(storage: Any, moment: str) -> None:
    if moment == WHILE_WRITTEN:
        storage._store_of_checks = lambda _, stored: stored and _die()
    elif moment in BETWEEN_FILES:
        _die_between_files(storage, BETWEEN_FILES[moment])
    else:
        _die_before_the_event(storage, *MOMENTS[moment])


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_before_the_event(storage: Any, event_type: dg.DagsterEventType, number: int) -> None:
    store, seen = storage.store_event, 0

    def stores(event: Any) -> None:
        nonlocal seen
        if event.dagster_event and event.dagster_event.event_type is event_type:
            seen += 1
            if seen == number:
                _die()
        store(event)

    storage.store_event = stores


def _die_between_files(storage: Any, number: int) -> None:
    write, batches, commits = storage._write, 0, 0

    def writes(*args: Any) -> None:
        nonlocal batches, commits
        if args[1][0].dagster_event_type in (ASSET_MATERIALIZATION, ASSET_CHECK_EVALUATION):
            batches, commits = batches + 1, 0
        write(*args)

    @sa.event.listens_for(sa.Engine, "commit")  # before it is done
    def commits_one(_: sa.Connection) -> None:
        nonlocal commits
        commits += 1
        if (batches, commits) == (number, 2):
            _die()

    storage._write = writes


class Sensor:
    """The sensor as it is shipped, with its cursor; the runs that a tick requests are run."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self.cursor: str | None = None
        jobs = [location.definitions.resolve_job_def(name) for name in (INFERENCE_JOB, CHECKS_JOB)]
        self.definition = reconciliation_sensor(CATALOG, jobs)

    def tick(self) -> list[dg.DagsterRun]:
        context = dg.build_sensor_context(
            self.location.instance,
            cursor=self.cursor,
            definitions=self.location.definitions,
            resources={"ledger": LedgerResource(), "providers": Scripted(self.location.provider)},
        )
        ticked = self.definition.evaluate_tick(context)
        self.cursor = ticked.cursor
        return [self.location.run(run.job_name, **run.tags) for run in ticked.run_requests or ()]


def checked(instance: dg.DagsterInstance) -> dict[str, set[str]]:
    """The checks that Dagster shows of what each partition shows now."""
    found: dict[str, set[str]] = {}
    newest = newest_materializations(instance, [FIRST, SECOND])
    for name in EVERY_CHECK:
        key = dg.AssetCheckKey(INFERENCE, name)
        for one in instance.event_log_storage.get_asset_check_execution_history(key, limit=100):
            evaluation = one.event.dagster_event.asset_check_evaluation_data  # type: ignore[union-attr]
            target = evaluation.target_materialization_data
            if target and target.storage_id == newest[evaluation.partition].target.storage_id:
                found.setdefault(evaluation.partition, set()).add(name)
    return found


def owed_checks(location: Location, ledger: Ledger) -> set[str]:
    """The partitions that `beacon reconcile` would have checked, besides the runs that heal."""
    providers = Scripted(location.provider)
    seen = look(ledger, location.instance, CATALOG, providers, untouched_for=timedelta(0))
    return {key_of(cell) for launch in seen.checks for cell in cells_of_run(CATALOG, launch.tags)}


@pytest.mark.parametrize(
    ("home", "moment"),
    [
        ("sqlite", "before the materializations are written"),
        ("sqlite", "before the checks are written"),
        ("sqlite", WHILE_WRITTEN),
        ("sqlite", "between files: the materializations"),
        ("sqlite", "between files: the checks"),
        ("postgresql", WHILE_WRITTEN),
    ],
    indirect=["home"],
)
def test_a_partition_without_its_events_is_corrected(home: Path, moment: str) -> None:
    ask_and_die(home, moment)
    with opened(home) as (instance, ledger):
        job = ledger.jobs.named("mine")
        assert job is not None
        assert {e.status for e in ledger.executions.of_job(job.id)} == {Status.COMPLETED}
        (run,) = instance.get_runs()
        instance.report_run_failed(run)  # as run monitoring does when the process is gone
        location = Location(instance, Behaviour())
        whole = {FIRST: EVERY_CHECK, SECOND: EVERY_CHECK}
        # The last one lacks nothing that is shown; the run's own log does, and is not trusted.
        assert (checked(instance) == whole) == (moment == "between files: the checks")
        lacking = {key for key in location.green() if checked(instance).get(key) != EVERY_CHECK}
        assert lacking <= owed_checks(location, ledger)
        sensor = Sensor(location)
        assert sensor.tick(), "the first tick after it"
        assert location.green() == {FIRST, SECOND}
        assert checked(instance) == whole
        assert location.provider.requests == [], "no model was asked"
        assert sensor.tick() == [], "and nothing is left to do"
        assert owed_checks(location, ledger) == set(), "for `beacon reconcile` neither"
