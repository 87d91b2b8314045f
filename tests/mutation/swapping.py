"""Try mutants of functions in processes that have collected the tests already.

Most mutants change the body of one function. Such a one is tried by giving the function that is imported the
mutant's code, in a fork made after the tests were collected: nothing is imported again. What changes a module
or a class itself (a constant, a default, a decorator's argument) needs the module imported afresh; so does
what was computed while the tests were collected. The first is not tried here, and the second passes here
though it should not: so whatever passes is tried once more, afresh, before it counts as a survivor.
"""

from __future__ import annotations

import gc
import inspect
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from types import CodeType, FrameType, FunctionType

import pytest

Wait = Callable[[dict[int, float], float], tuple[int, int]]
TOO_SLOW = -9  # it was killed
# A mutant that runs for ever is found too: but not one that is only slow on a busy machine.
LEAST_SECONDS, TIMES_SLOWER = 20.0, 10


class TrySwapped:
    """A plugin that runs, for each mutant, the tests that call what it changes, and keeps which were found.

    ``calls``: a file for which test calls which functions.
    """

    def __init__(
        self, path: Path, source: str, mutants: Sequence[str], at_once: int, wait: Wait, calls: Path
    ) -> None:
        self.path, self.at_once, self.wait, self.calls = path, at_once, wait, calls
        original = _compiled(source, path)
        self.swaps = [_changed_functions(original, _compiled(mutant, path)) for mutant in mutants]
        self.found: list[int] = []
        self.seconds = 0.0
        self.called: dict[str, list[str]] | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """None in a fork, where the tests then run; True in the process that forks."""
        functions = _functions_of(self.path)
        gc.freeze()
        begun = time.monotonic()
        if not (pid := _fork()):
            self.called = {}
            return None
        if self.wait({pid: begun}, 3600.0)[1] != 0:
            session.testsfailed = 1
            return True
        self.seconds = time.monotonic() - begun
        tests = {test: set(names) for test, names in json.loads(self.calls.read_text("utf-8")).items()}
        covered = set[str]().union(*tests.values())
        waiting = [
            (i, swap)
            for i, swap in enumerate(self.swaps)
            if _can_swap(swap, functions) and covered & set(swap or ())
        ]
        running: dict[int, tuple[int, float]] = {}
        while waiting or running:
            while waiting and len(running) < self.at_once:
                index, swap = waiting.pop(0)
                if not (pid := _fork()):
                    for name, code in (swap or {}).items():
                        for function in functions[name]:
                            function.__code__ = code
                    chosen = [item for item in session.items if tests[item.nodeid] & set(swap or ())]
                    session.items[:] = chosen
                    return None
                running[pid] = index, time.monotonic()
            limit = max(LEAST_SECONDS, TIMES_SLOWER * self.seconds * self.at_once)
            pid, code = self.wait({pid: begun for pid, (_, begun) in running.items()}, limit)
            index, _ = running.pop(pid)
            if code in (pytest.ExitCode.TESTS_FAILED, TOO_SLOW):
                self.found.append(index)
        return True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """In the run of the module as it is: which of its functions each test calls."""
        if self.called is None:
            return (yield)
        names: set[str] = set()

        def note(frame: FrameType, event: str, _: object) -> None:
            if event == "call" and frame.f_code.co_filename == str(self.path):
                names.add(frame.f_code.co_qualname.partition(".<locals>")[0])

        threading.setprofile(note)
        sys.setprofile(note)
        try:
            return (yield)
        finally:
            sys.setprofile(None)
            threading.setprofile(None)  # type: ignore[arg-type]
            self.called[item.nodeid] = sorted(names)

    def pytest_sessionfinish(self) -> None:
        if self.called is not None:
            self.calls.write_text(json.dumps(self.called), encoding="utf-8")

    def written(self) -> str:
        return json.dumps({"seconds": self.seconds, "found": self.found})


def _fork() -> int:
    pid = os.fork()
    if not pid:
        os.setsid()
    return pid


def _compiled(source: str, path: Path) -> CodeType:
    code = compile(source, str(path), "exec")
    assert isinstance(code, CodeType)
    return code


def _functions_of(path: Path) -> dict[str, list[FunctionType]]:
    found: dict[str, list[FunctionType]] = {}
    for each in gc.get_objects():
        if isinstance(each, FunctionType) and each.__code__.co_filename == str(path):
            found.setdefault(each.__code__.co_qualname, []).append(each)
    return found


def _can_swap(swap: dict[str, CodeType] | None, functions: dict[str, list[FunctionType]]) -> bool:
    return bool(swap) and all(
        any(functions.get(name, ()))
        and all(len(f.__code__.co_freevars) == len(code.co_freevars) for f in functions[name])
        for name, code in (swap or {}).items()
    )


def _changed_functions(old: CodeType, new: CodeType) -> dict[str, CodeType] | None:
    """The functions of a module or class whose code differs; None where anything else of it does."""
    if _signature(old, whole=False) != _signature(new, whole=False):
        return None
    found: dict[str, CodeType] = {}
    for before, after in zip(_codes(old), _codes(new), strict=True):
        if before.co_flags & inspect.CO_OPTIMIZED:
            if _signature(before) != _signature(after):
                found[after.co_qualname] = after
        elif (inner := _changed_functions(before, after)) is None:
            return None
        else:
            found |= inner
    return found


def _codes(code: CodeType) -> list[CodeType]:
    return [constant for constant in code.co_consts if isinstance(constant, CodeType)]


def _signature(code: CodeType, whole: bool = True) -> tuple[object, ...]:
    """What makes two codes do the same; without ``whole`` the codes within it are left out."""
    constants = [
        (_signature(constant) if whole else constant.co_qualname)
        if isinstance(constant, CodeType)
        else (type(constant).__name__, repr(constant))
        for constant in code.co_consts
    ]
    return (
        code.co_qualname,
        code.co_code,
        code.co_names,
        code.co_varnames,
        code.co_freevars,
        code.co_cellvars,
        code.co_exceptiontable,
        tuple(constants),
    )
