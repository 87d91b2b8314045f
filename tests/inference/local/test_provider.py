"""The local provider keeps its calls: what was accepted is run once, whoever dies meanwhile."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

import inference.tiny
from inference.contract import (
    CallStatus,
    Deployment,
    FailureCode,
    GenerationParameters,
    Item,
    ItemAnswer,
    ItemFailure,
    ModelSource,
    Provider,
    ReplyUnavailable,
    Request,
    SubmitRejected,
)
from inference.local.provider import LocalProvider
from inference.model_files import folder_revision
from inference.runtime.transformers import ModelUnavailable
from tests.inference.slow import SlowRuntime, load_slow
from tests.waiting import PATIENCE_SECONDS, wait_for

TINY_LLAMA = Path(inference.tiny.__file__).parent / "weights" / "tiny-llama"


def a_request(items: int = 6, request_id: str = "call-1") -> Request:
    return Request(
        id=request_id,
        deployment=Deployment(region="eu", model="m"),
        model=ModelSource(id="m", folder="/m", revision="r", dtype="float32", context_tokens=64),
        parameters=GenerationParameters(max_new_tokens=8),
        items=tuple(Item(id=f"item-{n}", system_prompt="", prompt=f"question {n}") for n in range(items)),
    )


async def ended(provider: Provider, call_id: str) -> CallStatus:
    while (state := await provider.poll(call_id)).status is CallStatus.PENDING:
        await asyncio.sleep(0.02)
    return state.status


def witness(folder: Path, name: str) -> list[dict[str, object]]:
    path = folder / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines() if line] if path.exists() else []


async def test_a_call_is_run_and_its_reply_read(tmp_path: Path) -> None:
    provider = LocalProvider(tmp_path, load=load_slow)
    assert isinstance(provider, Provider)
    request = a_request()
    call_id = await provider.submit(request)
    assert await ended(provider, call_id) is CallStatus.SUCCEEDED
    reply = await provider.fetch(call_id, request)
    assert [item.id for item in reply.items] == [item.id for item in request.items]
    assert (reply.region, reply.cold_start, reply.provenance.engine) == ("eu", True, "slow")
    await provider.close()


async def test_the_same_request_is_run_once_however_often_it_is_sent(tmp_path: Path) -> None:
    provider, other = LocalProvider(tmp_path, load=load_slow), LocalProvider(tmp_path, load=load_slow)
    ids = await asyncio.gather(*(p.submit(a_request()) for p in (provider, other) * 5))
    assert set(ids) == {"call-1"}
    assert await ended(provider, "call-1") is await ended(other, "call-1") is CallStatus.SUCCEEDED
    assert len(witness(tmp_path, "submissions")) == 1
    assert len(witness(tmp_path, "generations")) == 6
    await provider.close()
    await other.close()


async def test_a_second_call_on_the_same_model_is_warm(tmp_path: Path) -> None:
    provider = LocalProvider(tmp_path, load=load_slow)
    cold = []
    for name in ("first", "second"):
        request = a_request(1, name)
        await provider.submit(request)
        await ended(provider, name)
        cold.append((await provider.fetch(name, request)).cold_start)
    assert cold == [True, False]
    await provider.close()


async def test_cancel_stops_before_the_next_micro_batch(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    provider = LocalProvider(tmp_path / "calls", load=lambda _: SlowRuntime(gate=gate), batch_size=2)
    await provider.submit(a_request())
    await provider.cancel("call-1")
    gate.touch()
    assert await ended(provider, "call-1") is CallStatus.CANCELLED
    assert len(witness(tmp_path / "calls", "generations")) <= 2
    with pytest.raises(ReplyUnavailable, match="no reply"):
        await provider.fetch("call-1", a_request())
    await provider.close()


async def test_a_cancelled_call_that_lost_its_process_loads_no_model(tmp_path: Path) -> None:
    first = LocalProvider(tmp_path, load=lambda _: SlowRuntime(seconds=0.05), batch_size=1)
    await first.submit(a_request())
    await first.close()

    def load(_source: ModelSource) -> SlowRuntime:
        raise ModelUnavailable("nobody should ask for it")

    second = LocalProvider(tmp_path, load=load)
    await second.cancel("call-1")
    assert await ended(second, "call-1") is CallStatus.CANCELLED
    await second.close()


async def test_an_id_that_is_no_name_of_a_folder_is_refused(tmp_path: Path) -> None:
    provider = LocalProvider(tmp_path, load=load_slow)
    with pytest.raises(SubmitRejected, match="a call id cannot be"):
        await provider.submit(a_request(request_id="../escape"))
    await provider.close()


async def test_a_model_that_cannot_be_loaded_is_a_final_failure(tmp_path: Path) -> None:
    def load(_source: ModelSource) -> SlowRuntime:
        raise ModelUnavailable("m: not the pinned weights")

    provider = LocalProvider(tmp_path, load=load)
    await provider.submit(a_request())
    assert await ended(provider, "call-1") is CallStatus.FAILED
    state = await provider.poll("call-1")
    assert state.failure is not None
    assert state.failure.code is FailureCode.MODEL_UNAVAILABLE
    assert "not the pinned weights" in state.failure.message
    await provider.close()


async def test_closing_leaves_the_rest_to_the_next(tmp_path: Path) -> None:
    first = LocalProvider(tmp_path, load=lambda _: SlowRuntime(seconds=0.05), batch_size=1)
    await first.submit(a_request())
    while not witness(tmp_path, "generations"):
        await asyncio.sleep(0.01)
    await first.close()
    done = len(witness(tmp_path, "generations"))
    second = LocalProvider(tmp_path, load=load_slow)
    assert await ended(second, "call-1") is CallStatus.SUCCEEDED
    generated = [row["item"] for row in witness(tmp_path, "generations")]
    assert done < 6
    assert sorted(map(str, generated)) == [f"item-{n}" for n in range(6)]
    await second.close()


KILLED = """
import asyncio, sys
from pathlib import Path
from inference.model_files import folder_revision
from inference.local.provider import LocalProvider
from tests.inference.slow import SlowRuntime
from tests.inference.local.test_provider import a_request

