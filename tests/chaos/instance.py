"""A real instance for chaos: its catalog, its databases, its daemon, and its processes to be killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import yaml

from beacon_pipeline.catalog import SHIPPED
from beacon_pipeline.instance.dagster_yaml import DATABASE_VARIABLE
from beacon_pipeline.instance.folder import console_script
from beacon_pipeline.instance.postgres import started_server
from tests.beacon_pipeline.instances import BEACON, environment
from tests.chaos.location import SEED_VARIABLE
from tests.databases import fresh_postgresql_database

MODELS, REGIONS = ("one", "two"), ("us", "eu", "apac")
DEADLINE_SECONDS = 8
FIRST_WORKER_PATIENCE_SECONDS = 90.0  # for a run to kill: the daemon has only just begun
WORKER_PATIENCE_SECONDS = 5.0


def a_catalog(folder: Path, questions: int) -> Path:
    """Two models in three regions, and that many questions; impatient."""
    made = folder / "catalog"
    shutil.copytree(SHIPPED / "demo", made)
    model = {"provider": "local", "folder": ".", "revision": "r", "dtype": "float32"}
    limits = {"context_tokens": 512, "max_new_tokens": 48}
    models = [{"id": name, "name": name, **model, **limits} for name in MODELS]
    (made / "models.yaml").write_text(json.dumps({"models": models}))
    kind = {"category": "control", "sensitivity": "low"}
    asked = [{"id": f"q{n:03}", "text": f"What is {n}?", **kind} for n in range(questions)]
    (made / "questions.yaml").write_text(json.dumps({"questions": asked}))
    patience = {"attempt_budget": 8, "deadline_seconds": DEADLINE_SECONDS}
    (made / "settings.yaml").write_text(json.dumps(patience))
    return made


class Database:
    """The ledger's database, and under PostgreSQL Dagster's own too."""

    def __init__(self, folder: Path, *, postgresql: bool) -> None:
        self._file = folder / "home" / "ledger.db"
        self._server = started_server(folder / "postgresql", cleanup_mode="delete") if postgresql else None

    def variables(self) -> dict[str, str]:
        """What names a new database to an instance; nothing where its folder has it."""
        if self._server is None:
            return {}
        url = fresh_postgresql_database(self._server.get_uri())
        dagsters = f"postgresql+psycopg2://{url[len('postgresql://') :]}"
        return {"BEACON_DATABASE_URL": url, DATABASE_VARIABLE: dagsters}

    def disturb(self, seconds: float) -> None:
        """Stop the server and start it again, or lock the file, for so long."""
        if self._server is not None:
            self._server.stop()
            time.sleep(seconds)
            self._server.ensure_postgres_running()
            return
        connection = sqlite3.connect(self._file, timeout=60, isolation_level=None)
        try:
            connection.execute("BEGIN EXCLUSIVE")
            time.sleep(seconds)
            connection.execute("ROLLBACK")
        finally:
            connection.close()

    def close(self) -> None:
        if self._server is not None:
            self._server.cleanup()


@contextmanager
def an_instance(folder: Path, seed: int, *, questions: int, postgresql: bool) -> Iterator[Instance]:
    """An instance in ``folder``; its environment is this process's too while the context lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    database = Database(folder, postgresql=postgresql)
    env = environment(folder, location="tests.chaos.location") | database.variables()
    env |= {
        SEED_VARIABLE: str(seed),
        "BEACON_CATALOG": str(a_catalog(folder, questions)),
        "BEACON_ALERT_INTERVAL_SECONDS": "2",
    }
    for code, said in at_once(env, *[("cancel", "none")] * 3):
        assert (code, "unknown job 'none'" in said) == (2, True), said
    _shorten_intervals(Path(env["DAGSTER_HOME"]) / "dagster.yaml")
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(env)
    instance = Instance(env, folder, database)
    try:
        yield instance
    finally:
        instance.stop()
        database.close()
        os.environ.clear()
        os.environ.update(before)


