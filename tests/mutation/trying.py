"""Run a module's tests against a mutant of it, in a forked process.

The libraries that the tests import are imported once, before the forks; only the project's own modules are
imported again for each mutant. That is why neither mutmut nor cosmic-ray does this: cosmic-ray starts a new
process for each mutant, at four seconds of imports; mutmut 3 first runs the whole suite to learn which test
reaches which function, and leaves tables, guards and conditions as they are.
"""

from __future__ import annotations

import ast
import gc
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import CodeType, ModuleType

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.mutation.mutants import Mutant
from tests.mutation.swapping import LEAST_SECONDS, TIMES_SLOWER, TOO_SLOW, TrySwapped

ROOT = Path(__file__).resolve().parents[2]
OURS = ("beacon_pipeline", "inference", "dbt_like_checks", "tests", "benchmarks", "examples")
PYTEST = (
    "-x",
    "-q",
    *("-p", "pytest_asyncio.plugin", "-p", "pytest_timeout", "-p", "_hypothesis_pytestplugin"),
    "--hypothesis-profile=mutation",
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # of plugins imported before
)

# Nothing of a mutant's failure is kept, and none is made smaller.
settings.register_profile(
    "mutation",
    deadline=None,
    database=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


class _OnSqlite:
    """Leaves out what would start a PostgreSQL server (each holds on SQLite too) and what measures time."""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [
            item
            for item in items
            if "takes_linear_time" not in item.name
            and "postgresql_url" not in getattr(item, "fixturenames", ())
            and not any(type(value) is str and value == "postgresql" for value in _parameters(item))
        ]


def _parameters(item: pytest.Item) -> list[object]:
    return list(getattr(getattr(item, "callspec", None), "params", {}).values())


class _Loader(importlib.abc.Loader):
    def __init__(self, code: CodeType) -> None:
        self.code = code

    def exec_module(self, module: ModuleType) -> None:
        exec(self.code, module.__dict__)


class _Finder(importlib.abc.MetaPathFinder):
    """Gives a mutant where its module is imported."""

    def __init__(self, name: str, source: str) -> None:
        self.name, self.path = name, path_of(name)
        self.loader = _Loader(compile(source, str(self.path), "exec"))

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self.path, loader=self.loader)


def survivors(module: str, tests: tuple[str, ...], mutants: Sequence[Mutant], at_once: int) -> list[Mutant]:
    """Those of these mutants with which the tests pass.

    Raises SystemExit where the tests fail on the module as it is, or do not import it.
    """
    source = ast.unparse(ast.parse(path_of(module).read_text(encoding="utf-8")))
    _import_libraries(module, tests, source)
    gc.freeze()  # the forks then share these objects' pages
    with tempfile.TemporaryDirectory() as folder:
        result_path, calls = Path(folder, "result"), Path(folder, "calls")
        swapped = TrySwapped(
            path_of(module), source, [m.source for m in mutants], at_once, _first_done, calls
        )
        if not _passes(
            _start(module, tests, source, lambda: _write(result_path, swapped.written()), swapped)
        ):
            raise SystemExit(f"{module}: its tests fail once the libraries are imported")
        result = json.loads(result_path.read_text("utf-8"))
    waiting = [mutant for index, mutant in enumerate(mutants) if index not in result["found"]]
    limit = max(LEAST_SECONDS, TIMES_SLOWER * result["seconds"] * at_once)
    running: dict[int, tuple[Mutant, float]] = {}
    alive = []
    while waiting or running:
        while waiting and len(running) < at_once:
            mutant = waiting.pop(0)
            running[_start(module, tests, mutant.source)] = mutant, time.monotonic()
        pid, code = _first_done({pid: begun for pid, (_, begun) in running.items()}, limit)
        mutant, _ = running.pop(pid)
        if code == 0:
            alive.append(mutant)
    return sorted(alive, key=lambda mutant: (mutant.line, mutant.change))


def _import_libraries(module: str, tests: tuple[str, ...], source: str) -> None:
    """Run the tests once on the module as it is, and import here the libraries that they import."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "modules")
        if not _passes(_start(module, tests, source, lambda: _write(path, "\n".join(sys.modules)))):
            raise SystemExit(f"{module}: its tests fail as it is: {' '.join(tests)}")
        names = path.read_text("utf-8").split()
    if module not in names:
        raise SystemExit(f"{module}: its tests do not import it: {' '.join(tests)}")
    for name in names:
        if name.split(".")[0] not in OURS and name not in sys.modules:
            _import(name)


def path_of(module: str) -> Path:
    return ROOT / (module.replace(".", "/") + ".py")


def _import(name: str) -> None:
    """A module that is made while others run, or only as part of another, is left to them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            importlib.import_module(name)
        except (ImportError, AttributeError):
            return


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _passes(pid: int) -> bool:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def _start(
    module: str,
    tests: tuple[str, ...],
    source: str,
    at_end: Callable[[], None] = lambda: None,
    *plugins: object,
) -> int:
    """Fork a process that runs the tests on this source, and calls ``at_end``; returns its id."""
    pid = os.fork()
    if pid:
        return pid
    status, own = 70, os.getpid()
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        sys.meta_path.insert(0, _Finder(module, source))
        status = int(pytest.main([*PYTEST, *tests], plugins=[_OnSqlite(), *plugins]))
        if os.getpid() == own:
            at_end()
    finally:
        os._exit(status)


def _first_done(running: dict[int, float], limit: float) -> tuple[int, int]:
    """Wait for one of these processes; returns its id and its exit code, `TOO_SLOW` where it was killed."""
    while True:
        for pid, begun in running.items():
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                return pid, os.waitstatus_to_exitcode(status)
            if time.monotonic() - begun > limit:
                os.killpg(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                return pid, TOO_SLOW
        time.sleep(0.01)
