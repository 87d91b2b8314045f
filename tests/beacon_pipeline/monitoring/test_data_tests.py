"""The data tests on the ledger: one vocabulary, nothing said of a sound record, and each fault found."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.catalog.new import make_catalog
from beacon_pipeline.definitions import build_definitions
from beacon_pipeline.defs.assets.ledger import (
    LEDGER,
    ledger_asset_checks,
    ledger_checks_sensor,
    rests,
)
from beacon_pipeline.execution.resources import LedgerResource
from beacon_pipeline.jobs.dagster_api import LEDGER_CHECKS_JOB
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.schema import Base
from beacon_pipeline.ledger.status import AnswerKind, Cause, Status
from beacon_pipeline.ledger.transitions import LEGAL_TRANSITIONS
from beacon_pipeline.monitoring.data_tests.project import OWN_CHECKS_LOAD, ledger_checks, ledger_target
from dbt_like_checks import RunOptions, RunResults, run_tests
from dbt_like_checks import Status as Verdict
from inference.contract import CallStatus, FailureCode, FinishReason
from tests.beacon_pipeline.asking import SUCCEEDED, a_request_for, completed
from tests.beacon_pipeline.instances import beacon_here, environment
from tests.beacon_pipeline.records import CATALOG, CELLS, a_sound_record, damage


@pytest.fixture
def record(database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a sound record, the environment's own, on each kind of database."""
    monkeypatch.setenv("BEACON_DATABASE_URL", database_url)
    monkeypatch.setenv("BEACON_CATALOG", "demo")
    a_sound_record(database_url)
    return database_url


def checked(*names: str) -> RunResults:
    tests = [test for test in ledger_checks(CATALOG) if not names or test.name in names]
    return run_tests(tests, *ledger_target())


def unwell(results: RunResults) -> dict[str, str]:
    return {r.test.name: r.message or "" for r in results if r.status is not Verdict.PASS}


