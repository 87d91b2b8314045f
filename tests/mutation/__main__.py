"""Try a bounded sample of mutants of the pure modules with their tests: `make mutation`.

Each mutant is one process, forked after the libraries were imported once; the table of what was found is
written into docs/mutation.md. `python -m tests.mutation MODULE…` tries these modules only and writes
nothing.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import platform
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType

import dagster  # noqa: F401 - imported before the forks, which then share it
import pytest
import sqlalchemy  # noqa: F401

from tests.mutation.modules import MODULES
from tests.mutation.mutants import Mutant, mutants_of, sample

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "mutation.md"
MOST = int(os.environ.get("MUTANTS", "24"))  # of one module
PARALLEL = 2
LIMIT_SECONDS = 120
REQUIRED = 0.9
PYTEST = ("-x", "-q", "-p", "no:cacheprovider", "-p", "pytest_asyncio.plugin", "-p", "pytest_timeout")


class _Loader(importlib.abc.Loader):
    def __init__(self, code: CodeType) -> None:
        self.code = code

    def exec_module(self, module: ModuleType) -> None:
        exec(self.code, module.__dict__)


class _Finder(importlib.abc.MetaPathFinder):
    """Gives a mutant where its module is imported."""

    def __init__(self, name: str, path: Path, source: str) -> None:
        self.name, self.path = name, path
        self.loader = _Loader(compile(source, str(path), "exec"))

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self.path, loader=self.loader)


@dataclass(frozen=True)
class Found:
    """What became of a module's mutants."""

    module: str
    made: int
    tried: int
    survivors: tuple[Mutant, ...]

    @property
    def rate(self) -> float:
        return 1 - len(self.survivors) / self.tried if self.tried else 1.0


def path_of(module: str) -> Path:
    return ROOT / (module.replace(".", "/") + ".py")


def start(module: str, source: str) -> int:
    """Fork a process that runs the module's tests on this source; returns its id."""
    pid = os.fork()
    if pid:
        return pid
    status = 70
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        sys.meta_path.insert(0, _Finder(module, path_of(module), source))
        tests = [*MODULES[module], "-k", "not postgresql"]
        status = int(pytest.main([*PYTEST, *tests]))
    finally:
        os._exit(status)


def passes(pids: dict[int, float]) -> tuple[int, bool]:
    """Wait for one of these processes; returns its id, and whether its tests passed."""
    while True:
        for pid, begun in pids.items():
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                return pid, os.waitstatus_to_exitcode(status) == 0
            if time.monotonic() - begun > LIMIT_SECONDS:
                os.killpg(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                return pid, False  # it runs for ever: that would be noticed
        time.sleep(0.02)


def survivors(module: str, mutants: Sequence[Mutant]) -> list[Mutant]:
    """Those of these mutants with which the module's tests pass."""
    waiting, running, alive = list(mutants), dict[int, Mutant](), []
    begun: dict[int, float] = {}
    while waiting or running:
        while waiting and len(running) < PARALLEL:
            mutant = waiting.pop(0)
            pid = start(module, mutant.source)
            running[pid], begun[pid] = mutant, time.monotonic()
        pid, passed = passes(begun)
        del begun[pid]
        mutant = running.pop(pid)
        if passed:
            alive.append(mutant)
    return alive


def examine(module: str) -> Found:
    """Raises SystemExit where the tests fail on the module as it is."""
    source = path_of(module).read_text(encoding="utf-8")
    as_it_is = Mutant(0, "none", source)
    if survivors(module, [as_it_is]) != [as_it_is]:
        raise SystemExit(f"{module}: its tests fail as it is")
    every = mutants_of(source)
    tried = sample(every, MOST, module)
    found = Found(module, len(every), len(tried), tuple(survivors(module, tried)))
    print(f"{module}: {found.tried - len(found.survivors)} of {found.tried} found", flush=True)
    for mutant in found.survivors:
        print(f"    line {mutant.line}: {mutant.change}", flush=True)
    return found


def machine() -> str:
    return f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"


def document(found: Sequence[Found], seconds: float) -> str:
    rows = "\n".join(
        f"| `{one.module}` | {one.made} | {one.tried} | {one.tried - len(one.survivors)} | {one.rate:.0%} |"
        for one in found
    )
    tried, alive = sum(one.tried for one in found), sum(len(one.survivors) for one in found)
    return f"""# Tests that bite

`make mutation` changes one place of a pure module, runs the module's tests, and looks whether they fail. It
tries at most {MOST} changes of each module, always the same ones, and fails where fewer than
{REQUIRED:.0%} are found. Changed are comparisons, boolean operators, conditions, constants, returned values,
sums, guards and calls made for their effect; annotations, docstrings, decorators, parts of f-strings and log
messages are not.

| module | mutants | tried | found | |
| --- | ---: | ---: | ---: | ---: |
{rows}
| all | {sum(one.made for one in found)} | {tried} | {tried - alive} | {1 - alive / tried:.0%} |

Taken on {machine()}, in {seconds / 60:.0f} minutes.
"""


def main(arguments: Sequence[str]) -> int:
    begun = time.monotonic()
    found = [examine(module) for module in (arguments or MODULES)]
    if not arguments:
        DOCUMENT.write_text(document(found, time.monotonic() - begun), encoding="utf-8")
    return int(any(one.rate < REQUIRED for one in found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
