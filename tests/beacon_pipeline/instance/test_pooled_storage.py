"""The pooled storages leave the same rows behind as Dagster's own, and outlive a connection that breaks."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa
import yaml

# What the daemon writes of a sensor, a run of its partitions; Dagster has no public names for it.
from dagster._core.events import (  # noqa: TID251
    AssetMaterializationPlannedData,
    AssetObservationData,
    DagsterEvent,
    EngineEventData,
    StepMaterializationData,
)
from dagster._core.remote_origin import (  # noqa: TID251
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (  # noqa: TID251
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
)
from dagster._core.storage.event_log import SqlEventLogStorage  # noqa: TID251
from dagster._core.storage.schedules import SqlScheduleStorage  # noqa: TID251
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin  # noqa: TID251

from beacon_pipeline.instance.event_batches import in_one_batch
from beacon_pipeline.instance.pooled_storage import (
    OPEN_SHARDS,
    PooledPostgresEventLog,
    PooledPostgresRuns,
    PooledPostgresSchedules,
    PooledSqliteEventLog,
    PooledSqliteRuns,
)
from tests.databases import KINDS, fresh_postgresql_database

MODULE = "beacon_pipeline.instance.pooled_storage"
PARTITIONS = dg.StaticPartitionsDefinition(["a", "b"])


@dg.asset(partitions_def=PARTITIONS, check_specs=[dg.AssetCheckSpec("fine", asset="answer")])
def answer() -> Iterator[Any]:
    yield dg.MaterializeResult(
        metadata={"characters": 3}, check_results=[dg.AssetCheckResult(passed=True, metadata={"n": 1})]
    )


@dg.asset(partitions_def=PARTITIONS)
def several() -> None:
    pass


@pytest.fixture(params=KINDS)
def storages(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, dict[str, Any]]:
    """The storage of a `dagster.yaml`, as Dagster has it and as ours, by name."""
    monkeypatch.setenv("DAGSTER_DISABLE_TELEMETRY", "1")
    if request.param == "sqlite":
        return {
            "stock": {"sqlite": {"base_dir": str(tmp_path / "stock")}},
            "pooled": custom("PooledSqliteStorage", base_dir=str(tmp_path / "pooled")),
        }
    server = request.getfixturevalue("postgresql_url")
    urls = [fresh_postgresql_database(server) for _ in range(2)]
    return {
        "stock": stock(urls[0]),
        # Plain, as a person writes it: SQLAlchemy's choice of a driver is not Dagster's.
        "pooled": custom("PooledPostgresStorage", postgres_url=urls[1]),
    }


def stock(url: str) -> dict[str, Any]:
    return {"postgres": {"postgres_url": url.replace("://", "+psycopg2://", 1)}}


def custom(name: str, **config: str) -> dict[str, Any]:
    return {"custom": {"module": MODULE, "class": name, "config": config}}


def opened(folder: Path, storage: dict[str, Any]) -> dg.DagsterInstance:
    folder.mkdir(exist_ok=True)
    (folder / "dagster.yaml").write_text(
        yaml.safe_dump({"storage": storage, "telemetry": {"enabled": False}})
    )
    return dg.DagsterInstance.from_config(str(folder))


def run(instance: dg.DagsterInstance, partition: str) -> str:
    return dg.materialize([answer], instance=instance, partition_key=partition).run_id


def what_is_kept(instance: dg.DagsterInstance) -> dict[str, Any]:
    """All that a reader finds of two runs, without ids and times."""
    runs = [run(instance, "a"), run(instance, "b")]
    key = dg.AssetKey("answer")
    fetched = instance.fetch_materializations(key, limit=10).records
    checks = instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(key, "fine"), limit=10
    )
    return {
        "events": [
            [(e.dagster_event_type, e.step_key, e.dagster_event is not None) for e in instance.all_logs(r)]
            for r in runs
        ],
        "runs": [(r.status, sorted(r.tags.items())) for r in instance.get_runs()],
        "materializations": [
            (m.partition_key, m.asset_materialization.metadata) for m in fetched if m.asset_materialization
        ],
        "partitions": instance.get_materialized_partitions(key),
        "checks": [(c.status, c.event and c.event.dagster_event_type) for c in checks],
        "assets": instance.all_asset_keys(),
    }


def test_the_same_rows_are_left_behind(tmp_path: Path, storages: dict[str, dict[str, Any]]) -> None:
    kept = {}
    for name, storage in storages.items():
        with opened(tmp_path / f"home-{name}", storage) as instance:
            kept[name] = what_is_kept(instance)
    assert kept["pooled"] == kept["stock"]
    assert kept["stock"]["partitions"] == {"a", "b"}


def an_event(kind: str, data: Any) -> DagsterEvent:
    return DagsterEvent(kind, "job", event_specific_data=data)


def events_of(partition: str) -> Iterator[DagsterEvent]:
    """All that the run of a cell reports of it."""
    key = dg.AssetKey("answer")
    tags = {"dagster/data_version": partition}
    yield an_event("ASSET_MATERIALIZATION_PLANNED", AssetMaterializationPlannedData(key, partition))
    shown = dg.AssetMaterialization(key, partition=partition, metadata={"characters": 3}, tags=tags)
    yield an_event("ASSET_MATERIALIZATION", StepMaterializationData(shown))
    for check in ("fine", "wise"):
        found = dg.AssetCheckEvaluation(
            asset_key=key, check_name=check, passed=partition != "b", partition=partition
        )
        yield an_event("ASSET_CHECK_EVALUATION", found)
    seen = dg.AssetObservation(key, partition=partition, metadata={"others": 1})
    yield an_event("ASSET_OBSERVATION", AssetObservationData(seen))


def report(
    instance: dg.DagsterInstance, events: Iterable[DagsterEvent], timestamp: float | None = None
) -> None:
    with in_one_batch(instance):
        for event in events:
            instance.report_dagster_event(event, RUN, timestamp=timestamp)


def all_rows(instance: dg.DagsterInstance) -> dict[str, list[tuple[Any, ...]]]:
    storage = instance.event_log_storage
    assert isinstance(storage, SqlEventLogStorage)
    found = {}
    for shard, connection in (("index", storage.index_connection()), ("run", storage.run_connection(RUN))):
        with connection as opened:
            for name in ("event_logs", "asset_keys", "asset_event_tags", "asset_check_executions"):
                table = sa.Table(name, sa.MetaData(), autoload_with=opened)
                columns = [column for column in table.columns if column.name != "create_timestamp"]
                rows = opened.execute(sa.select(*columns).order_by(table.c.id))
                found[f"{shard} {name}"] = [tuple(row) for row in rows]
    return found


RUN = "11111111-2222-3333-4444-555555555555"


def test_a_batch_leaves_the_same_rows(tmp_path: Path, storages: dict[str, dict[str, Any]]) -> None:
    """The very ids and texts that the stock storage writes event by event, of one run after the other."""
    rows = {}
    for name, storage in storages.items():
        with opened(tmp_path / f"home-{name}", storage) as instance:
            for n, partitions in enumerate(["abc", "ab", "c"]):
                events = [event for partition in partitions for event in events_of(partition)]
                report(instance, events, timestamp=1e9 + n)
            rows[name] = all_rows(instance)
    assert rows["pooled"] == rows["stock"]
    assert len(rows["stock"]["index event_logs"]) == 6 * 5
    assert rows["stock"]["index asset_event_tags"], "what Dagster indexes is among them"


def test_what_was_written_together_is_what_would_be_read(
    tmp_path: Path, storages: dict[str, dict[str, Any]]
) -> None:
    with opened(tmp_path / "home", storages["pooled"]) as instance:
        with in_one_batch(instance) as written:
            for event in [*events_of("a"), *events_of("b")]:
                instance.report_dagster_event(event, RUN)
            assert written == []
        filtered = dg.AssetRecordsFilter(asset_key=dg.AssetKey("answer"))
        read = instance.fetch_materializations(filtered, limit=10, ascending=True).records
        assert [record for record in written if record.asset_materialization] == read
        assert len(read) == 2


def test_another_event_keeps_its_place_after_a_batch_that_is_under_way(
    tmp_path: Path, storages: dict[str, dict[str, Any]]
) -> None:
    with opened(tmp_path / "home", storages["pooled"]) as instance:
        with in_one_batch(instance):
            for event in [*events_of("a"), an_event("ENGINE_EVENT", EngineEventData()), *events_of("b")]:
                instance.report_dagster_event(event, RUN)
            assert len(instance.all_logs(RUN)) == 6, "the second cell waits for the end"
        kinds = [e.dagster_event.event_type_value for e in instance.all_logs(RUN) if e.dagster_event]
        assert kinds == [e.event_type_value for e in events_of("a")] + ["ENGINE_EVENT"] + kinds[:5]


def test_an_event_that_cannot_be_written_keeps_no_other_from_it(
    tmp_path: Path, storages: dict[str, dict[str, Any]]
) -> None:
    with opened(tmp_path / "home", storages["pooled"]) as instance:
        reported = [*events_of("a"), *events_of("\ud800"), *events_of("b")]
        with pytest.raises(UnicodeEncodeError):
            report(instance, reported)
        assert instance.get_materialized_partitions(dg.AssetKey("answer")) == {"a", "b"}
        shown = [e.dagster_event.partition for e in instance.all_logs(RUN) if e.dagster_event]
        assert shown.count("a") == shown.count("b") == 3, "each once"


def test_a_run_that_is_interrupted_writes_what_it_had_reported(
    tmp_path: Path, storages: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path / "home", storages["pooled"]) as instance:
        storage = instance.event_log_storage
        assert isinstance(storage, SqlEventLogStorage)
        store = storage._store_asset_event

        def interrupted(*event: Any) -> None:
            signal.raise_signal(signal.SIGINT)
            store(*event)

        monkeypatch.setattr(storage, "_store_asset_event", interrupted)
        with pytest.raises(KeyboardInterrupt):
            report(instance, events_of("a"))
        assert len(instance.all_logs(RUN)) == 5


def test_the_planned_materializations_of_a_run_are_one_batch(
    tmp_path: Path, storages: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path / "home", storages["pooled"]) as instance:
        batches: list[list[str]] = []
        storage = instance.event_log_storage
        write = storage.store_event_batch

        def noted(events: Sequence[dg.EventLogEntry]) -> None:
            batches.append([e.dagster_event_type.value for e in events if e.dagster_event_type])
            write(events)

        monkeypatch.setattr(storage, "store_event_batch", noted)
        tags = {"dagster/asset_partition_range_start": "a", "dagster/asset_partition_range_end": "b"}
        run_id = dg.materialize([several], instance=instance, tags=tags).run_id
        planned = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
        assert batches[0] == [planned.value] * 2
        assert len(instance.all_logs(run_id, of_type=planned)) == 2


def test_the_class_that_is_named_is_the_one_that_works(
    tmp_path: Path, storages: dict[str, dict[str, Any]]
) -> None:
    with opened(tmp_path / "home", storages["pooled"]) as instance:
        assert isinstance(instance.event_log_storage, PooledSqliteEventLog | PooledPostgresEventLog)
        assert isinstance(instance.run_storage, PooledSqliteRuns | PooledPostgresRuns)


def test_it_opens_what_the_stock_storage_wrote_and_the_other_way_round(
    tmp_path: Path, storages: dict[str, dict[str, Any]]
) -> None:
    pooled = storages["pooled"]["custom"]["config"]
    theirs = {"sqlite": pooled} if "base_dir" in pooled else stock(pooled["postgres_url"])
    with opened(tmp_path / "home", theirs) as instance:
        run(instance, "a")
    with opened(tmp_path / "home", storages["pooled"]) as instance:
        assert instance.get_materialized_partitions(dg.AssetKey("answer")) == {"a"}
        run(instance, "b")
    with opened(tmp_path / "home", theirs) as instance:
        assert instance.get_materialized_partitions(dg.AssetKey("answer")) == {"a", "b"}


def test_few_files_are_open_however_many_runs_are_read(tmp_path: Path) -> None:
    with opened(tmp_path / "home", custom("PooledSqliteStorage", base_dir=str(tmp_path / "s"))) as instance:
        storage = instance.event_log_storage
        assert isinstance(storage, PooledSqliteEventLog)
        for n in range(OPEN_SHARDS + 5):
            with storage.run_connection(f"run-{n}"):
                pass
        assert len(storage._engines) == OPEN_SHARDS
        storage.wipe()
        assert [path.name for path in (tmp_path / "s/history/runs").glob("*.db")] == ["index.db"]
        assert instance.all_asset_keys() == []


def test_a_server_that_dropped_the_connections_is_asked_again(postgresql_url: str, tmp_path: Path) -> None:
    url = fresh_postgresql_database(postgresql_url)
    config = custom("PooledPostgresStorage", postgres_url=url)
    with opened(tmp_path / "home", config) as instance:
        run(instance, "a")
        engine = sa.create_engine(url.replace("://", "+psycopg2://", 1), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(
                sa.text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
        engine.dispose()
        run(instance, "b")
        assert instance.get_materialized_partitions(dg.AssetKey("answer")) == {"a", "b"}


def test_a_daemon_killed_while_it_wrote_a_sensors_state_stops_no_sensor(
    tmp_path: Path, storages: dict[str, dict[str, Any]]
) -> None:
    """Of its two rows the first is there: Dagster's own storage refuses to add it, for ever."""
    state = a_sensors_state()
    with opened(tmp_path / "home", storages["pooled"]) as instance:
        storage = instance.schedule_storage
        assert isinstance(storage, SqlScheduleStorage)
        instance.add_instigator_state(state)
        with pytest.raises(dg.DagsterInvariantViolationError):
            instance.add_instigator_state(state)
        if not isinstance(storage, PooledPostgresSchedules):
            return  # there both are of one transaction
        with storage.connect() as connection:
            connection.execute(sa.text("DELETE FROM instigators"))
        assert instance.all_instigator_state() == []
        instance.add_instigator_state(state)
        assert [kept.selector_id for kept in instance.all_instigator_state()] == [state.selector_id]
        with pytest.raises(dg.DagsterInvariantViolationError):
            instance.add_instigator_state(state)


def a_sensors_state() -> InstigatorState:
    location = ManagedGrpcPythonEnvCodeLocationOrigin(
        LoadableTargetOrigin(module_name="m"), location_name="beacon"
    )
    origin = RemoteRepositoryOrigin(location, "__repository__").get_instigator_origin("reconciliation")
    return InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.DECLARED_IN_CODE)
