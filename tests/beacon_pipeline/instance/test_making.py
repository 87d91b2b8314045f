"""Several commands make one instance at the same moment, and it is whole."""

import subprocess
from pathlib import Path

import dagster as dg
import pytest

from beacon_pipeline.instance.dagster_yaml import DATABASE_VARIABLE
from beacon_pipeline.names import POOL
from tests.beacon_pipeline.instances import BEACON, environment
from tests.databases import KINDS, fresh_postgresql_database
from tests.waiting import PATIENCE_SECONDS


@pytest.mark.parametrize("kind", KINDS)
def test_three_commands_at_once_on_nothing(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    env = environment(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", env["DAGSTER_HOME"])
    if kind == "postgresql":
        url = fresh_postgresql_database(request.getfixturevalue("postgresql_url"))
        env |= {DATABASE_VARIABLE: url, "BEACON_DATABASE_URL": url}
        monkeypatch.setenv(DATABASE_VARIABLE, f"postgresql+psycopg2://{url.partition('://')[2]}")
    commands = [
        subprocess.Popen([BEACON, "cancel", "none"], env=env, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for command in commands:
        _, said = command.communicate(timeout=PATIENCE_SECONDS)
        assert (command.returncode, "unknown job 'none'" in said) == (2, True), said
    with dg.DagsterInstance.from_config(env["DAGSTER_HOME"]) as instance:
        assert instance.get_runs() == []
        assert instance.get_daemon_heartbeats() == {}
        limits = {limit.name: limit.limit for limit in instance.event_log_storage.get_pool_limits()}
        assert limits[POOL] > 0, "the first runs are counted, too"
