"""The runs that heal: which executions share one, which goes first, and how they are told apart."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest

from beacon_pipeline.catalog import load_catalog
from beacon_pipeline.catalog.partitions import key_ranges
from beacon_pipeline.jobs.dagster_api import INFERENCE_JOB
from beacon_pipeline.ledger.records import Execution
from beacon_pipeline.ledger.status import Status
from beacon_pipeline.names import HEALING_REASON_TAG, HEALING_TAG, JOB_TAG, WRONG_TAG
from beacon_pipeline.reconciliation.inspect import Inspection
from beacon_pipeline.reconciliation.reconcile import Repair
from beacon_pipeline.reconciliation.repair_runs import HEALING_RUNS, HealingRun, healing_runs, tries_so_far
from tests.beacon_pipeline.executions import MOMENT, a_call, an_execution, attempts

CATALOG = load_catalog("demo")
JOBS = {"j1": "job-1", "j2": "job-2"}
QUESTIONS = [question.id for question in CATALOG.questions]


def wrong(question: int, minutes: int = 0, job: str = "j1", **changes: Any) -> Execution:
    """A failed execution of the catalog's nth question, that many minutes after the first."""
    at = MOMENT + timedelta(minutes=minutes)
    values = {"id": f"{job}-{question}", "job_id": job, "question": QUESTIONS[question], "updated_at": at}
    return an_execution(Status.FAILED, **values | changes)


def examined(execution: Execution, repair: Repair = Repair.ATTACH) -> Inspection:
    return Inspection(execution, None, repair, "local")


def planned(*looked_at: Inspection) -> list[tuple[str, Repair, list[str]]]:
    return [
        (run.job_name, run.repair, [e.id for e in run.executions])
        for run in healing_runs(CATALOG, JOBS, looked_at)
    ]


def test_neighbours_of_one_job_and_one_healing_share_a_run() -> None:
    together = [examined(wrong(n)) for n in (1, 0, 2)]
    assert planned(*together) == [("job-1", Repair.ATTACH, ["j1-0", "j1-1", "j1-2"])]
    assert planned(*together[:2], examined(wrong(4))) == [
        ("job-1", Repair.ATTACH, ["j1-0", "j1-1"]),
        ("job-1", Repair.ATTACH, ["j1-4"]),
    ]


def test_jobs_and_healings_are_kept_apart() -> None:
    assert planned(
        examined(wrong(0)), examined(wrong(1), Repair.REDISPATCH), examined(wrong(1, minutes=1, job="j2"))
    ) == [
        ("job-1", Repair.ATTACH, ["j1-0"]),
        ("job-1", Repair.REDISPATCH, ["j1-1"]),
        ("job-2", Repair.ATTACH, ["j2-1"]),
    ]


def test_only_what_needs_a_run_gets_one() -> None:
    got = [repair for _, repair, _ in planned(*(examined(wrong(n), h) for n, h in enumerate(Repair)))]
    assert set(got) == {Repair.ATTACH, Repair.REDISPATCH, Repair.CORRECT_DAGSTER}


def test_the_run_of_the_oldest_execution_goes_first() -> None:
    late, early = wrong(0, minutes=5), wrong(2, minutes=3)
    assert [ids for _, _, ids in planned(examined(late), examined(early))] == [["j1-2"], ["j1-0"]]
    with_an_old_one = [examined(late), examined(wrong(1, minutes=1)), examined(wrong(4, minutes=2))]
    assert [ids for _, _, ids in planned(*with_an_old_one)] == [["j1-0", "j1-1"], ["j1-4"]]
    (first, _) = healing_runs(CATALOG, JOBS, with_an_old_one)
    assert first.oldest == MOMENT + timedelta(minutes=1)
    assert (first.tries, HEALING_RUNS) == (0, 3), "three runs for one wrong thing"


def a_run(execution: Execution, repair: Repair = Repair.ATTACH, tries: int = 0) -> HealingRun:
    (keys,) = key_ranges(CATALOG, [execution.cell])
    return HealingRun("job-1", repair, keys, (execution,), tries)


