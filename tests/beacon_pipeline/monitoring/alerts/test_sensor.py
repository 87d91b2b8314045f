"""The alert sensor over real runs, on both storages of Dagster: what arrives where, and how often.

Every tick begins with nothing but what is stored, as after a restart of everything.
"""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from filelock import FileLock

from beacon_pipeline.defs.sensors.alerts import alert_sensor
from beacon_pipeline.execution.resources import LedgerResource
from beacon_pipeline.jobs.dagster_api import INFERENCE_JOB, LEDGER_CHECKS_JOB
from beacon_pipeline.monitoring.alerts import state as memories
from beacon_pipeline.monitoring.alerts.grouping import Failing, Passing
from beacon_pipeline.monitoring.alerts.sources.runs import first_positions, read_runs
from beacon_pipeline.monitoring.alerts.tick import reported, watch
from beacon_pipeline.names import INFERENCE, JOB_TAG, PARTITION_TAG
from beacon_pipeline.reconciliation.tick import SENSOR, Cursor, Trouble
from tests.beacon_pipeline.instances import ROOT, put_sensor_state
from tests.beacon_pipeline.monitoring.alerts.receivers import mail_server, webhook
from tests.beacon_pipeline.monitoring.alerts.write_checks import WRITTEN
from tests.beacon_pipeline.records import a_sound_record, damage
from tests.beacon_pipeline.scripted import Behaviour, says
from tests.beacon_pipeline.test_definitions import CATALOG, KEYS, Location, by_prompt
from tests.ports import free_port
from tests.waiting import PATIENCE_SECONDS

on_files = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
PARTITIONS = 40


