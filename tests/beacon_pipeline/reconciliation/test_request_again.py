"""Comparisons, findings and checks whose run failed are requested again by the reconciliation sensor."""

from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import pytest

from beacon_pipeline.defs.sensors.reconciliation import reconciliation_sensor
from beacon_pipeline.execution.resources import LedgerResource
from beacon_pipeline.jobs.dagster_api import (
    CHECKS_JOB,
    COMPARISONS_JOB,
    FINDINGS_JOB,
    INFERENCE_JOB,
    LEDGER_CHECKS_JOB,
)
from beacon_pipeline.monitoring.alerts import state as memories
from beacon_pipeline.monitoring.alerts.causes import RUN_FAILED
from beacon_pipeline.monitoring.alerts.tick import watch
from beacon_pipeline.names import (
    COMPARED_TAG,
    JOB_TAG,
    PARTITION_TAG,
    RANGE_END_TAG,
    RANGE_START_TAG,
    SENSOR_NAME_TAG,
)
from beacon_pipeline.reconciliation.request_again import last_failed
from beacon_pipeline.reconciliation.tick import SENSOR
from tests.beacon_pipeline.homes import make_home, opened
from tests.beacon_pipeline.location import CATALOG, KEYS, Location, Scripted
from tests.beacon_pipeline.scripted import Behaviour

FAILED, DONE = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS
AT_WORK, ENDED_BY_A_PERSON = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELED
BY_SENSOR = {SENSOR_NAME_TAG: "compare_ended_jobs"}
TAGS = {
    COMPARISONS_JOB: {
        RANGE_START_TAG: "tiny-llama|identity_basic",
        RANGE_END_TAG: "tiny-llama|math_basic",
        COMPARED_TAG: "mine",
    },
    FINDINGS_JOB: {PARTITION_TAG: "demo@1", COMPARED_TAG: "mine"},
    LEDGER_CHECKS_JOB: {},
    CHECKS_JOB: {RANGE_START_TAG: KEYS["math_basic"], RANGE_END_TAG: KEYS["math_basic"]},
}


def a_run(status: dg.DagsterRunStatus, *, of: str = "m|q", by: dict[str, str] = BY_SENSOR) -> dg.DagsterRun:
    return dg.DagsterRun(job_name=COMPARISONS_JOB, status=status, tags={PARTITION_TAG: of} | by)


@pytest.mark.parametrize(
    ("newest_first", "again"),
    [
        ([], False),
        ([a_run(FAILED)], True),
        ([a_run(AT_WORK), a_run(FAILED)], False),
        ([a_run(DONE), a_run(FAILED)], False),
        ([a_run(FAILED), a_run(DONE)], True),
        ([a_run(DONE, of="m|another"), a_run(FAILED)], True),
        ([a_run(ENDED_BY_A_PERSON)], False),
        ([a_run(ENDED_BY_A_PERSON), a_run(FAILED)], False),
        ([a_run(FAILED, by={})], False),  # a person's
        ([a_run(FAILED, by={}), a_run(FAILED)], True),  # `beacon reconcile` repeated it
        ([a_run(FAILED)] * 3, True),
        ([a_run(FAILED)] * 4, False),
        ([*[a_run(FAILED)] * 3, a_run(DONE), a_run(FAILED)], True),
    ],
)
def test_what_failed_last_and_not_too_often_is_done_again(
    newest_first: Sequence[dg.DagsterRun], again: bool
) -> None:
    failed = [run.run_id for run in newest_first if run.status is FAILED]
    assert [run.run_id for run in last_failed(newest_first)] == (failed[:1] if again else [])


class Daemon:
    """What the daemon does of the sensor `reconciliation` and of the alerts, in this process."""

    def __init__(self, location: Location) -> None:
        self.location, self.instance = location, location.instance
        self.asked: set[str] = set()  # Dagster launches one run for each key, ever

    def requested(self) -> list[dg.RunRequest]:
        """A tick's requests that Dagster would launch."""
        jobs = [self.location.definitions.resolve_job_def(name) for name in (INFERENCE_JOB, *TAGS)]
        resources = {"ledger": LedgerResource(), "providers": Scripted(self.location.provider)}
        context = dg.build_sensor_context(
            self.instance, definitions=self.location.definitions, resources=resources
        )
        requests = reconciliation_sensor(CATALOG, jobs).evaluate_tick(context).run_requests or []
        fresh = [request for request in requests if str(request.run_key) not in self.asked]
        self.asked |= {str(request.run_key) for request in fresh}
        return fresh

    def killed(self, job: str, tags: dict[str, str]) -> dg.DagsterRun:
        """A run whose process is gone, as run monitoring ends it."""
        run = self.instance.create_run_for_job(
            self.location.definitions.resolve_job_def(job), tags=tags, status=dg.DagsterRunStatus.STARTED
        )
        self.instance.report_run_failed(run, "The run is dead: its process is gone.")
        return run

    def open_alerts(self) -> set[str | None]:
        watch(self.instance, LedgerResource().open, CATALOG)
        return {alert.job for alert in memories.load(self.instance).alerts if alert.cause == RUN_FAILED}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_killed_run_is_requested_again_until_its_alert_is_over(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with opened(make_home(kind, tmp_path, request)) as (instance, _):
        location = Location(instance, Behaviour())
        daemon = Daemon(location)
        location.run(INFERENCE_JOB, KEYS["math_basic"], **{JOB_TAG: "mine"})
        assert daemon.open_alerts() == set()
        killed = {job: daemon.killed(job, tags | BY_SENSOR) for job, tags in TAGS.items()}
        assert daemon.open_alerts() == set(TAGS)

        requests = {str(one.job_name): one for one in daemon.requested()}
        assert {job: one.run_key for job, one in requests.items()} == {
            job: f"again:{run.run_id}" for job, run in killed.items()
        }
        by_this_sensor = {SENSOR_NAME_TAG: SENSOR}
        assert {job: one.tags for job, one in requests.items()} == {
            job: tags | by_this_sensor for job, tags in TAGS.items()
        }
        assert daemon.requested() == [], "each is requested once"
        for job in (COMPARISONS_JOB, LEDGER_CHECKS_JOB, CHECKS_JOB):
            assert location.run(job, **requests[job].tags).is_success
        assert daemon.open_alerts() == {FINDINGS_JOB}, "what succeeded is over"

        daemon.killed(FINDINGS_JOB, dict(requests[FINDINGS_JOB].tags))
        assert [one.job_name for one in daemon.requested()] == [FINDINGS_JOB], "killed again"
        assert len(location.provider.requests) == 1, "no model was asked again"
