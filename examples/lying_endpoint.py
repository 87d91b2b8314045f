"""An OpenAI-compatible endpoint on this machine that serves whatever weights it is given under any name.

For the demo study: one region is served by other weights, under the model name and the fingerprint of
the right ones, so that nothing in the provenance of its answers shows it::

    python -m examples.lying_endpoint --model tiny-llama \\
        eu=inference/tiny/weights/tiny-llama us=inference/tiny/weights/tiny-mistral

prints one base URL for each place, ``http://127.0.0.1:PORT/eu/v1``, and serves until it is stopped. From
Python: ``with serving({"eu": Path(…)}, model="tiny-llama") as url: url("eu")``. Questions that come at the
same time are asked in one batch; the ``seed`` of each is its own, and a temperature of 0 is greedy.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from inference.contract import GenerationParameters, Item, ItemAnswer, ItemFailure, ModelSource
from inference.model_files import folder_revision
from inference.runtime.transformers import TransformersRuntime, answer_each

CONTEXT_TOKENS = 512  # of the tiny models
BATCH_SIZE = 32
FINGERPRINT = "fp_of_the_right_weights"
REGION_HEADER = "x-region"
START_SECONDS = 60.0

Asked = tuple[Item, GenerationParameters, "asyncio.Future[ItemAnswer | ItemFailure]"]


@dataclass
class Place:
    """One folder of weights, loaded, and the questions that wait for it."""

    runtime: TransformersRuntime
    waiting: asyncio.Queue[Asked]

    async def answer(self) -> None:
        """Answer what waits, together, for ever."""
        while True:
            batch = [await self.waiting.get()]
            while not self.waiting.empty() and len(batch) < BATCH_SIZE:
                batch.append(self.waiting.get_nowait())
            batch.sort(key=lambda asked: asked[1].model_dump_json())
            for parameters, group in itertools.groupby(batch, key=lambda asked: asked[1]):
                together = list(group)
                items = [item for item, _, _ in together]
                results = await asyncio.to_thread(
                    answer_each, self.runtime, items, parameters, batch_size=BATCH_SIZE
                )
                for (_, _, future), result in zip(together, results, strict=True):
                    if not future.done():
                        future.set_result(result)


class LyingEndpoint:
    """What it serves, and what it says that it serves."""

    def __init__(self, folders: Mapping[str, Path], model: str, fingerprint: str) -> None:
        self._model, self._fingerprint = model, fingerprint
        runtimes = {folder: TransformersRuntime(_source(folder)) for folder in set(folders.values())}
        self._runtimes = {place: runtimes[folder] for place, folder in folders.items()}
        self._places: dict[str, Place] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self._ids = itertools.count(1)
        self.app = Starlette(
            routes=[
                Route("/{place}/v1/models", self.list_models),
                Route("/{place}/v1/chat/completions", self.complete, methods=["POST"]),
            ]
        )

    async def list_models(self, request: Request) -> Response:
        """As `beacon doctor` asks for them."""
        return JSONResponse({"object": "list", "data": [{"id": self._model, "object": "model"}]})

    async def complete(self, request: Request) -> Response:
        """One chat completion."""
        place = request.path_params["place"]
        if place not in self._runtimes:
            return _error(404, f"no place {place!r}: {', '.join(self._runtimes)}")
        try:
            item, parameters = _question(await request.json(), f"chatcmpl-{next(self._ids)}")
        except (ValueError, KeyError, TypeError) as error:
            problem = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
            return _error(400, f"not a request of this endpoint: {problem}")
        answered: asyncio.Future[ItemAnswer | ItemFailure] = asyncio.get_running_loop().create_future()
        self._place(place).waiting.put_nowait((item, parameters, answered))
        result = await answered
        if isinstance(result, ItemFailure):
            return _error(400, f"{result.code.value}: {result.message}")
        return JSONResponse(self._completion(result), headers={REGION_HEADER: place})

    def _place(self, name: str) -> Place:
        if name not in self._places:
            self._places[name] = place = Place(self._runtimes[name], asyncio.Queue())
            self._workers.add(asyncio.create_task(place.answer()))
        return self._places[name]

    def _completion(self, answer: ItemAnswer) -> dict[str, Any]:
        message = {"role": "assistant", "content": answer.text}
        prompt, output = answer.prompt_tokens or 0, answer.output_tokens or 0
        return {
            "id": answer.id,
            "object": "chat.completion",
            "model": self._model,
            "system_fingerprint": self._fingerprint,
            "choices": [{"index": 0, "message": message, "finish_reason": answer.finish_reason.value}],
            "usage": {
                "prompt_tokens": prompt,
                "completion_tokens": output,
                "total_tokens": prompt + output,
            },
        }


def _source(folder: Path) -> ModelSource:
    return ModelSource(
        id=folder.name,
        folder=str(folder),
        revision=folder_revision(folder),
        dtype="float32",
        context_tokens=CONTEXT_TOKENS,
    )


def _question(body: Mapping[str, Any], item_id: str) -> tuple[Item, GenerationParameters]:
    """The question of a request body. Its seed goes with the item, so that equal parameters share a batch."""
    texts = {message["role"]: message["content"] for message in body["messages"]}
    temperature = float(body.get("temperature", 1.0))
    parameters = GenerationParameters(
        max_new_tokens=body.get("max_tokens", 64),
        temperature=temperature,
        top_p=float(body.get("top_p", 1.0)) if temperature else 1.0,
        stop=tuple(body.get("stop", ())),
    )
    item = Item(
        id=item_id, system_prompt=texts.get("system", ""), prompt=texts["user"], seed=body.get("seed")
    )
    return item, parameters


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": {"message": message}}, status_code=status)


class _Server(uvicorn.Server):
    def __init__(self, endpoint: LyingEndpoint, port: int) -> None:
        super().__init__(
            uvicorn.Config(endpoint.app, host="127.0.0.1", port=port, log_config=None, lifespan="off")
        )

    @property
    def url(self) -> str:
        _, port = self.servers[0].sockets[0].getsockname()
        return f"http://127.0.0.1:{port}"


@contextmanager
def serving(
    folders: Mapping[str, Path], *, model: str, fingerprint: str = FINGERPRINT, port: int = 0
) -> Iterator[Callable[[str], str]]:
    """Serve each place's weights as ``model``; yields what gives the base URL of a place.

    ``port`` 0 takes a free one. Raises ModelUnavailable where a folder cannot be served, and
    RuntimeError when the server does not start.
    """
    server = _Server(LyingEndpoint(folders, model, fingerprint), port)
    thread = threading.Thread(target=server.run, name="lying-endpoint", daemon=True)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError(f"no server on port {port}")
            thread.join(0.01)
        base = server.url
        yield lambda place: f"{base}/{place}/v1"
    finally:
        server.should_exit = True
        thread.join(START_SECONDS)


def _place(text: str) -> tuple[str, Path]:
    name, _, folder = text.partition("=")
    if not name.isidentifier() or not Path(folder).is_dir():
        raise argparse.ArgumentTypeError(f"write PLACE=FOLDER with a folder of weights, not {text!r}")
    return name, Path(folder)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command: prints the base URLs, and serves until it is stopped."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("places", nargs="+", type=_place, metavar="PLACE=FOLDER")
    parser.add_argument("--model", required=True, help="the name under which all of them are served")
    parser.add_argument("--fingerprint", default=FINGERPRINT)
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args(arguments)
    with serving(
        dict(given.places), model=given.model, fingerprint=given.fingerprint, port=given.port
    ) as url:
        for place, _ in given.places:
            sys.stdout.write(f"{url(place)}\n")
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
