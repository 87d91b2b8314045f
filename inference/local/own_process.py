"""A model in a process of its own: what a container that answers one call is on Modal.

The process is forked from one that has imported the libraries and done nothing else (`multiprocessing`'s
*forkserver*), so nothing of an earlier call is in it, and it starts without seconds of imports. It ends
with the call, or when whoever started it is gone, and gives its memory back.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from types import ModuleType
from typing import Any, Self

from inference.contract import GenerationParameters, Item, ItemAnswer, ItemFailure, ModelSource, Provenance
from inference.model_files import ModelUnavailable
from inference.runtime.loading import summary
from inference.runtime.transformers import DeviceLost, Runtime

IMPORTED_BEFORE = ["inference.local.imported_before"]
END_SECONDS = 5.0  # for a process to end when it is no longer needed

Load = Callable[[ModelSource], Runtime]


class WorkerLost(DeviceLost):
    """The process of a call died, killed for its memory say: another one may well answer."""


class OwnProcess:
    """A `Runtime` in a process that lives as long as this context.

    ``load`` must be a function of a module, for the process imports it. Raises ModelUnavailable, WorkerLost.
    """

    def __init__(self, load: Load, source: ModelSource) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(IMPORTED_BEFORE)
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, load, source), daemon=True)
        with _without_main():
            self._process.start()
        theirs.close()  # or its end would never be noticed
        try:
            self._receive()
        except BaseException:
            self.end()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid or 0

    def answer(
        self, items: Sequence[Item], parameters: GenerationParameters, *, batch_size: int | None = None
    ) -> list[ItemAnswer | ItemFailure]:
        """As the runtime in the process answers. Raises WorkerLost."""
        results: list[ItemAnswer | ItemFailure] = self._ask(
            "answer", items, parameters, batch_size=batch_size
        )
        return results

    def provenance(self, batch_size: int) -> Provenance:
        """As the runtime in the process says. Raises WorkerLost."""
        provenance: Provenance = self._ask("provenance", batch_size)
        return provenance

    def end(self) -> None:
        """End the process. What it works on is lost."""
        self._pipe.close()
        self._process.kill()
        self._process.join(END_SECONDS)

    def _ask(self, method: str, *arguments: object, **options: object) -> Any:
        try:
            self._pipe.send((method, arguments, options))
        except OSError:
            raise self._lost() from None
        return self._receive()

    def _receive(self) -> Any:
        try:
            error, result = self._pipe.recv()
        except (EOFError, OSError):
            raise self._lost() from None
        if error is not None:
            raise error
        return result

    def _lost(self) -> WorkerLost:
        self._process.join(END_SECONDS)
        code = self._process.exitcode
        how = f"exit code {code}" if code is None or code >= 0 else signal.Signals(-code).name
        return WorkerLost(f"the process {self.pid} of this call ended before its answers: {how}")


_starting = threading.Lock()


@contextmanager
def _without_main() -> Iterator[None]:
    """Meanwhile this process has no main module: a new one would import it, and with it Dagster, or run a
    script that is not guarded against that a second time."""
    with _starting:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


def _serve(pipe: Connection, load: Load, source: ModelSource) -> None:
    """What runs in the process: load the model, then do what comes through the pipe until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: whoever started this decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    runtime: Any = None

    def start() -> None:
        nonlocal runtime
        runtime = load(source)

    pipe.send(_outcome(start))
    with suppress(EOFError, OSError):
        while True:
            method, arguments, options = pipe.recv()
            pipe.send(_outcome(lambda: getattr(runtime, method)(*arguments, **options)))  # noqa: B023 - called at once


def _outcome(work: Callable[[], object]) -> tuple[Exception | None, object]:
    """What was raised or returned; in words where it is a library's exception, which may not be picklable."""
    try:
        return None, work()
    except (ModelUnavailable, DeviceLost) as error:
        return type(error)(str(error)), None
    except Exception as error:  # noqa: BLE001 - raised again where it was asked
        return RuntimeError(summary(error)), None


def _end_with_parent() -> None:
    """A killed parent cannot end its children, and generation would go on to its end."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