def test_what_is_wrong_has_another_name_when_anything_about_it_changes() -> None:
    execution = wrong(0)
    changed = [
        a_run(replace(execution, id="another")),
        a_run(replace(execution, status=Status.TIMED_OUT)),
        a_run(replace(execution, attempts=attempts(a_call()))),
        a_run(replace(execution, updated_at=MOMENT + timedelta(microseconds=1))),
        a_run(execution, Repair.REDISPATCH),
    ]
    names = {run.fingerprint for run in [a_run(execution), *changed]}
    assert {len(name) for name in names} == {16}, "as on record in the tags of runs"
    assert len(names) == 6
    assert (
        a_run(execution).fingerprint == a_run(replace(execution, failure_message="other words")).fingerprint
    )


def test_a_fingerprint_is_as_on_record_so_that_an_upgrade_forgets_no_try() -> None:
    (keys,) = key_ranges(CATALOG, [wrong(0).cell])
    run = HealingRun("job-1", Repair.ATTACH, keys, (wrong(0), wrong(1)))
    assert run.fingerprint == "07100206e638e831"


def test_each_try_has_a_run_key_of_its_own() -> None:
    first, second = (a_run(wrong(0), tries=n) for n in (0, 1))
    assert first.fingerprint == second.fingerprint
    assert (first.run_key, second.run_key) == (f"{first.fingerprint}:0", f"{first.fingerprint}:1")


@pytest.mark.parametrize(
    ("repair", "promise"),
    [
        (Repair.ATTACH, "no model is asked again"),
        (Repair.REDISPATCH, "asked again, within the attempt budget"),
        (Repair.CORRECT_DAGSTER, "from the ledger, no model is asked"),
    ],
)
def test_its_reason_says_whether_a_model_is_asked(repair: Repair, promise: str) -> None:
    assert a_run(wrong(0), repair).launch(CATALOG).tags[HEALING_REASON_TAG].endswith(promise)


def test_a_launch_says_why_it_is_there() -> None:
    run = a_run(wrong(0), Repair.REDISPATCH)
    launch = run.launch(CATALOG)
    assert launch.job_name == INFERENCE_JOB
    assert (
        launch.tags.items()
        >= {JOB_TAG: "job-1", HEALING_TAG: "redispatch", WRONG_TAG: run.fingerprint}.items()
    )


def test_tries_are_the_runs_of_this_wrong_thing_in_this_job(instance: dg.DagsterInstance) -> None:
    run = a_run(wrong(0))
    tags = dict(run.launch(CATALOG).tags)
    for other in (tags, tags, tags | {WRONG_TAG: "another"}, tags | {JOB_TAG: "job-2"}):
        instance.add_run(dg.DagsterRun(job_name=INFERENCE_JOB, tags=other))
    assert tries_so_far(instance, run) == 2


def test_a_job_with_a_plan_is_healed_by_one_run_at_a_time_over_all_that_is_wrong() -> None:
    """Two runs would work on the same cells, and its blocks have an order over all regions."""
    looked_at = [
        examined(wrong(0, id="a1", sample=1), Repair.REDISPATCH),
        examined(wrong(0, id="a2", sample=2)),
        examined(wrong(3, id="b1", region="us"), Repair.CORRECT_DAGSTER),
        examined(wrong(1, job="j2")),
        examined(wrong(3, job="j2", region="apac")),
    ]
    first, *others = healing_runs(CATALOG, JOBS, looked_at, with_plan={"j1"})
    assert (first.repair, [e.id for e in first.executions]) == (Repair.ATTACH, ["a2"])
    assert first.keys.start == f"us:tiny-qwen|{QUESTIONS[0]}"
    assert first.keys.end == f"eu:tiny-qwen|{QUESTIONS[3]}"
    assert [run.job_name for run in others] == ["job-2", "job-2"]
    (second,) = healing_runs(CATALOG, JOBS, [looked_at[0], looked_at[2]], with_plan={"j1"})
    assert (second.repair, [e.id for e in second.executions]) == (Repair.REDISPATCH, ["a1"])
