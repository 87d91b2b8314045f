"""Both shipped configurations with a real daemon: runs, a killed worker, cancelling, a schedule's tick."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
import yaml

from beacon_pipeline.catalog import SHIPPED, load_catalog
from beacon_pipeline.execution.resources import LedgerResource
from beacon_pipeline.instance.dagster_yaml import DATABASE_VARIABLE
from beacon_pipeline.instance.folder import console_script
from beacon_pipeline.jobs.cancel import terminate_runs
from beacon_pipeline.jobs.dagster_api import COMPARISONS_JOB, INFERENCE_JOB
from beacon_pipeline.jobs.specification import specified_cells
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.names import (
    COMPARED_TAG,
    COMPARISONS,
    DEPLOYMENT_TAG,
    JOB_TAG,
    SCHEDULE_TAG,
    STATUS_METRICS,
)
from tests.beacon_pipeline.instances import beacon, environment, report, switch_reconciliation, witness
from tests.databases import fresh_postgresql_database
from tests.waiting import PATIENCE_SECONDS, end_of, wait_for

SLOW, FOR_EVER = 4, 10_000  # seconds an item takes; a cancel is seen between two
QUESTIONS = [question.id for question in load_catalog("demo").questions]


@pytest.fixture(params=["local", "production"])
def env(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of an instance of each kind, set for this process too; its intervals are short."""
    values = environment(tmp_path, location="tests.beacon_pipeline.locations.paced")
    if request.param == "production":
        url = fresh_postgresql_database(request.getfixturevalue("postgresql_url"))
        values |= {DATABASE_VARIABLE: url, "BEACON_DATABASE_URL": url}
    values["BEACON_CATALOG"] = str(small_catalog(tmp_path))
    assert "no job yet" in beacon(values, "status").stderr, "and the folder is made"
    shorten_intervals(Path(values["DAGSTER_HOME"]) / "dagster.yaml", request.param)
    for name in ("DAGSTER_HOME", "BEACON_WORKSPACE", "BEACON_DATABASE_URL", "BEACON_CATALOG"):
        monkeypatch.delenv(name, raising=False)
    for name in values.keys() - os.environ.keys():
        monkeypatch.setenv(name, values[name])
    if request.param == "production":
        monkeypatch.setenv(DATABASE_VARIABLE, f"postgresql+psycopg2://{values[DATABASE_VARIABLE][13:]}")
        values[DATABASE_VARIABLE] = os.environ[DATABASE_VARIABLE]
    return values


def small_catalog(folder: Path) -> Path:
    """One model in two regions, and a schedule that is due every minute."""
    made = folder / "catalog"
    shutil.copytree(SHIPPED / "demo", made)
    models = yaml.safe_load((made / "models.yaml").read_text())["models"]
    model = next(model for model in models if model["id"] == "tiny-qwen")
    model |= {"regions": ["us", "eu"], "folder": "."}
    (made / "models.yaml").write_text(json.dumps({"models": [model]}))
    schedule = {"cron": "* * * * *", "categories": ["control"]}
    (made / "settings.yaml").write_text(json.dumps({"schedules": {"every_minute": schedule}}))
    return made


def shorten_intervals(path: Path, kind: str) -> None:
    text = path.read_text()
    assert text.startswith(f"# Made by Beacon at each start from its {kind} configuration")
    configuration = yaml.safe_load(text)
    storage = {"local": "PooledSqliteStorage", "production": "PooledPostgresStorage"}[kind]
    assert configuration["storage"]["custom"]["class"] == storage
    configuration["run_monitoring"] |= {"poll_interval_seconds": 1}
    path.write_text(yaml.safe_dump(configuration))


@contextmanager
def daemon(env: dict[str, str], log: Path) -> Iterator[None]:
    with log.open("ab") as output:
        command = [console_script("dagster-daemon"), "run", "-w", env["BEACON_WORKSPACE"]]
        process = subprocess.Popen(command, env=env, stdout=output, stderr=output, start_new_session=True)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE_SECONDS)
        finally:
            with_its_children = process.pid
            if process.poll() is None:
                os.killpg(with_its_children, signal.SIGKILL)


