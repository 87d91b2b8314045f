"""The production shape without a shared disk: code server, daemon and shell have a home each, and between
them only PostgreSQL. As `deploy/compose.yaml` has it, with Modal's stand-in for the models."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import yaml

from beacon_pipeline.instance.folder import console_script
from tests.beacon_pipeline.instances import BEACON, ROOT, beacon, environment, report
from tests.beacon_pipeline.modal_catalog import write_modal_catalog
from tests.databases import fresh_postgresql_database
from tests.modal_loopback import Loopback
from tests.ports import free_port
from tests.waiting import wait_for

DEPLOY = ROOT / "deploy"


class Machines:
    """Hosts that share nothing but a database: a home and a working folder for each."""

    def __init__(self, folder: Path, shared: dict[str, str], port: int) -> None:
        self._folder = folder
        self._port = port
        workspace = yaml.safe_load((DEPLOY / "workspace.yaml").read_text())
        workspace["load_from"][0]["grpc_server"] |= {"host": "127.0.0.1", "port": port}
        self._workspace = json.dumps(workspace)
        self._shared = shared

    def env(self, name: str) -> dict[str, str]:
        """The environment of one of them; its home is empty until `beacon` makes it."""
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        (folder / "workspace.yaml").write_text(self._workspace)
        own = {"BEACON_WORKSPACE": str(folder / "workspace.yaml")}
        return environment(folder) | self._shared | own

    @contextmanager
    def serving(self, name: str, *command: str) -> Iterator[subprocess.Popen[bytes]]:
        """What a container does: `deploy/entrypoint.sh`, then its command, until it is stopped."""
        env = self.env(name)
        with (self._folder / name / "log").open("ab") as log:
            process = subprocess.Popen(
                ["sh", str(DEPLOY / "entrypoint.sh"), *command],
                env=env | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
                cwd=self._folder / name,
                stdout=log,
                stderr=log,
            )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def code_server(self) -> list[str]:
        command = commands()["code"]
        command[command.index("4000")] = str(self._port)
        return [word.replace("0.0.0.0", "127.0.0.1") for word in command]

    def daemon(self) -> list[str]:
        return ["dagster-daemon", "run", "--workspace", str(self._folder / "daemon" / "workspace.yaml")]


def commands() -> dict[str, list[str]]:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    return {name: list(service["command"]) for name, service in services.items() if "command" in service}


def healthy(env: dict[str, str], *check: str) -> bool:
    """The health check of a container, as `compose.yaml` has it."""
    command = [console_script(check[0]), *check[1:]]
    return subprocess.run(command, env=env, capture_output=True, check=False).returncode == 0


@pytest.mark.long
@pytest.mark.timeout(900)
def test_every_process_has_a_home_of_its_own(postgresql_url: str, tmp_path: Path) -> None:
    url = fresh_postgresql_database(postgresql_url)
    catalog = write_modal_catalog(tmp_path / "catalog", models=["tiny-llama"])
    port = free_port()
    with ExitStack() as stack:
        modal = stack.enter_context(Loopback(tmp_path / "modal"))
        shared = modal.client_environment() | {
            "DAGSTER_POSTGRES_URL": url,
            "BEACON_DATABASE_URL": url,
            "BEACON_CATALOG": str(catalog),
        }
        machines = Machines(tmp_path, shared, port)
        shell = machines.env("shell")
        deployed = beacon(shell, "deploy")
        assert deployed.returncode == 0, deployed.stderr
        stack.enter_context(machines.serving("code", *machines.code_server()))
        code, daemon = machines.env("code"), machines.env("daemon")
        check = ("dagster", "api", "grpc-health-check", "--port", str(port))
        wait_for("the code server", lambda: healthy(code, *check))
        stack.enter_context(machines.serving("daemon", *machines.daemon()))
        wait_for("the daemon", lambda: healthy(daemon, "dagster-daemon", "liveness-check"))

        asked = subprocess.run(
            [BEACON, "run", "--region", "eu"],
            env=shell,
            cwd=tmp_path / "shell",
            capture_output=True,
            text=True,
            check=False,
        )
        log = (tmp_path / "daemon" / "log").read_text()[-3000:]
        assert asked.returncode == 0, f"{asked.stderr}\n{log}"
        found = report(shell)
        assert (found["executions"], found["mismatches"]) == (8, 0)
        assert found["by_status"]["completed"] == 8
        assert not (tmp_path / "shell" / "home" / "daemon.log").exists(), "the other one's daemon is used"
        assert list((tmp_path / "shell" / "home").glob("history*")) == [], "nothing is kept on the disk"
