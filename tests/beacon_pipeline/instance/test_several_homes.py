"""The production shape without a shared disk: code server, daemon and shell have a home each, and between
them only PostgreSQL. As `deploy/compose.yaml` has it, with Modal's stand-in for the models. Each process is
killed in turn while its calls are pending: nothing is asked twice."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import yaml

from beacon_pipeline.instance.folder import console_script
from beacon_pipeline.ledger import Ledger
from tests.beacon_pipeline.instances import BEACON, ROOT, beacon, beacon_here, environment, report
from tests.beacon_pipeline.modal_catalog import write_modal_catalog
from tests.databases import fresh_postgresql_database
from tests.inference.replies import reply_to
from tests.modal_loopback import Loopback
from tests.modal_loopback.faults import PendingUntilReleased
from tests.ports import free_port
from tests.waiting import end_of, wait_for

DEPLOY = ROOT / "deploy"


@dataclass(frozen=True)
class Size:
    """How much is asked, by which selection, and which processes are killed."""

    models: tuple[str, ...]
    questions: int
    selection: tuple[str, ...]
    deployments: int
    killed: tuple[str, ...]

    @property
    def executions(self) -> int:
        return self.deployments * self.questions


SHORT = Size(("tiny-llama",), 4, ("--region", "eu"), 1, ("worker", "shell"))
WHOLE = Size((), 80, (), 9, ("worker", "code", "daemon", "shell"))


class Machines:
    """Hosts that share nothing but a database: a home and a working folder for each."""

    def __init__(self, folder: Path, shared: dict[str, str], port: int) -> None:
        self._folder = folder
        self._port = port
        workspace = yaml.safe_load((DEPLOY / "workspace.yaml").read_text())
        workspace["load_from"][0]["grpc_server"] |= {"host": "127.0.0.1", "port": port}
        self._workspace = json.dumps(workspace)
        self._shared = shared
        self._serving: dict[str, subprocess.Popen[bytes]] = {}

    def env(self, name: str) -> dict[str, str]:
        """The environment of one of them; its home is empty until `beacon` makes it."""
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        (folder / "workspace.yaml").write_text(self._workspace)
        own = {"BEACON_WORKSPACE": str(folder / "workspace.yaml")}
        return environment(folder) | self._shared | own

    def log(self, name: str) -> str:
        return end_of(self._folder / name / "log")

    def start(self, name: str, *arguments: str) -> None:
        """What a container does: `deploy/entrypoint.sh`, then its command; and wait until it is healthy."""
        env = self.env(name) | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        command = {"code": self._code_server, "daemon": self._daemon, "shell": self._shell}[name]()
        entry = [] if name == "shell" else ["sh", str(DEPLOY / "entrypoint.sh")]
        with (self._folder / name / "log").open("ab") as log:
            self._serving[name] = subprocess.Popen(
                [*entry, *command, *arguments], env=env, cwd=self._folder / name, stdout=log, stderr=log
            )
        check = {
            "code": ("dagster", "api", "grpc-health-check", "--port", str(self._port)),
            "daemon": ("dagster-daemon", "liveness-check"),
        }.get(name)
        if check is not None:
            # As the start period of a health check has it: before there is a `dagster.yaml`, Dagster's own
            # command would make an instance of files. And each look is a process of two seconds of CPU.
            begun = {"code": "Started Dagster code server", "daemon": "is ready"}[name]
            wait_for(f"the {name}", lambda: begun in self.log(name), lambda: self.log(name))
            wait_for(f"the {name}", lambda: healthy(env, *check), lambda: self.log(name), every=5)

    def kill(self, name: str) -> None:
        """kill -9, and a new start, as a supervisor does it; but of a run worker and of a person's shell."""
        if name == "worker":
            wait_for("a run worker", self._workers)[0].kill()
            return
        self._serving[name].kill()
        self._serving[name].wait()
        if name != "shell":
            self.start(name)

    def _workers(self) -> list[psutil.Process]:
        """The processes that execute runs: children of the code server."""
        found = []
        for process in psutil.Process(self._serving["code"].pid).children(recursive=True):
            with suppress(psutil.Error):  # it ended meanwhile
                if "multiprocessing.spawn" in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def stop(self) -> None:
        for process in self._serving.values():
            with suppress(psutil.NoSuchProcess):
                for each in [*psutil.Process(process.pid).children(recursive=True), process]:
                    with suppress(psutil.NoSuchProcess):
                        each.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _code_server(self) -> list[str]:
        command = commands()["code"]
        command[command.index("4000")] = str(self._port)
        return [word.replace("0.0.0.0", "127.0.0.1") for word in command]

    def _daemon(self) -> list[str]:
        return ["dagster-daemon", "run", "--workspace", str(self._folder / "daemon" / "workspace.yaml")]

    def _shell(self) -> list[str]:
        return [BEACON, "run"]


