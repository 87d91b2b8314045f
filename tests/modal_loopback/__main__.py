"""``python -m tests.modal_loopback``: the server as a process of its own, until SIGINT or SIGTERM."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from tests.modal_loopback.answers import Answer
from tests.modal_loopback.injections import INJECTED_LIST, Injected
from tests.modal_loopback.server import Service


def _load_answer(name: str) -> Answer:
    module, separator, function = name.partition(":")
    if not separator:
        raise click.BadParameter(f"{name!r} is not MODULE:FUNCTION", param_hint="--answer")
    try:
        found: Answer = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise click.BadParameter(str(error), param_hint="--answer") from error
    return found


@click.command()
@click.option("--port", default=0, show_default="any free one", help="For gRPC, on 127.0.0.1.")
@click.option("--state-dir", type=click.Path(path_type=Path), required=True, help="Where it keeps its files.")
@click.option("--faults", type=click.Path(exists=True, path_type=Path), help="A JSON list of faults.")
@click.option("--answer", help="MODULE:FUNCTION that answers calls in the server, without containers.")
@click.option("--preload", multiple=True, help="A module that containers have imported when they start.")
@click.option("--until-eof", is_flag=True, help="Stop also when the input ends, as it does with the parent.")
@click.option("--max-containers", type=int, help="At once, over all classes; default: the CPUs, at least 2.")
def main(
    port: int,
    state_dir: Path,
    faults: Path | None,
    answer: str | None,
    preload: tuple[str, ...],
    until_eof: bool,
    max_containers: int | None,
) -> None:
    """Serve a loopback Modal, and print where as one line of JSON."""
    options: dict[str, Any] = {
        "port": port,
        "answer": _load_answer(answer) if answer else None,
        "preload": preload,
        "max_containers": max_containers,
    }
    try:
        injected = INJECTED_LIST.validate_json(faults.read_bytes()) if faults else []
    except ValueError as error:
        raise click.BadParameter(f"{faults} is no list of faults: {error}", param_hint="--faults") from error
    asyncio.run(_serve(state_dir.absolute(), injected, until_eof, options))


async def _serve(
    state_dir: Path, injected: Sequence[Injected], until_eof: bool, options: dict[str, Any]
) -> None:
    service = Service(state_dir, **options)
    for one in injected:
        service.injections.add(one)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if until_eof:
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), stop.set)
    await service.start()
    print(json.dumps({"url": service.url, "control": service.control, "pid": os.getpid()}), flush=True)
    try:
        await stop.wait()
    finally:
        await service.stop()


if __name__ == "__main__":
    main()