async def main():
    provider = LocalProvider(Path(sys.argv[1]), load=lambda _: SlowRuntime(seconds=0.1), batch_size=1)
    await provider.submit(a_request(40))
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_a_killed_process_is_taken_over_and_no_item_is_generated_twice(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)])
    provider = LocalProvider(tmp_path, load=load_slow)
    try:
        wait_for("answers", lambda: len(witness(tmp_path, "generations")) >= 3, every=0.02)
        assert (await provider.poll("call-1")).status is CallStatus.PENDING
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    before = {row["item"] for row in witness(tmp_path, "generations")}
    assert await ended(provider, "call-1") is CallStatus.SUCCEEDED
    rows = witness(tmp_path, "generations")
    items = [row["item"] for row in rows]
    assert len(items) == len(set(items)) == 40
    assert {row["item"] for row in rows if row["process"] == process.pid} == before
    assert 0 < len(before) < 40
    assert len(witness(tmp_path, "submissions")) == 1
    await provider.close()


async def test_a_torn_line_is_as_if_never_written(tmp_path: Path) -> None:
    provider = LocalProvider(tmp_path, load=lambda _: SlowRuntime(seconds=0.05), batch_size=1)
    await provider.submit(a_request())
    while not witness(tmp_path, "generations"):
        await asyncio.sleep(0.01)
    await provider.close()
    with (tmp_path / "calls" / "call-1" / "results.jsonl").open("ab") as file:
        file.write(b'{"kind": "answer", "id": "item-5", "te')
    second = LocalProvider(tmp_path, load=load_slow)
    assert await ended(second, "call-1") is CallStatus.SUCCEEDED
    reply = await second.fetch("call-1", a_request())
    assert all(isinstance(item, ItemAnswer) and item.text.startswith("you asked") for item in reply.items)
    await second.close()


