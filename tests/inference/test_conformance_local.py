"""The local provider keeps what every provider promises."""

import asyncio
import json
import shutil
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from inference.contract import ModelSource, Provider, Request
from inference.local.provider import LocalProvider
from tests.inference.borders import DEADLINE_SECONDS, GARBLED, Border, PromptRuntime, ended
from tests.inference.conformance import DurablePromises


class GatedRuntime(PromptRuntime):
    def __init__(self, border: "LocalBorder") -> None:
        super().__init__(border)
        self.gate = border.gate

    def wait(self) -> None:
        assert self.gate.wait(DEADLINE_SECONDS), "nothing released it"


class Ungated(Border):
    """All that a model in another process needs of a border."""

    def make(self) -> Provider:
        raise AssertionError("no provider is made here")

    refused = release = unreachable = make


def load_prompted(_source: ModelSource) -> PromptRuntime:
    return PromptRuntime(Ungated())


class LocalBorder(Border):
    """A folder of calls, and a model in this process that is asked item by item."""

    region = "eu"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.gate = threading.Event()
        self._folder = folder

    def make(self) -> Provider:
        return LocalProvider(self._folder, load=lambda _: GatedRuntime(self), batch_size=1)

    def fresh_starter(self) -> Provider:
        """Whose model can be made in another process: it has no gate."""
        self._made.append(LocalProvider(self._folder, load=load_prompted))
        return self._made[-1]

    def refused(self) -> Request:
        return self.request("../escape", "say a")

    def release(self) -> None:
        self.gate.set()

    @asynccontextmanager
    async def unreachable(self, call_id: str) -> AsyncIterator[Provider]:
        """Its files can be neither read nor written: folders and links in a circle where files should be."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not self.asked:  # a worker that cannot read its call leaves it to the next process
                await asyncio.sleep(0.01)
        end, cancel = (self._folder / "calls" / call_id / name for name in ("end.json", "cancel"))
        end.mkdir()
        cancel.symlink_to(cancel)
        yield self.provider()
        cancel.unlink()
        end.rmdir()

    @asynccontextmanager
    async def losing_submits(self) -> AsyncIterator[None]:
        """The store cannot be written: a file where its folder should be."""
        self._folder.write_text("")
        yield
        self._folder.unlink()

    async def forget(self, call_id: str) -> None:
        await ended(self.provider(), call_id)
        shutil.rmtree(self._folder / "calls" / call_id)

    async def garble(self, call_id: str) -> None:
        end = self._folder / "calls" / call_id / "end.json"
        kept = json.loads(end.read_text())
        kept["reply"]["items"] = GARBLED
        end.write_text(json.dumps(kept))


@pytest.fixture
async def border(tmp_path: Path) -> AsyncIterator[Border]:
    made = LocalBorder(tmp_path / "store")
    yield made
    await made.close()


class TestLocal(DurablePromises):
    pass
