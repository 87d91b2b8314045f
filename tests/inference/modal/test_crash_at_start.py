"""A container that crashes while it starts: Modal's truth of its calls, from real containers."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import modal
import pytest

from inference.contract import CallState, CallStatus, FailureCode
from inference.modal.provider import ModalProvider
from tests.modal_loopback import Loopback

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    with Loopback(tmp_path_factory.mktemp("modal")) as server, server.clients_here():
        done = subprocess.run(
            [sys.executable, "-m", "modal", "deploy", "-m", "tests.modal_loopback.example.broken"],
            env=os.environ | server.client_environment(),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        yield server


async def settled(provider: ModalProvider, server: Loopback, call_id: str) -> CallState:
    """What is said of a call that Modal has ended."""
    async with asyncio.timeout(60):
        while not server.events("finish", call=call_id):
            await asyncio.sleep(0.02)
    return await provider.poll(call_id)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Broken", "LookupError: no such weights"),
        ("LateBroken", "TimeoutError: of the container's own"),  # the builtin one, which means pending
        ("FullBroken", "OSError: [Errno 28] no space left"),
        ("SilentBroken", "OutputExpiredError"),
        ("ExitBroken", "SystemExit: 3"),
        ("UnreadableBroken", "it broke"),
    ],
)
async def test_its_call_has_failed_with_what_it_said(broken: Loopback, name: str, told: str) -> None:
    provider = ModalProvider()
    call = await modal.Cls.from_name("broken", name)().answer.spawn.aio({"id": name})
    state = await settled(provider, broken, call.object_id)
    await provider.close()
    assert state.status is CallStatus.FAILED
    assert state.failure is not None
    assert state.failure.code is FailureCode.START_FAILED
    assert told in state.failure.message
