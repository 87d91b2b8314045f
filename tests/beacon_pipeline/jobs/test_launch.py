"""What is launched for a job: one run for each range, or one for all of a plan."""

from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import pytest

from beacon_pipeline.catalog import load_catalog
from beacon_pipeline.catalog.plan import DEFAULT_PLAN, Plan
from beacon_pipeline.jobs import launch
from beacon_pipeline.jobs.dagster_api import INFERENCE_JOB, Launch
from beacon_pipeline.jobs.launch import LaunchedJob, ask, asked_with_seed
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.names import DEPLOYMENT_TAG, RANGE_END_TAG, RANGE_START_TAG
from tests.databases import migrated_sqlite_file

CATALOG = load_catalog("demo")
CELLS = CATALOG.cells(models=["tiny-qwen"])
PLAN = Plan(blocks=(1, 2), samples=2, temperature=0.8, seed="feedbeef")
OTHER_SEED = PLAN.model_copy(update={"seed": "deadbeef"})
OTHER_PLAN = PLAN.model_copy(update={"samples": 3})


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[Launch]:
    """What would be launched: Dagster itself is not asked."""
    found: list[Launch] = []

    def launch_runs(instance: dg.DagsterInstance, launches: Sequence[Launch]) -> list[str]:
        found.extend(one for one in launches if one.job_name == INFERENCE_JOB)
        return ["run"] * len(launches)

    monkeypatch.setattr(launch, "launch_runs", launch_runs)
    return found


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """On SQLite only: the queries are tested on both with the ledger."""
    return migrated_sqlite_file(tmp_path / "ledger.db")


@pytest.mark.parametrize(("plan", "continued"), [(PLAN, True), (OTHER_SEED, False)])
def test_a_seed_that_was_given_goes_on_with_its_own_job_only(
    ledger: Ledger, launched: list[Launch], plan: Plan, continued: bool
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        ask(ledger, instance, CATALOG, CELLS, new_job=False, plan=PLAN)
        again = ask(ledger, instance, CATALOG, CELLS, new_job=False, plan=plan, same_seed=True)
    assert again.continued is continued


def test_a_seed_stands_for_what_was_asked_by_the_job_that_had_it(
    ledger: Ledger, launched: list[Launch]
) -> None:
    of_study = PLAN.model_copy(update={"study": "s", "version": 1})
    with dg.DagsterInstance.ephemeral() as instance:
        ask(ledger, instance, CATALOG, CELLS, new_job=True, plan=of_study)
    assert asked_with_seed(ledger, "feedbeef") == (PLAN, tuple(sorted(CELLS)))
    assert asked_with_seed(ledger, "deadbeef") is None


def test_a_plan_is_one_run_over_its_rectangle(ledger: Ledger, launched: list[Launch]) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        asked = ask(ledger, instance, CATALOG, CELLS, new_job=True, plan=PLAN)
        (run,) = launched
        first, last = CATALOG.questions[0].id, CATALOG.questions[-1].id
        assert run.tags[RANGE_START_TAG] == f"us:tiny-qwen|{first}"
        assert run.tags[RANGE_END_TAG] == f"apac:tiny-qwen|{last}"
        assert DEPLOYMENT_TAG not in run.tags
        assert ledger.aggregates.counts(asked.job.id).executions == len(CELLS) * 4

        launched.clear()
        ask(ledger, instance, CATALOG, CELLS, new_job=True)
        assert len(launched) == 3


@pytest.mark.parametrize(
    ("plan", "cells", "continued"),
    [
        (PLAN, CELLS, True),
        (OTHER_SEED, CELLS, True),
        (OTHER_PLAN, CELLS, False),
        (DEFAULT_PLAN, CELLS, False),
        (PLAN, CELLS[1:], False),
    ],
)
def test_asking_goes_on_with_an_unfinished_job_that_asks_the_same_way(
    ledger: Ledger, launched: list[Launch], plan: Plan, cells: list, continued: bool
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        first = ask(ledger, instance, CATALOG, CELLS, new_job=False, plan=PLAN)
        again: LaunchedJob = ask(ledger, instance, CATALOG, cells, new_job=False, plan=plan)
    assert again.continued is continued
    assert (again.job == first.job) is continued
    assert Plan.of(again.job.plan) == (PLAN if continued else plan)
