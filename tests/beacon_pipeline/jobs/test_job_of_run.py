"""To which job a run's work belongs: by its tags, by the run it repeats, by what is left unfinished."""

from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from beacon_pipeline.catalog import load_catalog
from beacon_pipeline.catalog.plan import Plan
from beacon_pipeline.jobs.job_of_run import (
    CONTINUED_WITHIN,
    JobRef,
    asking_of,
    asking_of_run,
    job_for,
    make_job,
    unfinished_job,
)
from beacon_pipeline.jobs.specification import specified_cells
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.names import BACKFILL_TAG, JOB_TAG, ROOT_RUN_TAG, SCHEDULE_TAG
from tests.databases import migrated_sqlite_file

CATALOG = load_catalog("demo")
CELLS = [cell for cell in CATALOG.cells() if (cell.region, cell.model) == ("eu", "tiny-qwen")][:3]
RUN = JobRef("run-r1", "run", continues=True)


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """On SQLite only: what the queries give on both is tested with the ledger."""
    return migrated_sqlite_file(tmp_path / "ledger.db")


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({}, RUN),
        ({ROOT_RUN_TAG: "r0"}, JobRef("run-r0", "run", continues=True)),
        ({BACKFILL_TAG: "b1"}, JobRef("backfill-b1", "backfill", continues=True)),
        ({BACKFILL_TAG: "b1", ROOT_RUN_TAG: "r0"}, JobRef("backfill-b1", "backfill", continues=True)),
        ({JOB_TAG: "j"}, JobRef("j", "launch", continues=False)),
        ({JOB_TAG: "j", BACKFILL_TAG: "b1", ROOT_RUN_TAG: "r0"}, JobRef("j", "launch", continues=False)),
        (
            {JOB_TAG: "j", SCHEDULE_TAG: "daily"},
            JobRef("j", "schedule", continues=False, schedule="daily"),
        ),
        ({SCHEDULE_TAG: "daily"}, RUN),
        ({JOB_TAG: ""}, RUN),
    ],
)
def test_tags_name_the_job(tags: dict[str, str], expected: JobRef) -> None:
    assert asking_of(tags, "r1") == expected


@pytest.mark.parametrize(
    ("root", "tags", "job_name"),
    [
        (None, {}, "run-r1"),
        (None, {ROOT_RUN_TAG: "r9"}, "run-r9"),
        ("r0", {}, "run-r0"),
        ("r0", {JOB_TAG: "j"}, "j"),
        ("r0", {ROOT_RUN_TAG: "r9"}, "run-r0"),
    ],
)
def test_a_run_that_repeats_another_belongs_to_its_job(
    root: str | None, tags: dict[str, str], job_name: str
) -> None:
    run = dg.DagsterRun(job_name="any", run_id="r1", root_run_id=root, parent_run_id=root, tags=tags)
    assert asking_of_run(run).job_name == job_name


def asked_in(ledger: Ledger, asking: JobRef, cells: list = CELLS) -> tuple[str, list]:
    job, asked = job_for(ledger, CATALOG, asking, cells, actor="test")
    return job.job_name, asked


def test_a_fresh_run_makes_a_job_of_its_own(ledger: Ledger) -> None:
    assert asked_in(ledger, RUN) == ("run-r1", CELLS)
    job = ledger.jobs.named("run-r1")
    assert job is not None
    assert (job.source, job.catalog, job.catalog_digest) == ("run", "demo", CATALOG.digest)
    assert sorted(e.cell for e in ledger.executions.of_job(job.id)) == sorted(CELLS)


def test_a_fresh_run_goes_on_with_what_is_unfinished_and_a_named_job_does_not(ledger: Ledger) -> None:
    asked_in(ledger, RUN)
    assert asked_in(ledger, JobRef("run-r2", "run", continues=True))[0] == "run-r1"
    assert asked_in(ledger, JobRef("named", "launch", continues=False))[0] == "named"
    assert ledger.jobs.named("run-r2") is None


def test_what_is_settled_is_asked_in_a_new_job(ledger: Ledger) -> None:
    asked_in(ledger, RUN)
    job = ledger.jobs.named("run-r1")
    assert job is not None
    ledger.repairs.cancel_pending([e.id for e in ledger.executions.of_job(job.id)], actor="test")
    assert asked_in(ledger, JobRef("run-r2", "run", continues=True))[0] == "run-r2"


