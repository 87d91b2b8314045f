"""Several commands make one instance at the same moment, and it is whole."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from beacon_pipeline.instance.dagster_yaml import DATABASE_VARIABLE
from beacon_pipeline.names import POOL
from tests.beacon_pipeline.instances import environment
from tests.databases import KINDS, fresh_postgresql_database
from tests.waiting import PATIENCE_SECONDS

# Forked when all is imported, they begin nearer to each other than three that import first.
THREE_COMMANDS = """
import os
import dagster_postgres
from beacon_pipeline.cli import main
from beacon_pipeline.instance import making, pooled_storage

children = []
for number in range(3):
    children.append(os.fork())
    if children[-1] == 0:
        os.dup2(os.open(f"said-{number}", os.O_CREAT | os.O_WRONLY, 0o600), 2)
        main(["cancel", "none"])
print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
"""


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
    command = [sys.executable, "-c", THREE_COMMANDS]
    done = subprocess.run(
        command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    said = [path.read_text() for path in sorted(tmp_path.glob("said-*"))]
    assert done.stdout.strip() == "[2, 2, 2]", (done.stderr, said)
    assert ["unknown job 'none'" in one for one in said] == [True] * 3, said
    with dg.DagsterInstance.from_config(env["DAGSTER_HOME"]) as instance:
        assert instance.get_runs() == []
        assert instance.get_daemon_heartbeats() == {}
        limits = {limit.name: limit.limit for limit in instance.event_log_storage.get_pool_limits()}
        assert limits[POOL] > 0, "the first runs are counted, too"
