"""A command that only waits says for what and since when, and does not wait for ever."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

# A queued run has to say where it is from; Dagster has no public name for that.
from dagster._core.remote_origin import (  # noqa: TID251
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)

from beacon_pipeline.catalog import load_catalog
from beacon_pipeline.instance.dagster_yaml import Kind, write_configuration
from beacon_pipeline.instance.making import opened_instance
from beacon_pipeline.jobs.waiting import IDLE_SECONDS, QUIET_SECONDS, NothingMoves, Patience
from beacon_pipeline.names import DEPLOYMENT_TAG, JOB_TAG

LONGEST = 1000.0
LOCATION = RegisteredCodeLocationOrigin("beacon")
ORIGIN = RemoteJobOrigin(RemoteRepositoryOrigin(LOCATION, "__repository__"), "inference_job")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    write_configuration(tmp_path, Kind.LOCAL, load_catalog("demo"))
    with opened_instance(tmp_path) as opened:
        yield opened


def add_run(instance: dg.DagsterInstance, status: dg.DagsterRunStatus) -> str:
    tags = {DEPLOYMENT_TAG: "eu:tiny-qwen", JOB_TAG: "ask-1"}
    run = dg.DagsterRun(
        job_name="inference_job", run_id=str(uuid.uuid4()), status=status, tags=tags, remote_job_origin=ORIGIN
    )
    return instance.add_run(run).run_id


def test_what_is_waited_for_is_said_and_in_the_end_the_way_out(instance: dg.DagsterInstance) -> None:
    clock = Clock()
    ours = [add_run(instance, dg.DagsterRunStatus.QUEUED) for _ in range(2)]
    before = add_run(instance, dg.DagsterRunStatus.STARTED)
    patience = Patience(instance, ours, LONGEST, clock=clock)
    assert patience.look((8, 0)) is None
    clock.now = QUIET_SECONDS + 1
    told = patience.look((8, 0))
    assert told is not None
    assert told.startswith(
        f"waiting for 2 runs queued; before them is run {before[:8]} (eu:tiny-qwen of job ask-1, started);"
        " unchanged since "
    )
    assert told.endswith("UTC, and no daemon runs")
    assert patience.look((7, 1)) is None, "something moved"
    clock.now += IDLE_SECONDS + 1
    assert patience.look((7, 1)), "a run that works may take its time"
    clock.now += LONGEST
    with pytest.raises(NothingMoves, match=r"2 runs queued.*nothing is lost: `beacon doctor`"):
        patience.look((7, 1))


def test_where_dagster_works_on_nothing_patience_is_short(instance: dg.DagsterInstance) -> None:
    clock = Clock()
    patience = Patience(instance, [add_run(instance, dg.DagsterRunStatus.QUEUED)], LONGEST, clock=clock)
    assert patience.look() is None
    clock.now = IDLE_SECONDS + 1
    with pytest.raises(NothingMoves, match="waiting for 1 run queued; unchanged"):
        patience.look()
