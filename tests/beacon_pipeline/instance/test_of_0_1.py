"""An instance made by version 0.1, whose modules had other names, opens, shows the same, and heals."""

import json
import tarfile
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from alembic import command
from alembic.config import Config
from psycopg import sql

from beacon_pipeline.ledger.database import MIGRATIONS, Database
from beacon_pipeline.names import INFERENCE
from tests.beacon_pipeline.instances import COMPARING, beacon_here, environment, report, switch_off, witness

ARCHIVES = Path(__file__).parents[2] / "data" / "instance_of_0_1"
SHOWN = {
    *(
        f"{region}:tiny-qwen|{question}"
        for region in ("us", "eu")
        for question in ("identity_basic", "math_basic")
    ),
    *(f"apac:tiny-mistral|{question}" for question in ("geography_basic", "identity_basic")),
}


@pytest.fixture
def env(tmp_path: Path, empty_database_url: str) -> dict[str, str]:
    kind = "postgresql" if empty_database_url.startswith("postgresql") else "sqlite"
    with tarfile.open(ARCHIVES / f"{kind}.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    home = (tmp_path / ".beacon").rename(tmp_path / "home")
    if kind == "sqlite":
        return environment(tmp_path)
    put_back(empty_database_url, home / "tables")
    dagster_url = empty_database_url.replace("postgresql://", "postgresql+psycopg2://")
    return environment(tmp_path, database_url=empty_database_url) | {"DAGSTER_POSTGRES_URL": dagster_url}


def put_back(url: str, tables: Path) -> None:
    """Make the tables as 0.1 had them, and fill them."""
    storage = {"postgres": {"postgres_url": url.replace("postgresql://", "postgresql+psycopg2://")}}
    config = tables.parent / "of_0_1"
    config.mkdir()
    (config / "dagster.yaml").write_text(json.dumps({"storage": storage, "telemetry": {"enabled": False}}))
    with dg.DagsterInstance.from_config(str(config)) as instance:
        _ = instance.run_storage, instance.event_log_storage, instance.schedule_storage
    ledger_at(url, "0004")
    with psycopg.connect(url) as connection:
        connection.execute("SET session_replication_role = replica")  # the order of tables does not matter
        files = {path: sql.Identifier(*path.stem.split(".")) for path in sorted(tables.glob("*.copy"))}
        connection.execute(sql.SQL("TRUNCATE {} CASCADE").format(sql.SQL(", ").join(files.values())))
        for path, table in files.items():
            fill(connection, table, path)


def ledger_at(url: str, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))

    def make(connection: Any) -> None:
        connection.exec_driver_sql("CREATE SCHEMA IF NOT EXISTS beacon")
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    database = Database(url)
    database.write_uncounted(make)
    database.close()


def fill(connection: psycopg.Connection[Any], table: sql.Identifier, path: Path) -> None:
    columns, _, rows = path.read_text(encoding="utf-8").partition("\n")
    into = sql.SQL("COPY {} (" + columns + ") FROM STDIN").format(table)  # type: ignore[arg-type]
    with connection.cursor().copy(into) as copy:
        copy.write(rows)
    name = table.as_string(connection)
    if '"id"' in columns.split(",") and is_counted(connection, name):
        last = sql.SQL("SELECT setval(pg_get_serial_sequence({}, 'id'), max(id)) FROM {}")
        connection.execute(last.format(sql.Literal(name), table))


def is_counted(connection: psycopg.Connection[Any], name: str) -> bool:
    """Whether a table's ids come from a sequence."""
    return connection.execute("SELECT pg_get_serial_sequence(%s, 'id')", [name]).fetchone() != (None,)


def test_it_opens_and_shows_the_same(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = json.loads(beacon_here(env, "jobs", "--json").stdout)
    assert [(job["executions"], job["by_status"]["completed"]) for job in jobs] == [(2, 1), (4, 4)]
    for name in ("DAGSTER_HOME", "DAGSTER_POSTGRES_URL"):
        if name in env:
            monkeypatch.setenv(name, env[name])
    with dg.DagsterInstance.get() as instance:
        assert set(instance.get_materialized_partitions(INFERENCE)) == SHOWN


# A daemon and runs; that PostgreSQL opens and shows the same is above.
@pytest.mark.parametrize(
    "empty_database_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.long)], indirect=True
)
def test_it_heals(env: dict[str, str]) -> None:
    jobs = json.loads(beacon_here(env, "jobs", "--json").stdout)
    submitted = witness(env, "submissions")
    switch_off(env, COMPARING)
    healed = beacon_here(env, "reconcile")
    assert healed.exit_code == 0, healed.stderr + healed.stdout

    for job in jobs:
        told = report(env, "--job", job["job"])
        assert (told["by_status"]["completed"], told["mismatches"]) == (job["executions"], 0)
        assert told["by_region"].keys() == {"us", "eu", "apac"}
    assert witness(env, "submissions") == submitted, "no model was asked again"