def test_a_ledger_without_jobs_warns_and_fails_nothing(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEACON_DATABASE_URL", database_url)
    with closing(Ledger(database_url)) as ledger:
        ledger.migrate()
    results = checked()
    assert results.success
    assert list(unwell(results)) == ["jobs_something_was_asked_lately"]


def test_each_check_in_the_ui_says_its_table_and_column() -> None:
    columns = {table.name: set(table.columns.keys()) for table in Base.metadata.tables.values()}
    named = set().union(*columns.values())
    (checks,) = [c for c in ledger_asset_checks(CATALOG, LedgerResource()) if len(list(c.check_specs)) > 1]
    for spec in checks.check_specs:
        where, colon, said = (spec.description or "").partition(": ")
        assert (colon, bool(said)) == (": ", True), spec.name
        assert re.split(r"\W", where)[0] in columns, spec
        assert set(re.findall(r"\w+", spec.description or "")) & named, spec


def test_the_words_are_those_of_the_vocabulary() -> None:
    declared: dict[tuple[str, str], set[object]] = {}
    for test in ledger_checks(CATALOG):
        if test.kind == "accepted_values" and test.model and test.column:
            values = test.arguments["values"]
            assert isinstance(values, tuple)
            declared[test.model.name, test.column.name] = set(values)
    vocabulary: Mapping[tuple[str, str], type[StrEnum]] = {
        ("executions", "status"): Status,
        ("executions", "answer_kind"): AnswerKind,
        ("executions", "finish_reason"): FinishReason,
        ("executions", "failure_code"): FailureCode,
        ("calls", "truth"): CallStatus,
        ("transitions", "from_status"): Status,
        ("transitions", "to_status"): Status,
        ("transitions", "cause"): Cause,
    }
    assert declared == {place: {word.value for word in words} for place, words in vocabulary.items()}


def test_the_legal_transitions_are_those_of_the_vocabulary(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'pairs.db'}"
    engine = sa.create_engine(url)
    pairs = list(itertools.product([None, *Status], Status))
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE transitions (from_status TEXT, to_status TEXT, cause TEXT)")
        connection.execute(
            sa.text("INSERT INTO transitions VALUES (:source, :target, 'reply')"),
            [{"source": source and source.value, "target": target.value} for source, target in pairs],
        )
        connection.exec_driver_sql("INSERT INTO transitions VALUES ('completed', 'completed', 'repair')")
    engine.dispose()
    (legality,) = [test for test in ledger_checks(CATALOG) if test.name == "transitions_are_legal"]
    (result,) = run_tests([legality], url, RunOptions(sample=len(pairs)))
    found = {(row["from_status"], row["to_status"]) for row in result.rows if row["cause"] == "reply"}
    assert not [row for row in result.rows if row["cause"] == "repair"], "a note of what else was set right"
    illegal = {(source, target) for source, target in pairs if target not in LEGAL_TRANSITIONS[source]}
    assert found == illegal


def test_a_sound_record_passes_everything(record: str) -> None:
    results = checked()
    assert len(results) > 50
    # The dead letter of `us` is more than a tenth of its settled executions: that is said, as a warning.
    assert unwell(results) == {"regions_complete_alike": "Got 1 result, configured to warn if != 0"}


CHECKED_BY_THE_SCHEMA = {
    "UPDATE executions SET status = 'Failed' WHERE question = 'q3' AND region = 'us'": {
        "executions_status_is_known",
        "status_is_that_of_the_last_transition",
        "regions_complete_alike",
    },
    "UPDATE executions SET answer = 'Response extraction failed' WHERE status = 'failed'": {
        "executions_failed_have_no_answer"
    },
    "UPDATE executions SET answer = 'maybe' WHERE status = 'dispatched'": {
        "executions_unsettled_hold_no_outcome"
    },
    "UPDATE executions SET finish_reason = NULL WHERE question = 'q0' AND region = 'eu'": {
        "executions_completed_have_a_finish_reason"
    },
    "UPDATE executions SET finish_reason = 'eos' WHERE question = 'q0' AND region = 'eu'": {
        "executions_finish_reason_is_known"
    },
    "UPDATE executions SET answer_kind = 'blank' WHERE question = 'q1' AND region = 'eu'": {
        "executions_answer_kind_is_known",
        "executions_blank_answers_are_empty",
    },
    "UPDATE executions SET failure_code = NULL WHERE status = 'failed'": {
        "executions_failed_say_why",
        "executions_dead_letters_have_a_cause",
    },
    "UPDATE calls SET truth = 'Succeeded' WHERE provider_call_id = 'fc-eu-2'": {"calls_truth_is_known"},
    "UPDATE transitions SET cause = 'magic' WHERE id = 1": {"transitions_cause_is_known"},
}
NOT_CHECKED_BY_THE_SCHEMA = {
    "UPDATE executions SET region = 'EU' WHERE region = 'eu' AND question = 'q0'": {
        "executions_region_is_canonical",
        "executions_ran_in_the_region_asked",
    },
    "UPDATE executions SET executed_region = 'us' WHERE region = 'eu' AND question = 'q0'": {
        "executions_ran_in_the_region_asked"
    },
    "UPDATE calls SET truth = 'failed' WHERE region = 'apac'": {"completed_were_answered_by_a_provider"},
    "UPDATE calls SET region = 'eu-west' WHERE provider_call_id = 'fc-eu'": {"calls_region_is_canonical"},
    "UPDATE executions SET answer_kind = 'refusal' WHERE answer = '' AND region = 'eu'": {
        "executions_blank_answers_are_empty"
    },
    "UPDATE attempts SET number = 4 WHERE number = 2 AND settled_at IS NULL": {"attempts_within_budget"},
    "DELETE FROM transitions WHERE to_status = 'completed' AND id = (SELECT max(id) FROM transitions "
    "WHERE to_status = 'completed')": {"status_is_that_of_the_last_transition"},
    "UPDATE transitions SET from_status = 'completed' WHERE id = (SELECT max(id) FROM transitions "
    "WHERE to_status = 'completed')": {"transitions_are_legal"},
    "UPDATE executions SET started_at = '2001-01-01 00:00:00' WHERE region = 'eu' AND question = 'q0'": {
        "executions_generation_takes_a_sane_time"
    },
    "UPDATE executions SET completed_at = '2101-01-01 00:00:00' WHERE region = 'eu' AND question = 'q0'": {
        "executions_generation_takes_a_sane_time",
        "executions_latency_is_in_range",
    },
    "UPDATE jobs SET created_at = '2001-01-01 00:00:00'": {"jobs_something_was_asked_lately"},
}


@pytest.mark.parametrize("fault", NOT_CHECKED_BY_THE_SCHEMA)
def test_each_fault_is_found_by_its_tests(record: str, fault: str) -> None:
    damage(record, fault)
    found = set(unwell(checked())) - {"regions_complete_alike"}
    assert found == NOT_CHECKED_BY_THE_SCHEMA[fault]


@pytest.mark.parametrize("fault", CHECKED_BY_THE_SCHEMA)
def test_what_the_schema_refuses_is_found_where_it_got_in_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    monkeypatch.setenv("BEACON_DATABASE_URL", url)
    a_sound_record(url)
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
        connection.exec_driver_sql(fault)
    engine.dispose()
    found = set(unwell(checked()))
    assert found - {"regions_complete_alike"} == CHECKED_BY_THE_SCHEMA[fault] - {"regions_complete_alike"}


def test_another_catalogs_jobs_had_another_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    monkeypatch.setenv("BEACON_DATABASE_URL", url)
    a_sound_record(url, digest="another")
    damage(url, "UPDATE attempts SET number = 9 WHERE number = 2")
    assert unwell(checked("attempts_within_budget")) == {}


def test_one_shell_command_for_analysts(tmp_path: Path) -> None:
    env = environment(tmp_path)
    url = f"sqlite:///{Path(env['DAGSTER_HOME']) / 'ledger.db'}"
    Path(env["DAGSTER_HOME"]).mkdir()
    a_sound_record(url)
    done = beacon_here(env, "check")
    assert done.exit_code == 0, done.stderr
    assert "WARN=1" in done.stdout

    damage(url, "UPDATE executions SET executed_region = 'us' WHERE status = 'completed'")
    done = beacon_here(env, "check", "--select", "executions", "--json")
    assert done.exit_code == 1, done.stderr
    failed = [r for r in json.loads(done.stdout)["results"] if r["status"] == "fail"]
    assert [r["unique_id"].split(".")[2] for r in failed] == ["executions_ran_in_the_region_asked"]
    assert failed[0]["adapter_response"]["failing_rows"]

    done = beacon_here(env, "check", "--select", "executoins")
    assert done.exit_code == 2
    assert "executions" in done.stderr
    assert "Traceback" not in done.stderr


SOUND = """
models:
  - name: executions
    columns:
      - name: id
        data_tests: [not_null]
      - name: model
        data_tests:
          - accepted_values: {name: only_these_models, arguments: {values: [tiny-llama]}}
"""


def with_own(folder: Path, text: str | None) -> Catalog:
    """The catalog with a file of one's own in its checks folder, or with nothing in it."""
    (folder / "checks").mkdir()
    if text is not None:
        (folder / "checks" / "own.yml").write_text(text)
    return CATALOG.model_copy(update={"folder": folder})


def test_the_catalogs_folder_may_hold_more(tmp_path: Path, record: str) -> None:
    shipped, tests = ledger_checks(CATALOG), ledger_checks(with_own(tmp_path, SOUND))
    assert unwell(run_tests([test for test in tests if test.name == "only_these_models"], *ledger_target()))
    # Of two tests that say the same, the one that ships is called as ever.
    added = [test.name for test in tests if test not in shipped]
    assert added == ["own_not_null_executions_id", "only_these_models"]
    assert tests[: len(shipped)] == shipped


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as made:
        yield made


def test_in_dagster_they_are_checks_on_the_ledger_those_of_ones_own_among_them(
    tmp_path: Path, record: str, instance: dg.DagsterInstance
) -> None:
    damage(record, "UPDATE executions SET region = 'EU' WHERE region = 'eu' AND question <> 'q3'")
    evaluations = evaluated(with_own(tmp_path, SOUND), instance)
    assert evaluations.keys() - {test.name for test in ledger_checks(CATALOG)} == {
        OWN_CHECKS_LOAD,
        "own_not_null_executions_id",
        "only_these_models",
    }
    assert evaluations.keys() >= {test.name for test in ledger_checks(CATALOG)}
    assert evaluations[OWN_CHECKS_LOAD].passed
    assert {e.asset_key for e in evaluations.values()} == {LEDGER}
    alias = evaluations["executions_region_is_canonical"]
    assert (alias.passed, alias.severity) == (False, dg.AssetCheckSeverity.ERROR)
    rows = alias.metadata["failing_rows"]
    assert isinstance(rows, dg.TableMetadataValue)
    assert [row.data["region"] for row in rows.records] == ["EU"] * 3
    assert all(row.data["id"] for row in rows.records), "the row can be found again"
    assert evaluations["regions_complete_alike"].severity is dg.AssetCheckSeverity.WARN


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SOUND.replace("not_null", "nut_null"), "own.yml:6:22: unknown test 'nut_null': did you mean"),
        (f"{SOUND}      - [", "not YAML"),
        (None, "no .yml, .yaml or .sql file in this folder"),
    ],
)
def test_a_fault_in_tests_of_ones_own_fails_a_check_and_keeps_those_that_ship(
    tmp_path: Path, text: str | None, said: str
) -> None:
    load, *others = ledger_asset_checks(with_own(tmp_path, text), LedgerResource())
    assert {spec.name for checks in others for spec in checks.check_specs} == {
        test.name for test in ledger_checks(CATALOG)
    }
    told = load()
    assert isinstance(told, dg.AssetCheckResult)
    assert (told.passed, told.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert said in str((told.metadata or {})["seen"])


def test_a_fault_in_tests_of_ones_own_stops_nobody_elses_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance
) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    monkeypatch.setenv("BEACON_DATABASE_URL", url)
    a_sound_record(url)
    evaluations = evaluated(with_own(tmp_path, None), instance)
    assert evaluations.keys() == {test.name for test in ledger_checks(CATALOG)} | {OWN_CHECKS_LOAD}
    assert not evaluations.pop(OWN_CHECKS_LOAD).passed
    assert [name for name, found in evaluations.items() if not found.passed] == ["regions_complete_alike"]