class Watched:
    """An instance folder whose Dagster storage and ledger are in one database, or in files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def instance(self) -> dg.DagsterInstance:
        return dg.DagsterInstance.from_config(str(self.folder))

    def tick(self) -> str:
        """Evaluate the sensor as a daemon that was just started; the reason it gives."""
        with self.instance() as instance:
            definitions = Location(instance, Behaviour()).definitions
            with dg.build_sensor_context(
                instance=instance,
                repository_def=definitions.get_repository_def(),
                resources={"ledger": LedgerResource()},
            ) as context:
                skipped = definitions.resolve_sensor_def("alerts").evaluate_tick(context).skip_message
        assert skipped is not None
        return skipped

    def titles(self) -> list[str]:
        """What a round tells now."""
        with self.instance() as instance:
            return [message.title for message in watch(instance, LedgerResource().open, CATALOG).sent]

    def forget_the_delay(self) -> None:
        """As if the time until a failed target is tried again had passed."""
        with self.instance() as instance:
            memory = memories.load(instance)
            for state in memory.targets.values():
                state.not_before = datetime.now(UTC)
            memories.save(instance, memory)


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_url: str) -> Watched:
    storage = {}
    if database_url.startswith("postgresql"):
        url = database_url.replace("postgresql://", "postgresql+psycopg2://")
        storage = {"storage": {"postgres": {"postgres_url": url}}}
    (tmp_path / "dagster.yaml").write_text(json.dumps(storage | {"telemetry": {"enabled": False}}))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("BEACON_DATABASE_URL", database_url)
    monkeypatch.delenv("BEACON_ALERT_URLS", raising=False)
    return Watched(tmp_path)


@pytest.fixture
def location(watched: Watched) -> Iterator[Location]:
    """Empty and failing answers, then what is scripted after: all answers fine."""
    with watched.instance() as instance:
        yield Location(instance, Behaviour(results=by_prompt), Behaviour())


def test_each_alert_arrives_exactly_once_and_is_resolved_exactly_once(
    watched: Watched, location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    with webhook() as hook, mail_server() as (mailbox, mail_url):
        monkeypatch.setenv("BEACON_ALERT_URLS", f"{hook.url} {mail_url}")
        watched.tick()
        assert hook.titles == []
        run = location.ask()
        for _ in range(3):
            reason = watched.tick()
        assert "2 open alerts" in reason
        job = f"(job run-{run.run_id})"
        first = [
            "[Beacon] 1 question that a model answered without any text",
            f"[Beacon] 1 execution given up after the last attempt {job}",
        ]
        assert hook.titles == mailbox.titles == first
        check, failure = (message["message"] for message in hook.received)
        assert "- tiny-llama|identity_basic in eu: the model generated no visible text" in check
        of_partition = "partition=eu%3Atiny-llama%7Cidentity_basic"
        assert f"http://127.0.0.1:3000/assets/inference?view=partitions&{of_partition}" in check
        assert KEYS["math_basic"] in failure, "the run that failed for it is not told beside it"
        assert "‹b›boom‹/b›" in failure, "what a provider said is shown and obeyed by nobody"
        assert "\x1b" not in failure

        location.ask(**{"dagster/root_run_id": run.run_id, "dagster/parent_run_id": run.run_id})
        watched.tick()
        location.ask()
        watched.tick()
        assert "1 open alerts" in watched.tick(), "the finding stays one, whatever comes later"
        healed = [f"[Beacon] resolved: executions given up after the last attempt {job}"]
        assert hook.titles == mailbox.titles == first + healed
    with watched.instance() as instance:
        spans = {(one.cause, one.job, one.subject): one for one in reported(instance)}
    assert set(spans) == {
        ("dead_lettered", f"run-{run.run_id}", KEYS["math_basic"]),
        ("check:inference:non_empty_output", None, "tiny-llama|identity_basic"),
    }, "a page shows what was reported, also when it has ended"
    ended = {cause: one.until is not None and one.since < one.until for (cause, _, _), one in spans.items()}
    assert ended == {"dead_lettered": True, "check:inference:non_empty_output": False}


@on_files
def test_a_data_test_tells_its_table_its_count_and_its_first_row(
    watched: Watched, location: Location, database_url: str
) -> None:
    a_sound_record(database_url)
    damage(database_url, "UPDATE executions SET region = 'Mars-West' WHERE region = 'eu'")
    watched.titles()
    location.run(LEDGER_CHECKS_JOB)
    with watched.instance() as instance:
        told = watch(instance, LedgerResource().open, CATALOG).sent
    (message,) = [m for m in told if "executions_region_is_canonical" in m.title]
    assert "4 failing rows in executions; the first: " in message.body
    assert "region=Mars-West" in message.body
    assert "checkDetail=executions_region_is_canonical" in message.body


@on_files
def test_a_finding_is_told_once_for_all_regions_however_often_it_is_asked_again(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    with webhook() as hook, watched.instance() as instance:
        monkeypatch.setenv("BEACON_ALERT_URLS", hook.url)
        watched.tick()
        empty, said = Behaviour(results=lambda item: says("")(item)), Behaviour()
        location = Location(instance, empty, empty, said, empty)
        for hour, region in enumerate(("eu", "us", "eu", "eu")):
            key = KEYS["math_basic"].replace("eu:", f"{region}:")
            location.run(INFERENCE_JOB, key, **{JOB_TAG: f"hour-{hour}"})
            watched.tick()
        assert hook.titles == ["[Beacon] 1 question that a model answered without any text"]


@on_files
def test_a_run_that_a_person_ends_warns_of_nothing(
    watched: Watched, location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    with webhook() as hook:
        monkeypatch.setenv("BEACON_ALERT_URLS", hook.url)
        watched.tick()
        definition = location.definitions.resolve_job_def(INFERENCE_JOB)
        ended = location.instance.create_run_for_job(
            definition, tags={PARTITION_TAG: KEYS["math_basic"]}, status=dg.DagsterRunStatus.STARTED
        )
        location.instance.report_run_canceled(ended)
        watched.tick()
        assert hook.titles == []


@on_files
def test_what_the_ui_launches_is_told_without_dagsters_own_name_for_it(watched: Watched) -> None:
    with watched.instance() as instance:
        location = Location(instance, Behaviour())
        definition = location.definitions.resolve_implicit_global_asset_job_def()
        now = datetime.now(UTC)
        run = instance.create_run_for_job(
            definition,
            tags={PARTITION_TAG: KEYS["math_basic"]},
            status=dg.DagsterRunStatus.STARTED,
            asset_selection=frozenset({INFERENCE}),
        )
        instance.report_run_failed(run, "the process died")
        found, _ = read_runs(instance, None, first_positions(instance, now), now)
    assert [observation.subject for observation in found] == [f"materialization {KEYS['math_basic']}"]


@on_files
def test_a_first_look_begins_with_the_runs_of_the_last_minutes(watched: Watched, location: Location) -> None:
    location.ask()
    now = datetime.now(UTC)
    recent, _ = read_runs(location.instance, None, first_positions(location.instance, now), now)
    assert {type(observation) for observation in recent} == {Failing, Passing}
    later = now + timedelta(minutes=10)
    assert read_runs(location.instance, None, first_positions(location.instance, later), later)[0] == []


@on_files
def test_a_target_that_is_down_gets_everything_later_and_the_other_nothing_twice(
    watched: Watched, location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    with webhook() as hook:
        monkeypatch.setenv("BEACON_ALERT_URLS", f"{hook.url},json://127.0.0.1:{port}/SECRETTOKEN hunter2://x")
        watched.tick()
        location.ask()
        reason = watched.tick()
        assert "2 messages delivered, 2 waiting" in reason
        assert "BEACON_ALERT_URLS: entry 3 is no URL" in reason
        assert "0 messages delivered, 2 waiting" in watched.tick(), "not tried again at once"
        with webhook(port) as late:
            watched.forget_the_delay()
            watched.tick()
            watched.tick()
            assert late.titles == hook.titles
            assert len(late.titles) == 2
    with watched.instance() as instance:
        stored = instance.daemon_cursor_storage.get_cursor_values({memories.KEY})[memories.KEY]
    assert "SECRETTOKEN" not in stored
    assert memories.load(watched.instance()).outbox == []


@on_files
def test_killed_between_two_messages_the_first_is_not_sent_again(
    watched: Watched, location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.tick()
    location.ask()
    one_round = (
        "import dagster as dg; from beacon_pipeline.monitoring.alerts.tick import reported, watch;"
        "from beacon_pipeline.catalog import load_catalog;"
        "from beacon_pipeline.execution.resources import LedgerResource;"
        "watch(dg.DagsterInstance.get(), LedgerResource().open, load_catalog('demo'))"
    )
    with webhook() as hook:
        monkeypatch.setenv("BEACON_ALERT_URLS", f"{hook.url}?rto=100")
        hook.holds_after = 1
        killed = subprocess.Popen([sys.executable, "-c", one_round])
        assert hook.holding.wait(timeout=PATIENCE_SECONDS)
        killed.kill()
        killed.wait()
        hook.holds_after = None
        watched.tick()
        assert len(hook.titles) == len(set(hook.titles)) == 2


def test_every_evaluation_is_read_once_while_several_runs_write(watched: Watched) -> None:
    read: Counter[str] = Counter()
    writer = [sys.executable, "-m", "tests.beacon_pipeline.monitoring.alerts.write_checks"]
    with watched.instance() as instance:
        positions = first_positions(instance, datetime.now(UTC))
        runs = [subprocess.Popen([*writer, name], cwd=ROOT, stderr=subprocess.DEVNULL) for name in "ab"]
        while True:
            written = all(run.poll() is not None for run in runs)
            found, positions = read_runs(instance, None, positions, datetime.now(UTC))
            read.update(failing.subject for failing in found if isinstance(failing, Failing))
            if written:
                break
            time.sleep(0.05)
    assert [run.returncode for run in runs] == [0, 0]
    assert read == Counter({f"{name}-{number}": 1 for name in "ab" for number in range(WRITTEN)})


@on_files
def test_without_targets_alerts_are_kept_and_shown_in_the_tick(
    watched: Watched, location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.tick()
    location.ask()
    assert len(watched.titles()) == 2
    with webhook() as hook:
        monkeypatch.setenv("BEACON_ALERT_URLS", hook.url)
        watched.tick()
        assert hook.titles == [], "a new target begins with what is new"


def test_a_ledger_that_cannot_be_used_is_told_and_so_is_its_return(
    watched: Watched, location: Location, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    watched.tick()
    location.ask()
    watched.tick()
    monkeypatch.setenv("BEACON_DATABASE_URL", f"postgresql://beacon:SECRETTOKEN@127.0.0.1:{free_port()}/none")
    with watched.instance() as instance:
        (down,) = watch(instance, LedgerResource().open, CATALOG).sent
    assert down.title == "[Beacon] ledger cannot be used"
    assert "SECRETTOKEN" not in down.body
    monkeypatch.setenv("BEACON_DATABASE_URL", database_url)
    assert watched.titles() == ["[Beacon] resolved: ledger cannot be used"]


@on_files
def test_what_reconciliation_cannot_put_right_is_told_and_so_is_its_end(
    watched: Watched,
) -> None:
    now = datetime.now(UTC)
    down = Cursor(
        unreachable={"modal": Trouble(since=now, what="no Modal token")},
        gave_up={KEYS["math_basic"]: Trouble(since=now, what="3 runs changed nothing")},
    )
    with watched.instance() as instance:
        put_sensor_state(instance, SENSOR, running=True, cursor=down.model_dump_json())
    assert watched.titles() == [
        "[Beacon] 1 provider unreachable while executions wait",
        "[Beacon] 1 partition range that healing runs did not put right",
    ]
    assert watched.titles() == []
    with watched.instance() as instance:
        put_sensor_state(instance, SENSOR, running=True, cursor=Cursor().model_dump_json())
    assert watched.titles() == [
        "[Beacon] resolved: providers unreachable while executions wait",
        "[Beacon] resolved: partition ranges that healing runs did not put right",
    ]


@on_files
def test_many_failing_partitions_of_a_job_are_one_message_whatever_run_checked_them(watched: Watched) -> None:
    @dg.op
    def checks_of_another_job(context: dg.OpExecutionContext) -> None:
        for number in range(PARTITIONS):
            context.log_event(
                dg.AssetCheckEvaluation(
                    asset_key=INFERENCE,
                    check_name="status_consistency",
                    passed=False,
                    partition=f"eu:m|q{number:03d}",
                    metadata={"seen": f"wrong {number} <!channel> @everyone", "job": "nightly"},
                )
            )

    @dg.job
    def any_job() -> None:
        checks_of_another_job()

    watched.tick()
    with watched.instance() as instance:
        any_job.execute_in_process(instance=instance)
        (message,) = watch(instance, LedgerResource().open, CATALOG).sent
    assert message.title == (
        f"[Beacon] {PARTITIONS} partitions failing the check status_consistency of inference (job nightly)"
    )
    named = [line for line in message.body.splitlines() if line.startswith("- ")]
    assert named[0] == "- eu:m|q000: wrong 0 ‹!channel› ＠everyone"
    assert (len(named), named[-1]) == (6, f"- and {PARTITIONS - 5} more")


def test_a_check_reported_from_outside_any_run_counts(watched: Watched) -> None:
    def report(passed: bool) -> None:
        with watched.instance() as instance:
            instance.report_runless_asset_event(
                dg.AssetCheckEvaluation(asset_key=dg.AssetKey("a"), check_name="fresh", passed=passed)
            )

    report(passed=False)
    watched.tick()
    report(passed=False)
    assert watched.titles() == ["[Beacon] asset a failing the check fresh"]
    report(passed=True)
    assert watched.titles() == ["[Beacon] resolved: asset a failing the check fresh"]


@on_files
def test_a_memory_that_cannot_be_read_is_told_and_begun_anew(watched: Watched) -> None:
    with watched.instance() as instance:
        instance.daemon_cursor_storage.set_cursor_values({memories.KEY: '{"alerts": 1}'})
    assert watched.titles() == ["[Beacon] source of alerts cannot be read"]
    assert watched.titles() == ["[Beacon] resolved: source of alerts cannot be read"]


@on_files
def test_two_evaluations_at_once_do_not_both_tell(watched: Watched, tmp_path: Path) -> None:
    with FileLock(tmp_path / "alerts.lock"):
        assert "another process" in watched.tick()
    assert "0 open alerts" in watched.tick()


@on_files
def test_runs_long_done_are_not_looked_at_again(watched: Watched, location: Location) -> None:
    watched.tick()
    run = location.ask()
    watched.tick()
    with watched.instance() as instance:
        memory = memories.load(instance)
        assert memory.positions is not None
        assert list(memory.positions.runs) == [run.run_id]
        memory.positions.runs_created_since += timedelta(minutes=10)
        memory.positions.runs[run.run_id].done = True
        memories.save(instance, memory)
    watched.tick()
    with watched.instance() as instance:
        positions = memories.load(instance).positions
    assert positions is not None
    assert positions.runs == {}


def test_the_interval_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEACON_ALERT_INTERVAL_SECONDS", "5")
    assert alert_sensor(CATALOG).minimum_interval_seconds == 5
    monkeypatch.setenv("BEACON_ALERT_INTERVAL_SECONDS", "often")
    with pytest.raises(ValueError, match="BEACON_ALERT_INTERVAL_SECONDS is 'often': give a whole number"):
        alert_sensor(CATALOG)
