"""Fixtures that more than one package's tests use."""

import gc
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from multiprocessing import forkserver
from pathlib import Path
from unittest import mock

import dagster as dg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from hypothesis import HealthCheck, settings

from beacon_pipeline.ledger import Ledger
from tests.databases import (
    KINDS,
    fresh_postgresql_database,
    migrated_postgresql_database,
    migrated_sqlite_file,
    postgresql_server,
)
from tests.instance_template import copied_instance

# Several processes test at once, and OpenMP's threads, of which each would have one for every core, wait for
# one another by working: on a busy machine four fifths of what models cost.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Until all is collected: a third of that time would be the garbage collector's.
gc.disable()

# How fast a shared machine is today is no property of the code.
settings.register_profile("beacon", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("beacon")

# Their assertions are a test's, in modules that pytest does not take for one.
pytest.register_assert_rewrite("tests.inference.conformance", "tests.beacon_pipeline.ledger.migrated")

# Each takes a minute of real daemons and runs: begun first, none of them is what all others wait for.
FIRST = (
    "test_ui",
    "test_guides",
    "test_modal_runs",
    "test_incident",
    "test_cli",
    "test_reboot",
    "test_crash",
    "test_boundary",
    "test_daemon",
    "test_of_0_1",
)

# Dagster's and our databases commit thousands of times; on a disk, a fifth of the time would be its own.
MEMORY, ENOUGH_BYTES = Path("/dev/shm"), 4 * 2**30


def plenty_of_memory() -> Path | None:
    plenty = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ENOUGH_BYTES
    return MEMORY if plenty else None


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Let the tests write to memory where there is plenty, unless ``--basetemp`` says where.

    What a shell starts in the background ignores SIGINT, and so would all that the tests start.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.option.basetemp is None and (memory := plenty_of_memory()):
        folder = tempfile.mkdtemp(prefix="beacon-tests-", dir=memory)
        config.option.basetemp = f"{folder}/tests"
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


@pytest.hookimpl(optionalhook=True)  # without xdist there is no such hook
def pytest_xdist_auto_num_workers() -> int:
    """How many processes ``-n auto`` starts: two more than cores, for some wait for daemons and runs."""
    return (os.cpu_count() or 1) + 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the files of FIRST before all others, and everything else in its own order."""
    order = {name: position for position, name in enumerate(FIRST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(FIRST)))


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end: the garbage collector need not look at it."""
    gc.freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    """DuckDB's library complains at the end of what no one has collected."""
    if "duckdb" in sys.modules:
        gc.unfreeze()


@pytest.fixture(autouse=True, scope="session")
def _alembic_reads_its_scripts_once() -> Iterator[None]:
    """Dagster's 75 and our 11 migrations, which it compiles anew for each database and each file of a run."""
    with mock.patch.object(ScriptDirectory, "from_config", cache_by_folder(ScriptDirectory.from_config)):
        yield


@pytest.fixture(autouse=True, scope="session")
def _code_servers_are_waited_for() -> Iterator[None]:
    """A command's own process may end before the code server of its launch. Here it would be found by the
    garbage collector, in whichever test comes next, with a warning of a process that is still running."""
    with mock.patch.object(dg.DagsterInstance, "wait_for_local_code_server_processes_on_shutdown", True):
        yield


def cache_by_folder(read: Callable[[Config], ScriptDirectory]) -> Callable[[Config], ScriptDirectory]:
    kept: dict[str | None, ScriptDirectory] = {}

    def from_config(config: Config) -> ScriptDirectory:
        folder = config.get_main_option("script_location")
        if folder not in kept:
            kept[folder] = read(config)
        return kept[folder]

    return from_config


@pytest.fixture(scope="module")
def fork_server() -> Iterator[None]:
    """One for these tests alone: a process has one, with the libraries that whoever needed it first named."""
    forkserver._forkserver._stop()  # type: ignore[attr-defined]
    yield
    forkserver._forkserver._stop()  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """The URL of a running PostgreSQL server, one per test process."""
    # Outside pytest's own folders, which other sessions of the same user tidy up.
    where = plenty_of_memory()
    with tempfile.TemporaryDirectory(prefix="beacon-pg-", dir=where, ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)  # started as root, the server runs as another user
        with postgresql_server(Path(folder) / "data", durable=False) as url:
            yield url


@pytest.fixture(params=KINDS)
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    return fresh_postgresql_database(request.getfixturevalue("postgresql_url"))


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with the ledger's tables and no rows, of each kind in turn."""
    if request.param == "sqlite":
        return migrated_sqlite_file(tmp_path / "ledger.db")
    return migrated_postgresql_database(request.getfixturevalue("postgresql_url"))


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    """An empty ledger on each kind of database."""
    made = Ledger(database_url)
    yield made
    made.close()


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """A Dagster instance on the shipped storage, and an environment whose ledger is beside it."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("BEACON_DATABASE_URL", migrated_sqlite_file(tmp_path / "ledger.db"))
    with copied_instance(tmp_path) as made:
        yield made