def evaluated(catalog: Catalog, instance: dg.DagsterInstance) -> dict[str, dg.AssetCheckEvaluation]:
    job = build_definitions(catalog).resolve_job_def(LEDGER_CHECKS_JOB)
    result = job.execute_in_process(instance=instance)
    return {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}


def test_the_shell_tells_a_fault_in_tests_of_ones_own(tmp_path: Path) -> None:
    folder = tmp_path / "catalog"
    make_catalog(folder, "demo")
    with_own(folder, SOUND.replace("not_null", "nut_null"))
    env = environment(tmp_path) | {"BEACON_CATALOG": str(folder)}
    for arguments, code in ((("check",), 2), (("doctor", "--json"), 1)):
        done = beacon_here(env, *arguments)
        assert done.exit_code == code, (done.stdout, done.stderr)
        told = done.stdout + done.stderr
        assert "checks/own.yml:6:22: unknown test 'nut_null'" in told
        assert "Traceback" not in told


def test_they_run_once_after_each_job(
    database_url: str, monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance
) -> None:
    monkeypatch.setenv("BEACON_DATABASE_URL", database_url)
    monkeypatch.setattr("beacon_pipeline.defs.assets.ledger.QUIET", timedelta(0))
    cursor: str | None = None

    def tick() -> list[str | None]:
        nonlocal cursor
        context = dg.build_sensor_context(
            instance=instance, cursor=cursor, resources={"ledger": LedgerResource()}
        )
        ticked = ledger_checks_sensor.evaluate_tick(context)
        cursor = ticked.cursor
        return [request.run_key for request in ticked.run_requests or []]

    def settle(ledger: Ledger, name: str) -> None:
        job = ledger.jobs.ensure(name, source="launch", catalog="demo", catalog_digest="d")
        ledger.executions.ensure(job.id, CELLS[:1], actor="test")
        call = ledger.calls.open(
            ledger.executions.of_job(job.id), a_request_for, provider="local", actor="test"
        )
        assert call is not None
        assert tick() == [], "not settled yet"
        (execution,) = ledger.executions.of_job(job.id)
        ledger.calls.settle(call.id, {execution.id: completed(region="us")}, SUCCEEDED, actor="test")

    with closing(Ledger(database_url)) as ledger:
        ledger.migrate()
        assert tick() == []
        keys = []
        for name in ("first", "second"):
            settle(ledger, name)
            keys += tick()
            assert tick() == []
        assert len(set(keys)) == 2


def test_a_ledger_that_takes_long_to_read_is_read_less_often(
    monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance
) -> None:
    now = datetime.now(UTC)
    monkeypatch.setattr("beacon_pipeline.defs.assets.ledger.LONG", timedelta(0))
    assert rests(instance, now) is None, "it was never looked at"

    @dg.job(name=LEDGER_CHECKS_JOB)
    def job() -> None:
        """As long as it takes, and looks at nothing."""

    under_way = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    assert rests(instance, now) == f"run {under_way.run_id} looks at it"
    instance.report_run_failed(under_way)
    assert rests(instance, now) is None, "it never began"
    job.execute_in_process(instance=instance)
    assert "the last look took" in (rests(instance, datetime.now(UTC)) or "")
    assert rests(instance, now + timedelta(hours=1)) is None
    monkeypatch.setattr("beacon_pipeline.defs.assets.ledger.LONG", timedelta(hours=1))
    assert rests(instance, datetime.now(UTC)) is None, "what is short costs nothing"
