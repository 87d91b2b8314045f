"""`make dev POSTGRES=1`, as a person has it: the production configuration at home, and nothing left of it."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.beacon_pipeline.instances import BEACON, beacon, environment, processes_of, report
from tests.browser import wait_until_served
from tests.ports import free_port
from tests.waiting import PATIENCE_SECONDS

ASKED = ("--region", "eu", "--model", "tiny-qwen", "--question", "math_basic")


def exports_in(said: str) -> dict[str, str]:
    """What it tells other shells to set."""
    told = re.findall(r"^  export (\w+)=(.*)$", said, re.MULTILINE)
    return {name: value for name, quoted in told for value in shlex.split(quoted)}


@pytest.mark.long
@pytest.mark.timeout(600)
def test_another_shell_works_on_it_and_nothing_is_left_of_it(tmp_path: Path) -> None:
    env = environment(tmp_path)
    port, log = free_port(), tmp_path / "said"
    with log.open("wb") as said:
        dev = subprocess.Popen(
            [BEACON, "dev", "--postgresql", "--port", str(port)],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    try:
        wait_until_served(f"http://127.0.0.1:{port}", dev)
        exports = exports_in(log.read_text())
        assert exports["DAGSTER_HOME"] == env["DAGSTER_HOME"]
        another = env | exports
        assert "no job yet" in beacon(another, "status").stderr
        asked = beacon(another, "run", *ASKED, "--json")
        assert asked.returncode == 0, asked.stderr
        assert json.loads(asked.stdout)["by_status"]["completed"] == 1
        told = report(another)
        assert (told["executions"], told["mismatches"]) == (1, 0)
        assert all("postgresql" in url for name, url in exports.items() if name != "DAGSTER_HOME")
        assert not (Path(env["DAGSTER_HOME"]) / "ledger.db").exists()
        family = psutil.Process(dev.pid).children(recursive=True)
        dev.terminate()
        assert dev.wait(PATIENCE_SECONDS) == 0, log.read_text()
        _, alive = psutil.wait_procs(family, timeout=PATIENCE_SECONDS)
        assert alive == []
        left = processes_of(env)
        assert left == [], f"only `beacon dev` was told to end, and it left {left}"
        assert not (Path(env["DAGSTER_HOME"]) / "postgresql" / "postmaster.pid").exists(), (
            "PostgreSQL runs on"
        )
    finally:
        if dev.poll() is None:
            dev.kill()
            dev.wait()