class Life:
    """One instance and its ledger, driven by the command line and watched."""

    def __init__(
        self, env: dict[str, str], folder: Path, instance: dg.DagsterInstance, ledger: Ledger
    ) -> None:
        self.env, self.folder, self.instance, self.ledger = env, folder, instance, ledger
        self.log = folder / "daemon.log"

    def pace(self, seconds: float) -> None:
        """How long an item takes from now on."""
        path = Path(self.env["DAGSTER_HOME"]) / "pace"
        path.with_suffix(".new").write_text(str(seconds))
        path.with_suffix(".new").replace(path)

    def submit_and_hold(self, name: str, region: str) -> None:
        """Ask all questions; hold the model after the first answers."""
        generated = len(witness(self.env, "generations"))
        self.pace(FOR_EVER)  # or a slow `submit` returns when all is answered
        self.submit(name, region, QUESTIONS)
        self.pace(0.5)
        self.wait_for("generation", lambda: len(witness(self.env, "generations")) > generated)
        self.pace(FOR_EVER)

    def wait_for(self, what: str, seen: Callable[[], bool]) -> None:
        wait_for(what, seen, lambda: end_of(self.log), every=0.2)

    def submit(self, name: str, region: str, questions: list[str]) -> None:
        path = self.folder / f"{name}.yaml"
        models = [{"id": "tiny-qwen", "regions": [region]}]
        path.write_text(json.dumps({"name": name, "questions": questions, "models": models}))
        done = beacon(self.env, "submit", str(path), "--no-follow", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["executions"] == len(questions)

    def run(self, job: str) -> dg.DagsterRun:
        """The one inference run of a job."""
        wanted = dg.RunsFilter(job_name=INFERENCE_JOB, tags={JOB_TAG: job})
        (run,) = self.instance.get_runs(wanted)
        return run

    def wait_for_run(self, job: str, *statuses: dg.DagsterRunStatus) -> None:
        self.wait_for(f"run of {job} in {statuses}", lambda: self.run(job).status in statuses)

    def by_status(self, job: str) -> dict[str, int]:
        found = self.ledger.jobs.named(job)
        return self.ledger.aggregates.counts(found.id).by_status if found else {}


@pytest.mark.long
def test_one_life_of_an_instance(env: dict[str, str], tmp_path: Path) -> None:
    switch_reconciliation(env, "stop")  # it would heal what the killed run left, before we look
    with (
        dg.DagsterInstance.from_config(env["DAGSTER_HOME"]) as instance,
        LedgerResource().open() as ledger,
        daemon(env, tmp_path / "daemon.log"),
    ):
        life = Life(env, tmp_path, instance, ledger)
        a_killed_worker_is_noticed_and_its_place_is_freed(life)
        if DATABASE_VARIABLE in env:  # once is enough: none of it depends on the storage
            cancelling_a_job_that_nothing_runs_any_more(life)
            terminating_in_the_ui_cancels_the_calls(life)
            terminating_what_was_only_queued(life)
        a_tick_of_a_schedule_is_a_job(life)
        the_figures_were_taken(life)
        what_has_ended_was_compared(life)


def a_killed_worker_is_noticed_and_its_place_is_freed(life: Life) -> None:
    life.submit_and_hold("killed", "eu")
    life.submit("behind-it", "eu", QUESTIONS[:1])
    assert life.run("behind-it").status is dg.DagsterRunStatus.QUEUED, "one deployment, one run at once"
    assert life.run("killed").tags[DEPLOYMENT_TAG] == "eu:tiny-qwen"
    os.kill(int(witness(life.env, "generations")[0]["process"]), signal.SIGKILL)
    life.pace(0)
    life.wait_for_run("killed", dg.DagsterRunStatus.FAILURE)
    life.wait_for_run("behind-it", dg.DagsterRunStatus.SUCCESS)
    assert life.by_status("behind-it") == {"completed": 1}
    assert life.by_status("killed") == {"dispatched": 8}, "unknown is not failed"


def cancelling_a_job_that_nothing_runs_any_more(life: Life) -> None:
    done = beacon(life.env, "cancel", "killed")
    assert "0 runs stopped; 8 executions cancelled" in done.stdout, done.stderr
    assert done.returncode == 0
    assert life.by_status("killed") == {"cancelled": 8}


def terminating_in_the_ui_cancels_the_calls(life: Life) -> None:
    life.submit_and_hold("terminated", "us")
    life.pace(SLOW)
    assert terminate_runs(life.instance, [life.run("terminated").run_id]) == {}
    life.wait_for_run("terminated", dg.DagsterRunStatus.CANCELED)
    assert life.by_status("terminated") == {"cancelled": 8}
    job = life.ledger.jobs.named("terminated")
    assert job is not None
    (call,) = {
        e.newest_call.id: e.newest_call for e in life.ledger.executions.of_job(job.id) if e.newest_call
    }.values()
    assert call.cancel_requested_at is not None
    assert call.status == "cancelled"


def terminating_what_was_only_queued(life: Life) -> None:
    life.submit_and_hold("running", "us")
    life.submit("queued", "us", QUESTIONS[:2])
    assert life.run("queued").status is dg.DagsterRunStatus.QUEUED
    assert terminate_runs(life.instance, [life.run("queued").run_id]) == {}
    assert life.run("queued").status is dg.DagsterRunStatus.CANCELED
    life.pace(SLOW)
    done = beacon(life.env, "cancel", "running")
    assert "1 runs stopped; 8 executions cancelled, 0 completed, 0 still open" in done.stdout, done.stderr
    assert life.run("running").status is dg.DagsterRunStatus.CANCELED
    life.wait_for("cancelled executions", lambda: life.by_status("queued") == {"cancelled": 2})


def a_tick_of_a_schedule_is_a_job(life: Life) -> None:
    life.pace(0)
    switch = [console_script("dagster"), "schedule"]
    workspace = ["every_minute", "-w", life.env["BEACON_WORKSPACE"]]
    subprocess.run([*switch, "start", *workspace], env=life.env, check=True, capture_output=True)

    def asked() -> list[str]:
        return [job.job_name for job in life.ledger.jobs.newest() if job.source == "schedule"]

    life.wait_for("tick", lambda: bool(asked()))
    subprocess.run([*switch, "stop", *workspace], env=life.env, check=True, capture_output=True)
    first = asked()[-1]
    assert first.startswith("every_minute-20")
    life.wait_for("answers", lambda: life.by_status(first) == {"completed": 6})
    runs = life.instance.get_runs(dg.RunsFilter(tags={JOB_TAG: first, SCHEDULE_TAG: "every_minute"}))
    assert len(runs) == 2, "one run for each deployment"
    job = life.ledger.jobs.named(first)
    assert job is not None
    assert specified_cells(job.specification) == [e.cell for e in life.ledger.executions.of_job(job.id)]
    assert report(life.env, "--job", first)["mismatches"] == 0


def the_figures_were_taken(life: Life) -> None:
    life.wait_for(
        "metrics", lambda: life.instance.get_latest_materialization_event(STATUS_METRICS) is not None
    )


def what_has_ended_was_compared(life: Life) -> None:
    """The sensor `compare_ended_jobs` of this daemon saw the job's end, and nobody asked for it."""
    wanted = dg.RunsFilter(job_name=COMPARISONS_JOB, tags={COMPARED_TAG: "behind-it"})

    def succeeded() -> bool:
        runs = life.instance.get_runs(wanted)
        return len(runs) == 1 and runs[0].status is dg.DagsterRunStatus.SUCCESS

    life.wait_for("comparison", succeeded)
    assert f"tiny-qwen|{QUESTIONS[0]}" in life.instance.get_materialized_partitions(COMPARISONS)
