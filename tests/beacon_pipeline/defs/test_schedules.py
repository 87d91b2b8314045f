"""What asks by itself or by one press: the same tick is the same job, whole, and asks nobody in a preview."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from beacon_pipeline.catalog import Catalog, CatalogError, load_catalog
from beacon_pipeline.catalog.entries import Schedule
from beacon_pipeline.catalog.new import make_catalog
from beacon_pipeline.catalog.study_file import read_study
from beacon_pipeline.catalog.study_plan import plan_of
from beacon_pipeline.definitions import build_definitions
from beacon_pipeline.defs.schedules import catalog_schedules, tick_job_name
from beacon_pipeline.execution.resources import LedgerResource
from beacon_pipeline.jobs.dagster_api import INFERENCE_JOB
from beacon_pipeline.jobs.job_of_run import JobRef, asking_of, job_for
from beacon_pipeline.jobs.runs import cells_of_run
from beacon_pipeline.jobs.specification import specified_cells
from beacon_pipeline.ledger.records import Cell
from beacon_pipeline.names import (
    BLOCKS_TAG,
    DEPLOYMENT_TAG,
    JOB_TAG,
    PARTITION_TAG,
    PRIORITY_TAG,
    RANGE_END_TAG,
    RANGE_START_TAG,
    REGION_TAG,
    SCHEDULE_TAG,
)
from beacon_pipeline.studies.register import register
from tests.beacon_pipeline.scripted import Behaviour
from tests.beacon_pipeline.test_definitions import Location
from tests.instance_template import copied_instance

CATALOG = load_catalog("demo")
CONTROL = CATALOG.cells(questions=["math_basic", "geography_basic", "identity_basic"])
AT = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.delenv("BEACON_DATABASE_URL", raising=False)
    with copied_instance(tmp_path) as made:
        yield made


def tick(name: str) -> list[dg.RunRequest]:
    (schedule,) = [s for s in catalog_schedules(CATALOG) if s.name == name]
    told = schedule.evaluate_tick(dg.build_schedule_context(scheduled_execution_time=AT))
    return list(told.run_requests or [])


def test_the_catalogs_schedules_are_off_until_switched_on() -> None:
    schedules = {s.name: s for s in catalog_schedules(CATALOG)}
    assert {name: s.cron_schedule for name, s in schedules.items()} == {
        "control_hourly": "0 * * * *",
        "full_daily": "0 3 * * *",
    }
    assert {s.default_status for s in schedules.values()} == {dg.DefaultScheduleStatus.STOPPED}
    assert {s.job_name for s in schedules.values()} == {INFERENCE_JOB}


@pytest.mark.parametrize(("name", "cells"), [("control_hourly", CONTROL), ("full_daily", CATALOG.cells())])
def test_a_tick_asks_exactly_its_cells_as_one_new_job(name: str, cells: tuple[Cell, ...]) -> None:
    requests = tick(name)
    assert sorted(cell for r in requests for cell in cells_of_run(CATALOG, r.tags)) == sorted(cells)
    assert {r.tags[JOB_TAG] for r in requests} == {f"{name}-20261124T0800Z"}
    assert len(requests) == 9, "one run for each deployment"
    first = requests[0].tags
    assert first[SCHEDULE_TAG] == name
    assert {REGION_TAG, DEPLOYMENT_TAG, PRIORITY_TAG} <= first.keys()


def test_the_same_tick_has_the_same_run_keys_and_the_next_one_others() -> None:
    keys = [r.run_key for r in tick("control_hourly")]
    assert keys == [r.run_key for r in tick("control_hourly")]
    assert len(set(keys)) == len(keys)
    assert tick_job_name("a", AT) != tick_job_name("a", AT.replace(minute=1))


def test_a_preview_of_a_tick_asks_nobody(instance: dg.DagsterInstance) -> None:
    assert tick("control_hourly")
    with LedgerResource().open() as ledger:
        assert ledger.jobs.newest() == []


def test_the_first_run_of_a_tick_puts_the_whole_tick_on_record(instance: dg.DagsterInstance) -> None:
    location = Location(instance, Behaviour())
    request = tick("control_hourly")[0]
    keys = request.tags[RANGE_START_TAG], request.tags[RANGE_END_TAG]
    location.run(INFERENCE_JOB, *keys, **dict(request.tags))
    with LedgerResource().open() as ledger:
        (job,) = ledger.jobs.newest()
        assert (job.job_name, job.source) == ("control_hourly-20261124T0800Z", "schedule")
        assert specified_cells(job.specification) == sorted(CONTROL)
        assert ledger.aggregates.counts(job.id).by_status == {"completed": 3, "pending": 24}


def test_a_schedule_of_categories_that_no_question_has_asks_nothing() -> None:
    questions = tuple(q for q in CATALOG.questions if q.category.value != "cultural")
    settings = CATALOG.settings.model_copy(
        update={"schedules": {"culture": Schedule(cron="0 0 * * *", categories=("cultural",))}}
    )
    few = CATALOG.model_copy(update={"questions": questions, "settings": settings})
    (schedule,) = catalog_schedules(few)
    told = schedule.evaluate_tick(dg.build_schedule_context(scheduled_execution_time=AT))
    assert (told.run_requests, told.skip_message) == (
        [],
        "the catalog has no questions of the categories cultural",
    )


STUDY = """
id: scheduled
models: [tiny-qwen]
regions: [us, eu]
questions: [math_basic]
arms: [neutral]
looks: [2, 1]
samples: 2
parameters: {temperature: 1.0}
"""


@pytest.fixture
def with_study(tmp_path: Path) -> Catalog:
    folder = tmp_path / "catalog"
    make_catalog(folder, "demo")
    (folder / "study.yaml").write_text(STUDY)
    (folder / "settings.yaml").write_text('schedules: {looks: {cron: "0 0 * * *", study: study.yaml}}\n')
    return load_catalog(str(folder))


def test_a_schedule_of_a_study_takes_its_looks_one_by_one(
    instance: dg.DagsterInstance, with_study: Catalog
) -> None:
    (schedule,) = catalog_schedules(with_study)

    def told() -> tuple[dg.RunRequest | None, str | None]:
        resources = {"ledger": LedgerResource()}
        with dg.build_schedule_context(scheduled_execution_time=AT, resources=resources) as context:
            found = schedule.evaluate_tick(context)
        return next(iter(found.run_requests or []), None), found.skip_message

    planned = read_study(with_study.folder / "study.yaml", with_study)
    assert told() == (None, "study.yaml is not registered as it is now: `beacon study register`")
    with LedgerResource().open() as ledger:
        study = register(ledger, planned).study
        request, _ = told()
        assert request is not None
        assert request.run_key == request.tags[JOB_TAG] == "study-scheduled-v1-look1"
        assert request.tags[BLOCKS_TAG] == "2"
        assert ledger.jobs.newest() == [], "a preview asks nobody"

        cells = cells_of_run(with_study, request.tags)
        assert set(study.cells) <= set(cells)
        job, asked = job_for(ledger, with_study, asking_of(request.tags, "r"), cells, actor="test")
        assert (asked, job.plan) == (list(study.cells), plan_of(study, with_study, 1).kept())
        assert ledger.aggregates.counts(job.id).executions == 2 * 2 * 2
        assert told()[1] == "look 1 is not finished: `beacon study run` goes on with it"

        ledger.repairs.cancel_pending(
            [execution.id for execution in ledger.executions.of_job(job.id)], actor="test"
        )
        request, _ = told()
        assert request is not None
        assert request.run_key == "study-scheduled-v1-look2"


def test_a_schedule_names_a_study_that_can_be_read(with_study: Catalog) -> None:
    (with_study.folder / "study.yaml").write_text(STUDY.replace("tiny-qwen", "tiny-quen"))
    with pytest.raises(
        CatalogError, match=r"study.yaml:3: unknown model 'tiny-quen': did you mean tiny-qwen"
    ):
        load_catalog(str(with_study.folder))


def test_one_press_for_everything_for_a_region_and_for_the_control_questions() -> None:
    jobs = {job.name for job in build_definitions(CATALOG).jobs or ()}
    assert {"ask_everything", "ask_control_questions", "ask_us", "ask_eu", "ask_apac"} <= jobs


def test_who_asks_by_tags() -> None:
    assert asking_of({JOB_TAG: "j", SCHEDULE_TAG: "s"}, "r") == JobRef("j", "schedule", False, "s")
    assert asking_of({JOB_TAG: "j"}, "r") == JobRef("j", "launch", False)


@pytest.mark.parametrize(
    ("tags", "count"),
    [
        ({}, 0),
        ({PARTITION_TAG: "eu:tiny-qwen|math_basic"}, 1),
        ({RANGE_START_TAG: "eu:tiny-llama|math_basic", RANGE_END_TAG: "eu:tiny-qwen|geography_basic"}, 6),
        ({PARTITION_TAG: "nonsense"}, 0),
        ({PARTITION_TAG: "eu:tiny-qwen|gone_from_the_catalog"}, 0),
    ],
)
def test_the_cells_of_a_run_by_its_tags(tags: dict[str, str], count: int) -> None:
    assert len(cells_of_run(CATALOG, tags)) == count
