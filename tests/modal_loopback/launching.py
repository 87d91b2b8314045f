"""Starting containers: each in a folder and an environment of its own, from nothing or from a template."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from modal_proto import api_pb2

from tests.modal_loopback.places import place
from tests.modal_loopback.wire import TASK_HEADER

TEMPLATE = Path(__file__).with_name("template.py")

# What the transformers runtime imports, little by little, until the shipped models have answered.
INFERENCE_LIBRARIES = (
    "torch",
    "transformers",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.llama.modeling_llama",
    "transformers.models.mistral.modeling_mistral",
    "transformers.models.qwen2.modeling_qwen2",
)


class Process(Protocol):
    """A running container: the leader of a process group."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    async def wait(self) -> int: ...


@dataclass(frozen=True)
class Container:
    """What a container's process is started with. The deployment's files are in ``folder``."""

    folder: Path
    environment: dict[str, str]
    log: Path


def prepare(
    root: Path,
    arguments: api_pb2.ContainerArguments,
    variables: dict[str, str],
    server_url: str,
    log: Path,
) -> Container:
    """Write what the entrypoint reads, and say how to start it.

    Of the server's own environment it has only what the machine needs: a container knows its image.
    """
    told = root / "arguments"
    told.write_bytes(arguments.SerializeToString())
    where = place(arguments.function_def)
    folder = root / "root"
    environment = {
        **_of_the_machine(),
        **variables,
        "PYTHONPATH": str(folder),
        "MODAL_SERVER_URL": server_url,
        "MODAL_DISABLE_API_PROXY": "1",
        "MODAL_IS_REMOTE": "1",
        "MODAL_ENVIRONMENT": arguments.environment_name,
        "MODAL_TASK_ID": arguments.task_id,
        "MODAL_IMAGE_ID": arguments.function_def.image_id,
        "MODAL_REGION": where.region,
        "MODAL_CLOUD_PROVIDER": where.cloud,
        "MODAL_CONTAINER_ARGUMENTS_PATH": str(told),
        # The SDK names no container in its requests.
        "MODAL_OVERRIDE_HEADERS": f"{TASK_HEADER}:{arguments.task_id}",
    }
    return Container(folder, environment, log)


def _of_the_machine() -> dict[str, str]:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    # Containers have machines of their own; here they share one, and must not fight for its CPUs.
    return {**inherited, "OMP_NUM_THREADS": "1"}


class Launcher:
    """Starts containers. With ``preload`` they are forked from a process that has imported these modules."""

    def __init__(self, preload: Sequence[str] = ()) -> None:
        self._template = Template(preload) if preload else None

    async def launch(self, container: Container) -> Process:
        """Start one. Raises OSError when it cannot be started."""
        if self._template is not None:
            return await self._template.fork(container)
        with container.log.open("wb") as output:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "modal._container_entrypoint",
                cwd=container.folder,
                env=container.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                process_group=0,
            )

    async def close(self) -> None:
        """Start no more."""
        if self._template is not None:
            await self._template.close()


@dataclass
class Forked:
    """A container that the template forked."""

    pid: int
    returncode: int | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self) -> int:
        await self.ended.wait()
        assert self.returncode is not None
        return self.returncode


class Template:
    """The process of ``template.py``, started with the first container."""

    def __init__(self, preload: Sequence[str]) -> None:
        self._preload = preload
        self._process: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None
        self._forked: dict[int, Forked] = {}
        self._born: asyncio.Queue[Forked | None] = asyncio.Queue()  # None: there will be no more
        self._one_at_a_time = asyncio.Lock()

    async def fork(self, container: Container) -> Forked:
        """A new container. Raises OSError when the template is gone."""
        async with self._one_at_a_time:
            if self._process is None:
                await self._start()
            assert self._process is not None
            assert self._process.stdin is not None
            line = {
                "folder": str(container.folder),
                "environment": container.environment,
                "log": str(container.log),
            }
            self._process.stdin.write(json.dumps(line).encode() + b"\n")
            born = await self._born.get()
            if born is None:
                self._born.put_nowait(None)
                raise OSError("the template of the containers has ended")
            return born

    async def _start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(TEMPLATE),
            *self._preload,
            env=_of_the_machine(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            process_group=0,
        )
        self._listening = asyncio.create_task(self._listen(self._process))

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            event = json.loads(line)
            if "started" in event:
                forked = self._forked[event["started"]] = Forked(event["started"])
                self._born.put_nowait(forked)
            else:
                forked = self._forked.pop(event["ended"])
                forked.returncode = event["code"]
                forked.ended.set()
        self._born.put_nowait(None)

    async def close(self) -> None:
        """End the template; its containers have ended before."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            await self._process.wait()
        if self._listening is not None:
            await self._listening