def at_once(env: dict[str, str], *commands: tuple[str, ...]) -> list[tuple[int, str]]:
    """Let several commands begin at the same moment; exit code and last words of each.

    Where they find nothing, each would make the instance.
    """
    started = [
        subprocess.Popen(
            [BEACON, *command], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        for command in commands
    ]
    said = [command.communicate(timeout=600)[1] for command in started]
    return [(command.returncode, text) for command, text in zip(started, said, strict=True)]


def _shorten_intervals(path: Path) -> None:
    # Without its first line the file is ours, and stays as it is.
    configuration = yaml.safe_load(path.read_text())
    configuration["run_monitoring"] |= {"poll_interval_seconds": 1, "start_timeout_seconds": 45}
    path.write_text(yaml.safe_dump(configuration))


class Instance:
    """The instance's daemon and the processes that work for it."""

    def __init__(self, env: dict[str, str], folder: Path, database: Database) -> None:
        self.env, self.folder, self.database = env, folder, database
        self.log = folder / "daemon.log"
        self._daemon: subprocess.Popen[bytes] | None = None
        self._not_before = 0.0
        self._killed_a_worker = False
        self._others = 0

    def nothing(self) -> dict[str, str]:
        """The environment of an instance that is not there yet, beside this one."""
        self._others += 1
        home = self.folder / f"other-{self._others}"
        return self.env | {"DAGSTER_HOME": str(home)} | self.database.variables()

    def ensure_daemon(self) -> None:
        """Start the daemon unless it runs, or was killed a moment ago: what a supervisor does."""
        if time.monotonic() < self._not_before or (self._daemon and self._daemon.poll() is None):
            return
        with self.log.open("ab") as output:
            command = [console_script("dagster-daemon"), "run", "-w", self.env["BEACON_WORKSPACE"]]
            self._daemon = subprocess.Popen(
                command, env=self.env, stdout=output, stderr=output, start_new_session=True
            )

    def kill_daemon(self, seconds: float) -> bool:
        """Kill the daemon; a new one comes after so long. Whether there was one."""
        if self._daemon is None or self._daemon.poll() is not None:
            return False
        self._daemon.kill()
        self._daemon.wait()
        self._not_before = time.monotonic() + seconds
        return True

    def kill_everything(self, seconds: float) -> bool:
        """Kill all that works for the instance at once; the daemon comes back after so long.

        Whether there was anything.
        """
        killed = 0
        processes = self._processes()
        for kill in (psutil.Process.suspend, psutil.Process.kill):  # none sees another die
            for process in processes:
                with suppress(psutil.Error):
                    kill(process)
                    killed += 1
        if self._daemon is not None:
            self._daemon.wait()
        self._not_before = time.monotonic() + seconds
        return killed > 0

    def kill_worker(self, choice: float) -> bool:
        """Kill one of the processes that execute runs, or the next one to come. Whether there was one."""
        patience = WORKER_PATIENCE_SECONDS if self._killed_a_worker else FIRST_WORKER_PATIENCE_SECONDS
        deadline = time.monotonic() + patience
        while not (workers := [p for p in self._processes() if _executes_a_run(p)]):
            if time.monotonic() > deadline:
                return False
            self.ensure_daemon()
            time.sleep(0.2)
        with suppress(psutil.NoSuchProcess):
            workers[int(choice * len(workers))].kill()
            self._killed_a_worker = True
        return True

    def _processes(self) -> list[psutil.Process]:
        """The processes of this very instance, ours and PostgreSQL's apart."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                of_ours = process.environ().get("DAGSTER_HOME") == self.env["DAGSTER_HOME"]
                is_server = process.name().startswith("postgres")
                if of_ours and not is_server and process.pid != os.getpid():
                    found.append(process)
        return sorted(found, key=lambda process: process.pid)

    def stop(self) -> None:
        """End everything that works for the instance."""
        if self._daemon is not None and self._daemon.poll() is None:
            self._daemon.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._daemon.wait(15)
        for process in self._processes():
            with suppress(psutil.Error):
                process.kill()


def _executes_a_run(process: psutil.Process) -> bool:
    # One process for each run: a fork of the daemon's fork server, or spawned by the code server.
    try:
        parent = process.parent()
        forked = parent is not None and "multiprocessing.forkserver" in " ".join(parent.cmdline())
        return forked or "spawn_main" in " ".join(process.cmdline())
    except psutil.Error:
        return False
