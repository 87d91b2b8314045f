"""Comparisons, findings and the scorecard as assets: what follows a job's end, and what it shows."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import dagster as dg

from beacon_pipeline import environment
from beacon_pipeline.defs.assets.findings import findings_jobs
from beacon_pipeline.defs.sensors.findings import findings_sensor
from beacon_pipeline.execution.resources import LedgerResource
from beacon_pipeline.jobs.dagster_api import COMPARISONS_JOB, FINDINGS_JOB
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.names import (
    COMPARED_TAG,
    COMPARISONS,
    FINDINGS,
    JOB_TAG,
    PAGE,
    PARTITION_TAG,
    SCORECARD,
    SENSOR_NAME_TAG,
    STUDIES,
)
from beacon_pipeline.reconciliation.request_again import failed_runs_to_repeat
from inference.contract import Item, ItemResult
from tests.beacon_pipeline.findings.simulated import a_claim, a_study
from tests.beacon_pipeline.location import CATALOG, Location
from tests.beacon_pipeline.scripted import Behaviour, says

HOSTILE = "<script>alert(1)</script>"


def by_prompt(item: Item) -> ItemResult:
    return says(HOSTILE if "Taiwan" in item.prompt else item.system_prompt or "")(item)


def metadata(
    instance: dg.DagsterInstance, key: dg.AssetKey, partition: str | None = None
) -> dict[str, object]:
    wanted = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[partition] if partition else None)
    materialization = instance.fetch_materializations(wanted, limit=1).records[0].asset_materialization
    assert materialization is not None
    return {name: value.value for name, value in materialization.metadata.items()}


def sensed(location: Location, cursor: str | None = None) -> dg.SensorResult | dg.SkipReason:
    sensor = findings_sensor(CATALOG, findings_jobs())
    context = dg.build_sensor_context(
        location.instance, cursor=cursor, resources={"ledger": LedgerResource()}
    )
    found = sensor(context)
    assert isinstance(found, dg.SensorResult | dg.SkipReason)
    return found


def test_a_jobs_end_is_followed_by_one_run_that_compares_its_rectangle(instance: dg.DagsterInstance) -> None:
    location = Location(instance, Behaviour(results=by_prompt))
    assert isinstance(sensed(location), dg.SkipReason)
    location.ask(**{JOB_TAG: "mine"})
    found = sensed(location)
    assert isinstance(found, dg.SensorResult)
    (request,) = found.run_requests or []
    assert request.job_name == COMPARISONS_JOB
    assert request.tags[COMPARED_TAG] == "mine"
    again = sensed(location)
    assert isinstance(again, dg.SensorResult)
    assert [one.run_key for one in again.run_requests or []] == [request.run_key]

    job = location.definitions.resolve_job_def(COMPARISONS_JOB)
    assert job.execute_in_process(instance=instance, tags=dict(request.tags)).success
    questions = [question.id for question in CATALOG.questions]
    assert instance.get_materialized_partitions(COMPARISONS) == {f"tiny-llama|{q}" for q in questions}
    shown = metadata(instance, COMPARISONS, "tiny-llama|taiwan_status")
    assert (shown["answers"], shown["distinct_texts"], shown["job"]) == (1, 1, "mine")
    assert str(shown["what_matters"]).count("\n") >= 1
    assert "<script>" not in str(shown)


def test_a_person_compares_the_newest_answers_of_chosen_partitions(instance: dg.DagsterInstance) -> None:
    location = Location(instance, Behaviour(results=by_prompt), Behaviour(results=by_prompt))
    location.ask(**{JOB_TAG: "old"})
    location.ask(**{JOB_TAG: "new"})
    location.run(COMPARISONS_JOB, "tiny-llama|math_basic")
    assert instance.get_materialized_partitions(COMPARISONS) == {"tiny-llama|math_basic"}
    assert metadata(instance, COMPARISONS, "tiny-llama|math_basic")["answers"] == 1


def test_upstream_of_a_comparison_are_its_models_deployments(instance: dg.DagsterInstance) -> None:
    graph = Location(instance).definitions.get_repository_def().asset_graph
    assert {key.to_user_string() for key in graph.get(COMPARISONS).parent_keys} == {"inference"}
    mapping = graph.get(COMPARISONS).partition_mappings[dg.AssetKey("inference")]
    assert isinstance(mapping, dg.MultiPartitionMapping)


def test_findings_are_by_study_and_version_and_the_scorecard_counts_them(
    instance: dg.DagsterInstance,
) -> None:
    location = Location(instance, Behaviour(results=by_prompt))
    study = a_study(a_claim("deployment", model="tiny-llama"), id="demo")
    with closing(Ledger(environment.database_url())) as ledger:
        ledger.migrate()
        assert ledger.studies.register("demo", study.content).version == 1
        made = ledger.jobs.ensure(
            "study-demo",
            source="launch",
            catalog="demo",
            catalog_digest=CATALOG.digest,
            plan={"study": "demo", "version": 1},
        )
        assert made.job_name == "study-demo"
    location.ask(**{JOB_TAG: "study-demo"})
    found = sensed(location)
    assert isinstance(found, dg.SensorResult)
    assert [one.job_name for one in found.run_requests or []] == [COMPARISONS_JOB, FINDINGS_JOB]
    assert [list(one.partition_keys) for one in found.dynamic_partitions_requests or []] == [["demo@1"]]

    instance.add_dynamic_partitions(STUDIES, ["demo@1"])
    job = location.definitions.resolve_job_def(FINDINGS_JOB)
    assert job.execute_in_process(instance=instance, partition_key="demo@1").success
    shown = metadata(instance, FINDINGS, "demo@1")
    assert (shown["not_answerable"], shown["differs"]) == (1, 0)
    assert "not answerable" in str(shown["what_matters"])
    page = Path(str(metadata(instance, PAGE, "demo@1")["page"]))
    assert page == environment.home() / "pages" / "demo.html"
    assert "not answerable" in page.read_text(encoding="utf-8")
    assert "1 studies, 1 findings" in str(metadata(instance, SCORECARD)["what_matters"])

    tags = {PARTITION_TAG: "demo@1", SENSOR_NAME_TAG: "compare_ended_jobs"}
    killed = instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTED)
    instance.report_run_failed(killed)
    again = failed_runs_to_repeat(instance)[killed.run_id]
    assert job.execute_in_process(instance=instance, tags=dict(again.tags)).success


def test_the_code_location_and_the_shell_start_without_what_tests() -> None:
    code = (
        "import sys, beacon_pipeline.cli\n"
        "from beacon_pipeline.definitions import build_definitions\n"
        "build_definitions().get_repository_def()\n"
        "print(sorted({'numpy', 'pandas', 'scipy', 'statsmodels', 'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
