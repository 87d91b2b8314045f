"""A call with a process of its own: nothing of an earlier call is in it, and it dies with whoever asked."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from inference.contract import CallState, CallStatus, FailureCode, ItemAnswer, Reply, Request
from inference.local.provider import LocalProvider
from inference.model_files import folder_revision
from tests.inference.borders import ended
from tests.inference.local.test_provider import TINY_LLAMA, a_request, witness
from tests.inference.slow import load_gated, load_nothing, load_slow, load_where

pytestmark = pytest.mark.usefixtures("fork_server")

DEADLINE_SECONDS = 60


def a_fresh_request(request_id: str, items: int = 2, **model: object) -> Request:
    request = a_request(items, request_id)
    return request.model_copy(
        update={"fresh_start": True, "model": request.model.model_copy(update=dict(model))}
    )


async def reply_of(provider: LocalProvider, request: Request) -> Reply:
    call_id = await provider.submit(request)
    assert (await ended(provider, call_id)).status is CallStatus.SUCCEEDED
    return await provider.fetch(call_id, request)


def texts(reply: Reply) -> set[str]:
    return {item.text for item in reply.items if isinstance(item, ItemAnswer)}


async def started(folder: Path, call_id: str) -> psutil.Process:
    """The process of a call, once it generates."""
    path = folder / "calls" / call_id / "started.json"
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not path.exists():
            await asyncio.sleep(0.02)
    return psutil.Process(int(json.loads(path.read_text())["task_id"].rpartition(":")[2]))


async def test_each_call_has_a_process_of_its_own_that_is_gone_afterwards(tmp_path: Path) -> None:
    provider = LocalProvider(tmp_path, load=load_where, batch_size=1)
    replies = [await reply_of(provider, a_fresh_request(f"call-{n}")) for n in range(2)]
    pids = [int((reply.task_id or "").rpartition(":")[2]) for reply in replies]
    assert len({*pids, os.getpid()}) == 3
    assert [texts(reply) for reply in replies] == [{f"{pid} False"} for pid in pids], "and without Dagster"
    assert {(reply.cold_start, reply.provenance.fresh_start) for reply in replies} == {(True, True)}
    usual = await reply_of(provider, a_request(1, "usual"))
    assert usual.task_id is not None
    assert usual.task_id.endswith(f":{os.getpid()}")
    assert usual.provenance.fresh_start is None
    await provider.close()
    assert not any(map(psutil.pid_exists, pids))


async def test_a_process_that_is_killed_costs_its_call_alone(tmp_path: Path) -> None:
    provider = LocalProvider(tmp_path, load=load_gated)
    gate = tmp_path / "gate"
    call_id = await provider.submit(a_fresh_request("killed", folder=str(gate)))
    (await started(tmp_path, call_id)).kill()
    state = await ended(provider, call_id)
    assert state.failure is not None
    assert (state.status, state.failure.code) == (CallStatus.FAILED, FailureCode.WORKER_LOST)
    assert state.failure.code.retryable
    assert "SIGKILL" in state.failure.message
    gate.touch()
    await reply_of(provider, a_fresh_request("next", folder=str(gate)))
    await provider.close()


ASKER = """
import asyncio, sys
from pathlib import Path
from inference.local.provider import LocalProvider
from tests.inference.slow import load_gated
from tests.inference.local.test_fresh_start import a_fresh_request

async def main():
    provider = LocalProvider(Path(sys.argv[1]), load=load_gated)
    await provider.submit(a_fresh_request("left", folder=str(Path(sys.argv[1]) / "gate")))
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_a_process_dies_with_whoever_asked_and_the_call_is_taken_over(tmp_path: Path) -> None:
    script = tmp_path / "asker.py"  # not guarded: it would ask again in each process that imports it
    script.write_text(ASKER)
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    asker = subprocess.Popen([sys.executable, str(script), str(tmp_path)], env=env)
    try:
        orphan = await started(tmp_path, "left")
        os.kill(asker.pid, signal.SIGKILL)
    finally:
        asker.kill()
        asker.wait()
    _, alive = await asyncio.to_thread(psutil.wait_procs, [orphan], DEADLINE_SECONDS)
    assert alive == []
    (tmp_path / "gate").touch()
    provider = LocalProvider(tmp_path, load=load_slow)
    assert (await ended(provider, "left")).status is CallStatus.SUCCEEDED
    assert len(witness(tmp_path, "generations")) == 2
    await provider.close()


async def test_a_model_that_cannot_be_loaded_is_told_as_ever(tmp_path: Path) -> None:
    provider = LocalProvider(tmp_path, load=load_nothing)
    ends: list[CallState] = []
    for request in (a_request(1, "usual"), a_fresh_request("fresh", 1)):
        ends.append(await ended(provider, await provider.submit(request)))
    assert ends[0] == ends[1]
    assert ends[0].failure is not None
    assert ends[0].failure.code is FailureCode.MODEL_UNAVAILABLE
    await provider.close()


async def test_the_same_sample_has_the_same_tokens_in_any_process(tmp_path: Path) -> None:
    provider = LocalProvider(tmp_path)
    changes = {"folder": str(TINY_LLAMA), "revision": folder_revision(TINY_LLAMA), "context_tokens": 512}
    fresh = a_fresh_request("fresh", 3, **changes)
    items = tuple(item.model_copy(update={"seed": n % 2}) for n, item in enumerate(fresh.items))
    hot = fresh.parameters.model_copy(update={"temperature": 4.0})
    fresh = fresh.model_copy(update={"items": items, "parameters": hot})
    usual = fresh.model_copy(update={"id": "usual", "fresh_start": False, "items": items[::-1]})
    digests = []
    for request in (fresh, usual):
        reply = await reply_of(provider, request)
        digests.append({r.id: r.output_token_sha256 for r in reply.items if isinstance(r, ItemAnswer)})
    assert digests[0] == digests[1]
    assert len(digests[0]) == 3
    await provider.close()