def commands() -> dict[str, list[str]]:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    return {name: list(service["command"]) for name, service in services.items() if "command" in service}


def healthy(env: dict[str, str], *check: str) -> bool:
    """The health check of a container, as `compose.yaml` has it."""
    command = [console_script(check[0]), *check[1:]]
    return subprocess.run(command, env=env, capture_output=True, check=False).returncode == 0


@pytest.mark.timeout(900)
@pytest.mark.long  # the short one too: an instance of four processes takes half a minute of two cores
@pytest.mark.parametrize("size", [SHORT, WHOLE], ids=["short", "whole"])
def test_each_process_is_killed_in_turn(size: Size, postgresql_url: str, tmp_path: Path) -> None:
    url = fresh_postgresql_database(postgresql_url)
    with (
        Loopback(tmp_path / "modal", answer=reply_to) as modal,
        installed(size, modal, url, tmp_path) as hosts,
    ):
        shell = hosts.env("shell")
        modal.inject(PendingUntilReleased())
        hosts.start("shell", *size.selection)
        # Killed before that, the next process spawns the request again, and no container takes it twice.
        wait_for("all calls' ids", lambda: accepted(url) == size.deployments, lambda: hosts.log("shell"))
        for name in size.killed:
            hosts.kill(name)
        modal.clear()
        modal.release()
        again = beacon(shell, "run", *size.selection)
        assert again.returncode == 0, f"{again.stderr}\n{hosts.log('daemon')}"

        found = report(shell)
        assert (found["executions"], found["mismatches"]) == (size.executions, 0)
        assert found["by_status"] == {**dict.fromkeys(found["by_status"], 0), "completed": size.executions}
        nothing_was_asked_twice(size, modal, url)
        assert not (tmp_path / "shell" / "home" / "daemon.log").exists(), "the other one's daemon is used"
        for name in ("code", "daemon", "shell"):
            assert list((tmp_path / name / "home").glob("history*")) == [], "nothing is kept on the disk"
        archive = tmp_path / "elsewhere"
        assert beacon_here(shell, "export", "--to", f"file://{archive}").exit_code == 0
        verified = beacon_here(environment(tmp_path / "reader"), "verify", str(archive))
        assert verified.exit_code == 0, verified.stdout


@contextmanager
def installed(size: Size, modal: Loopback, url: str, folder: Path) -> Iterator[Machines]:
    """Code server and daemon of an installation, with its models deployed."""
    catalog = write_modal_catalog(folder / "catalog", models=size.models)
    asked = [
        {"id": f"q{n:02d}", "text": f"What is {n} plus {n}?", "category": "control", "sensitivity": "low"}
        for n in range(size.questions)
    ]
    (catalog / "questions.yaml").write_text(yaml.safe_dump({"questions": asked}))
    shared = modal.client_environment() | {
        "DAGSTER_POSTGRES_URL": url,
        "BEACON_DATABASE_URL": url,
        "BEACON_CATALOG": str(catalog),
    }
    hosts = Machines(folder, shared, free_port())
    try:
        deployed = beacon(hosts.env("shell"), "deploy")
        assert deployed.returncode == 0, deployed.stderr
        hosts.start("code")
        hosts.start("daemon")
        yield hosts
    finally:
        hosts.stop()


def accepted(url: str) -> int:
    """How many calls are on record with Modal's id."""
    with closing(Ledger(url)) as ledger:
        return sum(call.provider_call_id is not None for call in ledger.calls.unsettled())


def nothing_was_asked_twice(size: Size, modal: Loopback, url: str) -> None:
    """Every execution is an item of one request, and every request came to Modal once."""
    asked = Counter(event["request_id"] for event in modal.events("spawn"))
    assert set(asked.values()) == {1}
    with closing(Ledger(url)) as ledger:
        executions = ledger.executions.of_job(ledger.jobs.newest()[0].id)
    assert {len(e.attempts) for e in executions} == {1}
    assert {e.attempts[0].call.id for e in executions} == set(asked)
    assert len(asked) == size.deployments
