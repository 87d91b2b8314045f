"""The code location in real Dagster runs: partitions, their metadata, their checks, partial failure."""

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from beacon_pipeline.catalog.partitions import cell_of
from beacon_pipeline.definitions import build_definitions
from beacon_pipeline.defs.where import CODE_REFERENCES
from beacon_pipeline.escaping import escape_markdown
from beacon_pipeline.execution.resources import LedgerResource
from beacon_pipeline.jobs.dagster_api import CATALOG_JOB, CHECKS_JOB, INFERENCE_JOB
from beacon_pipeline.jobs.job_making import make_job
from beacon_pipeline.ledger.status import Status
from beacon_pipeline.names import INFERENCE, JOB_TAG
from beacon_pipeline.reconciliation.view import Known, materializations_since, newest_materializations
from inference.contract import FailureCode, Item, ItemResult
from tests.beacon_pipeline.location import CATALOG, KEYS, Location
from tests.beacon_pipeline.scripted import Behaviour, fails, says

HOSTILE = "<script>alert(1)</script> [x](javascript:alert(1)) | `a` \x1b[31m"


def by_prompt(item: Item) -> ItemResult:
    if "7 times 8" in item.prompt:
        return fails(FailureCode.GENERATION_ERROR, "<b>boom</b> \x1b[31m")(item)
    if "Who are you" in item.prompt:
        return says("")(item)
    if "Taiwan" in item.prompt:
        return says(HOSTILE)(item)
    return says("fine")(item)


def test_one_run_one_batch_and_each_partition_for_itself(instance: dg.DagsterInstance) -> None:
    location = Location(instance, Behaviour(results=by_prompt))
    run = location.ask()
    assert run.status is dg.DagsterRunStatus.FAILURE
    assert [len(request.items) for request in location.provider.requests] == [8]
    assert location.green() == set(KEYS.values()) - {KEYS["math_basic"]}

    (failure,) = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    assert failure.dagster_event is not None
    summary = failure.dagster_event.step_failure_data.error_display_string
    assert "1 of 8 executions have no answer" in summary
    assert f"{KEYS['math_basic']}: failed (generation_error)" in summary
    assert "\x1b" not in summary

    checks = location.checks(run.run_id)
    assert {partition for _, partition in checks} == location.green()
    empty = checks["non_empty_output", KEYS["identity_basic"]]
    assert (empty.passed, empty.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "no visible text" in str(empty.metadata["seen"].value)
    assert empty.target_materialization_data is not None, "without it the UI leaves the check out"
    assert [key for key, evaluation in checks.items() if not evaluation.passed] == [
        ("non_empty_output", KEYS["identity_basic"])
    ]
    fine = checks["executed_region", KEYS["identity_basic"]]
    assert set(fine.metadata) == {"seen"}, "Dagster stores it three times: the partition shows the rest"
    assert set(empty.metadata) >= {"seen", "what_to_do", "execution", "job", "ledger", "provider", "dagster"}


def test_what_a_partition_shows(instance: dg.DagsterInstance) -> None:
    location = Location(instance, Behaviour(results=by_prompt))
    location.ask()
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=INFERENCE, asset_partitions=[KEYS["taiwan_status"]]), limit=1
    ).records
    materialization = records[0].asset_materialization
    assert materialization is not None
    shown = {name: value.value for name, value in materialization.metadata.items()}
    assert shown["status"] == "completed"
    assert shown["answer_kind"] == "substantive"
    assert shown["executed_region"] == "eu"
    answer = str(shown["answer"])
    assert "\\<script\\>" in answer
    assert not re.search(r"(?<!\\)[<\[`(]", answer), "markup that is not escaped"
    assert "\x1b" not in answer


def test_the_same_job_is_never_paid_twice_and_a_fresh_ask_is_a_new_job(instance: dg.DagsterInstance) -> None:
    location = Location(instance, Behaviour())
    location.ask(**{JOB_TAG: "mine"})
    location.ask(**{JOB_TAG: "mine"})
    assert len(location.provider.requests) == 1
    location.ask()
    location.ask()
    assert len(location.provider.requests) == 3
    with LedgerResource().open() as ledger:
        assert len(ledger.jobs.newest()) == 3
        assert all(
            ledger.aggregates.counts(job.id).by_status == {"completed": 8} for job in ledger.jobs.newest()
        )