async def test_a_corrupt_end_is_not_a_failure(tmp_path: Path) -> None:
    provider = LocalProvider(tmp_path, load=load_slow)
    await provider.submit(a_request())
    await ended(provider, "call-1")
    (tmp_path / "calls" / "call-1" / "end.json").write_text("{}")
    state = await provider.poll("call-1")
    assert state.status is CallStatus.UNREACHABLE
    assert "end.json does not say how the call ended" in str(state.detail)
    await provider.close()


async def test_the_shipped_weights_answer_through_the_provider(tmp_path: Path) -> None:
    request = a_request(1).model_copy(
        update={
            "model": ModelSource(
                id="tiny-llama",
                folder=str(TINY_LLAMA),
                revision=folder_revision(TINY_LLAMA),
                dtype="float32",
                context_tokens=512,
            ),
            "items": (Item(id="a", system_prompt="", prompt="What is 7 times 8?"),),
        }
    )
    provider = LocalProvider(tmp_path)
    await provider.submit(request)
    assert await ended(provider, "call-1") is CallStatus.SUCCEEDED
    reply = await provider.fetch("call-1", request)
    assert reply.provenance.engine == "transformers"
    await provider.close()


class Choosy(SlowRuntime):
    """Raises whenever it is asked for one of some items."""

    def __init__(self, *refused: str, error: Exception) -> None:
        super().__init__()
        self.refused, self.error, self.asked = refused, error, 0

    def answer(
        self, items: Sequence[Item], parameters: GenerationParameters, *, batch_size: int | None = None
    ) -> list[ItemAnswer | ItemFailure]:
        self.asked += len(items)
        if any(item.id in self.refused for item in items):
            raise self.error
        return super().answer(items, parameters, batch_size=batch_size)


async def test_an_item_whose_runtime_raises_fails_for_itself(tmp_path: Path) -> None:
    runtime = Choosy("item-2", error=TypeError("no such argument"))
    provider = LocalProvider(tmp_path, load=lambda _: runtime)
    await provider.submit(a_request())
    assert await ended(provider, "call-1") is CallStatus.SUCCEEDED
    reply = await provider.fetch("call-1", a_request())
    failures = [item for item in reply.items if isinstance(item, ItemFailure)]
    assert [(f.id, f.code, f.message) for f in failures] == [
        ("item-2", FailureCode.GENERATION_ERROR, "TypeError: no such argument")
    ]
    assert not failures[0].code.retryable
    assert runtime.asked == 12  # all six once together, and each once more
    await provider.close()


async def test_a_call_that_breaks_off_ends_with_its_reason(tmp_path: Path) -> None:
    def load(_source: ModelSource) -> SlowRuntime:
        raise ZeroDivisionError("nobody thought of that")

    provider = LocalProvider(tmp_path, load=load)
    await provider.submit(a_request())
    assert await ended(provider, "call-1") is CallStatus.FAILED
    state = await provider.poll("call-1")
    assert state.failure is not None
    assert (state.failure.code, state.failure.message) == (
        FailureCode.PROVIDER_ERROR,
        "ZeroDivisionError: nobody thought of that",
    )
    await provider.close()


@pytest.mark.parametrize("file", ["request.json", "started.json"])
async def test_a_call_whose_files_cannot_be_read_is_unreachable_and_not_pending_for_ever(
    tmp_path: Path, file: str
) -> None:
    first = LocalProvider(tmp_path, load=lambda _: SlowRuntime(seconds=0.05), batch_size=1)
    await first.submit(a_request())
    while not witness(tmp_path, "generations"):
        await asyncio.sleep(0.01)
    await first.close()
    (tmp_path / "calls" / "call-1" / file).write_text("{}")
    second = LocalProvider(tmp_path, load=load_slow)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (state := await second.poll("call-1")).status is CallStatus.PENDING:
        assert time.monotonic() < deadline, "pending for ever"
        await asyncio.sleep(0.01)
    assert state.status is CallStatus.UNREACHABLE
    assert f"{file} is not a" in str(state.detail)
    await second.close()
