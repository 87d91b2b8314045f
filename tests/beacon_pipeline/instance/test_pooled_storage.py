"""The pooled storages leave the same rows behind as Dagster's own, and outlive a connection that breaks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa
import yaml

# What the daemon writes of a sensor; Dagster has no public names for it.
from dagster._core.remote_origin import (  # noqa: TID251
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (  # noqa: TID251
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
)
from dagster._core.storage.schedules import SqlScheduleStorage  # noqa: TID251
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin  # noqa: TID251

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