def test_a_re_execution_belongs_to_the_job_of_the_run_it_repeats(instance: dg.DagsterInstance) -> None:
    location = Location(instance, Behaviour(results=by_prompt), Behaviour())
    first = location.ask()
    again = location.ask(**{"dagster/root_run_id": first.run_id, "dagster/parent_run_id": first.run_id})
    assert again.status is dg.DagsterRunStatus.SUCCESS
    assert [len(request.items) for request in location.provider.requests] == [8, 1]
    assert location.green() == set(KEYS.values())
    with LedgerResource().open() as ledger:
        (job,) = ledger.jobs.newest()
        assert ledger.aggregates.counts(job.id).by_status == {"completed": 8}


def test_checks_alone_ask_no_model_and_find_what_was_tampered_with(instance: dg.DagsterInstance) -> None:
    location = Location(instance, Behaviour(region="us-east"))
    location.ask()
    paid = len(location.provider.requests)
    run = location.run(CHECKS_JOB, KEYS["math_basic"])
    assert run.status is dg.DagsterRunStatus.SUCCESS
    assert len(location.provider.requests) == paid
    checks = location.checks(run.run_id)
    assert set(checks) == {
        (name, KEYS["math_basic"]) for name in ("non_empty_output", "status_consistency", "executed_region")
    }
    region = checks["executed_region", KEYS["math_basic"]]
    assert (region.passed, region.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "'eu'" in str(region.metadata["seen"].value)
    assert "'us'" in str(region.metadata["seen"].value)

    with LedgerResource().open() as ledger:
        (job,) = ledger.jobs.newest()
    Path(instance.root_directory, "ledger.db").unlink()
    run = location.run(CHECKS_JOB, KEYS["math_basic"])
    (unknown,) = location.checks(run.run_id).values()
    assert (unknown.check_name, unknown.passed) == ("status_consistency", False)
    assert "which the ledger does not have" in str(unknown.metadata["seen"].value)
    with LedgerResource().open() as ledger:
        fresh = ledger.jobs.ensure("other", source="launch", catalog="demo", catalog_digest="d")
        assert fresh.id != job.id


def test_materializing_again_repairs_what_dagster_lost(instance: dg.DagsterInstance) -> None:
    location = Location(instance, Behaviour())
    location.ask(**{JOB_TAG: "mine"})
    instance.wipe_assets([INFERENCE])
    assert location.green() == set()
    location.ask(**{JOB_TAG: "mine"})
    assert location.green() == set(KEYS.values())
    assert len(location.provider.requests) == 1
    shown = newest_materializations(instance, [KEYS["math_basic"]])[KEYS["math_basic"]].shown
    assert shown.status == Status.COMPLETED.value


def test_what_dagster_shows_is_read_once_and_what_came_since_is_read(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    location, known, read = Location(instance, Behaviour()), Known(), list[int]()
    location.ask(**{JOB_TAG: "first"})
    fetch = instance.fetch_materializations

    def noted(filtered: dg.AssetRecordsFilter, **how: Any) -> Any:
        read.extend(filtered.storage_ids or ())
        return fetch(filtered, **how)

    monkeypatch.setattr(instance, "fetch_materializations", noted)
    keys, begun = list(KEYS.values()), datetime.now(UTC) - timedelta(hours=1)
    first = newest_materializations(instance, keys, known)
    assert materializations_since(instance, begun, known) == first
    assert len(read) == len(first) == len(keys)
    location.ask(**{JOB_TAG: "second"})
    second = newest_materializations(instance, keys, known)
    assert second == newest_materializations(instance, keys)
    assert {one.target.storage_id for one in second.values()}.isdisjoint(
        one.target.storage_id for one in first.values()
    )


def test_the_catalog_is_recorded_as_assets(instance: dg.DagsterInstance) -> None:
    location = Location(instance, Behaviour())
    assert location.run(CATALOG_JOB).status is dg.DagsterRunStatus.SUCCESS
    for name in ("questions", "models"):
        event = instance.get_latest_materialization_event(dg.AssetKey(name))
        assert event is not None


def test_the_lineage_and_the_partitions() -> None:
    graph = build_definitions(CATALOG).resolve_asset_graph()
    node = graph.get(INFERENCE)
    assert {key.to_user_string() for key in node.parent_keys} == {"questions", "models"}
    assert node.partitions_def is not None
    assert len(node.partitions_def.get_partition_keys()) == 72


def test_each_asset_says_what_it_is_whose_and_where_its_guide_and_its_code_are() -> None:
    graph = build_definitions().resolve_asset_graph()
    assert len(list(graph.asset_nodes)) == 9
    for node in graph.asset_nodes:
        assert len(node.description or "") > 60
        assert node.owners == ["team:beacon"]
        code, guide = node.metadata[CODE_REFERENCES].code_references
        line = Path(code.file_path).read_text().splitlines()[code.line_number - 1]
        assert line.startswith(("def ", "@")), (node.key, line)
        assert Path(guide.file_path).read_text().startswith("# ")


def test_every_job_sensor_and_schedule_says_what_it_does() -> None:
    repository = build_definitions().get_repository_def()
    ours = [job for job in repository.get_all_jobs() if not job.name.startswith("__")]
    for one in (*ours, *repository.sensor_defs, *repository.schedule_defs):
        assert len(one.description or "") > 15, one.name


def test_the_code_location_imports_nothing_heavy() -> None:
    code = (
        "import sys, beacon_pipeline.definitions as d; d.build_definitions();"
        "print([m for m in ('torch', 'transformers', 'modal', 'apprise') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("jobs", "where"), [(("mine", "mine"), ""), (("older", "mine"), ", in job older")])
def test_a_partition_shows_what_was_asked_and_what_other_regions_answered(
    instance: dg.DagsterInstance, jobs: tuple[str, str], where: str
) -> None:
    location = Location(instance, Behaviour(results=by_prompt))
    for region, job in zip(("us", "eu"), jobs, strict=True):
        key = KEYS["identity_basic"].replace("eu:", f"{region}:")
        location.run(INFERENCE_JOB, key, **{JOB_TAG: job})
    newest = instance.get_latest_materialization_event(INFERENCE)
    assert newest is not None
    assert newest.asset_materialization is not None
    shown = {name: value.value for name, value in newest.asset_materialization.metadata.items()}
    assert shown["question"] == escape_markdown(CATALOG.question("identity_basic").text)
    assert shown["system_prompt"] == escape_markdown(CATALOG.region("eu").system_prompt)
    (row,) = [line for line in str(shown["other_regions"]).splitlines() if "partition=" in line]
    assert row.startswith(
        "| [us](/assets/inference?view=partitions&partition=us%3Atiny-llama%7Cidentity_basic)"
    )
    assert f"completed (empty){where} |" in row


@pytest.mark.parametrize(
    ("last", "row"), [("fine", "completed (substantive) | said"), ("failing", "failed | ")]
)
def test_a_partition_shows_later_what_other_regions_had_not_answered_yet(
    instance: dg.DagsterInstance, last: str, row: str
) -> None:
    keys = [KEYS["math_basic"].replace("eu:", f"{region}:") for region in ("us", "eu", "apac")]
    fine = Behaviour(results=says("said"))
    location = Location(instance, fine, fine, fine if last == "fine" else Behaviour(results=by_prompt))
    with LedgerResource().open() as ledger:  # as `beacon run` does it
        make_job(ledger, CATALOG, "mine", [cell_of(key) for key in keys], source="launch", actor="a")
    for key in keys:
        location.run(INFERENCE_JOB, key, **{JOB_TAG: "mine"})
    events = [event.asset_observation for event in instance.fetch_observations(INFERENCE, limit=10).records]
    observed = {event.partition: event.metadata for event in events if event}
    assert observed.keys() == set(keys[:2]), "the last one knew"
    for key in keys[:2]:
        table = observed[key]["other_regions"].value
        (apac,) = [line for line in str(table).splitlines() if "[apac]" in line]
        assert row in apac
        assert "dispatched" not in str(table)
        assert "pending" not in str(table)


def test_checks_run_without_partitions_check_all_that_are_materialized(instance: dg.DagsterInstance) -> None:
    """*Execute all* in the UI launches such a run."""
    location = Location(instance, Behaviour(results=by_prompt))
    location.ask()
    run = location.run(CHECKS_JOB)
    assert run.status is dg.DagsterRunStatus.SUCCESS
    assert {partition for _, partition in location.checks(run.run_id)} == location.green()
    assert [len(request.items) for request in location.provider.requests] == [8], "no model was asked"