def test_a_job_is_continued_for_a_day(ledger: Ledger) -> None:
    assert timedelta(days=1) == CONTINUED_WITHIN
    made = make_job(ledger, CATALOG, "job-1", CELLS, source="launch", actor="test")
    for age, continued in ((timedelta(0), True), (timedelta(hours=23, minutes=59), True)):
        assert (unfinished_job(ledger, CELLS, made.created_at + age) == made) is continued
    for age in (CONTINUED_WITHIN, CONTINUED_WITHIN + timedelta(hours=1)):
        assert unfinished_job(ledger, CELLS, made.created_at + age) is None
    assert unfinished_job(ledger, CELLS) == made, "as of now"
    assert unfinished_job(ledger, [cell for cell in CATALOG.cells() if cell.region == "us"]) is None


def test_a_named_job_asks_only_what_it_is_for(ledger: Ledger) -> None:
    """An entry that came into the run's range of partitions later is not in the job."""
    made = make_job(ledger, CATALOG, "job-1", CELLS[:2], source="launch", actor="test")
    assert set(specified_cells(made.specification) or ()) == set(CELLS[:2])
    assert asked_in(ledger, JobRef("job-1", "launch", continues=False)) == ("job-1", sorted(CELLS[:2]))
    assert len(ledger.executions.of_job(made.id)) == 2


def test_a_fresh_run_that_goes_on_with_a_named_job_asks_all_that_it_brings(ledger: Ledger) -> None:
    make_job(ledger, CATALOG, "job-1", CELLS[:2], source="launch", actor="test")
    assert asked_in(ledger, RUN) == ("job-1", CELLS)


def test_a_backfill_asks_all_that_its_runs_bring(ledger: Ledger) -> None:
    backfill = JobRef("backfill-b", "backfill", continues=True)
    asked_in(ledger, backfill, CELLS[:1])
    assert asked_in(ledger, backfill, CELLS[1:]) == ("backfill-b", CELLS[1:])
    job = ledger.jobs.named("backfill-b")
    assert job is not None
    assert len(ledger.executions.of_job(job.id)) == 3


def test_the_first_run_of_a_tick_puts_the_whole_tick_on_record(ledger: Ledger) -> None:
    name, wanted = next(iter(CATALOG.settings.schedules.items()))
    whole = CATALOG.cells_of(wanted)
    own = list(whole[:1])
    job_name, asked = asked_in(ledger, JobRef("tick", "schedule", continues=False, schedule=name), own)
    job = ledger.jobs.named("tick")
    assert job is not None
    assert (job_name, asked, job.source) == ("tick", own, "schedule")
    assert sorted(e.cell for e in ledger.executions.of_job(job.id)) == sorted(whole)


def test_a_tick_of_a_schedule_that_left_the_catalog_asks_its_own_cells(ledger: Ledger) -> None:
    gone = JobRef("tick", "schedule", continues=False, schedule="no-such-schedule")
    assert asked_in(ledger, gone) == ("tick", CELLS)
    job = ledger.jobs.named("tick")
    assert job is not None
    assert len(ledger.executions.of_job(job.id)) == 3


def test_what_is_on_record_is_not_made_again_nor_left_for_a_newer_job(ledger: Ledger) -> None:
    name = next(iter(CATALOG.settings.schedules))
    made = make_job(ledger, CATALOG, "tick", CELLS[:1], source="schedule", actor="test")
    tick = JobRef("tick", "schedule", continues=False, schedule=name)
    assert asked_in(ledger, tick) == ("tick", CELLS[:1]), "as the catalog was when it was made"
    assert len(ledger.executions.of_job(made.id)) == 1
    make_job(ledger, CATALOG, "run-r1", CELLS, source="run", actor="test")
    make_job(ledger, CATALOG, "newer", CELLS, source="launch", actor="test")
    assert asked_in(ledger, RUN)[0] == "run-r1"


def test_a_job_with_a_plan_asks_its_cells_by_it_and_no_others(ledger: Ledger) -> None:
    plan = Plan(arms=("regional", "mine"), prompts={"mine": "?"}, blocks=(1, 2), seed="feedbeef")
    made = make_job(ledger, CATALOG, "planned", CELLS[:2], source="launch", actor="test", plan=plan)
    assert (Plan.of(made.plan), ledger.jobs.catalog_content(CATALOG.digest)) == (plan, CATALOG.content)
    assert len(ledger.executions.of_job(made.id)) == 2 * 4

    other = make_job(ledger, CATALOG, "planned", CELLS[:2], source="launch", actor="test", plan=Plan())
    assert other == made, "it keeps its plan"
    named = JobRef("planned", "launch", continues=False)
    assert asked_in(ledger, named) == ("planned", sorted(CELLS[:2]))
    for cells in (CELLS[:1], CELLS[:2]):
        assert asked_in(ledger, RUN, cells) == ("planned", sorted(cells)), "a fresh run goes on with it"
    assert len(ledger.executions.of_job(made.id)) == 2 * 4
    assert asked_in(ledger, RUN)[0] == "run-r1", "but one that asks more is a job of its own"
