"""Between coroutines that do the work and the plain generator that Dagster runs."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class _End:
    error: BaseException | None


def stream(work: Callable[[Callable[[Item], None]], Coroutine[None, None, None]]) -> Iterator[Item]:
    """Give, in order and as it comes, everything that ``work`` emits.

    ``work`` is called with a function that emits one item, and its coroutine runs in an event
    loop on a thread of its own. Its error is raised here; leaving the iteration early cancels it.
    """
    items: queue.SimpleQueue[Item | _End] = queue.SimpleQueue()
    started: queue.SimpleQueue[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = queue.SimpleQueue()

    async def main() -> None:
        task = asyncio.ensure_future(work(items.put))
        started.put((asyncio.get_running_loop(), task))
        await task

    def run() -> None:
        error: BaseException | None = None
        try:
            asyncio.run(main())
        except BaseException as raised:  # noqa: BLE001  it is raised again in the thread that waits
            error = raised
        items.put(_End(error))

    thread = threading.Thread(target=run, name="beacon-stream")
    thread.start()
    loop, task = started.get()
    try:
        while not isinstance(item := items.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        if thread.is_alive():
            # The loop may close between the two lines: then there is nothing left to cancel.
            if not loop.is_closed():
                loop.call_soon_threadsafe(task.cancel)
            thread.join()
