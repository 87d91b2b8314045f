"""An OpenAI-compatible server on loopback that behaves as each prompt says: ``slow``, ``429 once``, …

It is a fake of the outside world, reached by real sockets.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from inference.http.chat import RAW_LIMIT, SAID_LIMIT
from inference.http.endpoint import Endpoint

KEY = "sk-very-secret-0123456789"


def completion(
    content: object = "fine", *, finish_reason: object = "stop", **more: object
) -> dict[str, object]:
    """The body of a chat completion, as vLLM writes it."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "served",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": content},
                "finish_reason": finish_reason,
                "logprobs": None,
            }
        ],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
    } | more


def without(body: dict[str, object], *keys: str) -> dict[str, object]:
    return {key: value for key, value in body.items() if key not in keys}


def ended(reason: object) -> Response:
    """An answer that ended for this reason."""
    return JSONResponse(completion(finish_reason=reason))


def used(usage: object) -> Response:
    """An answer with this in its usage."""
    return JSONResponse(completion(usage=usage))


def message(**parts: object) -> list[dict[str, object]]:
    return [{"index": 0, "message": {"role": "assistant"} | parts, "finish_reason": "stop"}]


def error(status: int, text: str, **headers: str) -> Response:
    return JSONResponse({"error": {"message": text}}, status_code=status, headers=headers)


def truncated(body: bytes) -> Response:
    """A response that is cut off: its length says more than it has."""
    return Response(body[:-20], media_type="application/json", headers={"content-length": str(len(body))})


async def trickle() -> AsyncIterator[bytes]:
    """A body that begins at once and never ends."""
    yield b'{"choices": ['
    while True:
        await asyncio.sleep(0.05)
        yield b" "


# what a prompt asks for -> the response, given how often it was asked before
BEHAVIOURS: dict[str, Callable[[int], Response]] = {
    "answer": lambda n: JSONResponse(completion()),
    "empty": lambda n: JSONResponse(completion("")),
    "long": lambda n: JSONResponse(completion("and so on", finish_reason="length")),
    "eos_token": lambda n: JSONResponse(completion(finish_reason="eos_token")),
    "refusal": lambda n: JSONResponse(
        completion(choices=message(content=None, refusal="I cannot help with that."))
    ),
    "no usage": lambda n: JSONResponse(without(completion(), "usage")),
    "null usage": lambda n: JSONResponse(completion(usage=None)),
    "eu": lambda n: JSONResponse(completion(), headers={"x-region": "eu-west-3"}),
    "us": lambda n: JSONResponse(completion(), headers={"x-region": "us-east-1"}),
    "null": lambda n: JSONResponse(completion(None)),
    # vLLM with a reasoning parser, when max_tokens ends among the thoughts; `reasoning` since 0.12.
    "thoughts only": lambda n: JSONResponse(
        completion(
            choices=[message(content=None, reasoning_content="Well,")[0] | {"finish_reason": "length"}]
        )
    ),
    "thoughts": lambda n: JSONResponse(completion(choices=message(content="fine", reasoning="Well."))),
    # Mistral's own API.
    "thinking part": lambda n: JSONResponse(
        completion(
            choices=message(
                content=[
                    {"type": "thinking", "thinking": [{"type": "text", "text": "Well."}]},
                    {"type": "text", "text": "fine"},
                ]
            )
        )
    ),
    "parts": lambda n: JSONResponse(
        completion([{"type": "text", "text": "fi"}, {"type": "output_text", "text": "ne"}])
    ),
    # OpenAI, with structured outputs.
    "empty and refusal": lambda n: JSONResponse(
        completion(choices=message(content="", refusal="I cannot help with that."))
    ),
    "cut off and filtered": lambda n: JSONResponse(completion("It is", finish_reason="content_filter")),
    "a mark first": lambda n: PlainTextResponse(b"\xef\xbb\xbf" + json.dumps(completion()).encode()),
    "half a surrogate": lambda n: PlainTextResponse(json.dumps(completion("a\ud800b"))),
    "another model": lambda n: JSONResponse(completion(model="gpt-5-mini", system_fingerprint="fp_1")),
    "another model in eu": lambda n: JSONResponse(
        completion(model="gpt-5-mini"), headers={"x-region": "eu-west-3"}
    ),
    "an alias": lambda n: JSONResponse(completion(model="Served-2026-01-01")),
    "answers with the key": lambda n: JSONResponse(
        completion(choices=message(content=f"It is {KEY}.", reasoning=f"Is it {KEY}?"))
    ),
    # OpenRouter: an upstream's fault, with status 200, in the body or in the choice.
    "502 in 200": lambda n: JSONResponse({"error": {"code": 502, "message": "Provider returned error"}}),
    "429 in 200 once": lambda n: JSONResponse(
        completion() if n else {"error": {"type": "rate_limit_exceeded", "message": "slow down"}}
    ),
    "400 in a choice": lambda n: JSONResponse(
        completion(
            choices=[{"error": {"code": "400", "message": "no such parameter"}, "finish_reason": "error"}]
        )
    ),
    "words in 200": lambda n: JSONResponse({"error": "Model mistral is not ready"}),
    "two minutes": lambda n: (
        JSONResponse(completion()) if n else error(429, "slow down", **{"retry-after": "120"})
    ),
    "loads": lambda n: JSONResponse(completion()) if n > 9 else error(503, "Model is currently loading"),
    "quota": lambda n: JSONResponse(
        {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}},
        status_code=429,
    ),
    "too long for TGI": lambda n: JSONResponse(
        {
            "error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. "
            "Given: 4000 `inputs` tokens and 512 `max_new_tokens`",
            "error_type": "validation",
        },
        status_code=422,
    ),
    "too long for llama.cpp": lambda n: JSONResponse(
        {
            "error": {
                "code": 400,
                "message": "the request exceeds the available context size, try increasing it",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 5000,
                "n_ctx": 4096,
            }
        },
        status_code=400,
    ),
    "eu twice": lambda n: JSONResponse(completion(), headers={"x-region": "eu-west-1, eu-west-3"}),
    # Nested deeper than any JSON parser follows; more digits than Python turns into a number.
    "nested": lambda n: PlainTextResponse(b"[" * 200_000),
    "a date far off": lambda n: error(
        429, "slow down", **{"retry-after": "Fri, 02 Jan 2026 03:05:05 +99999999999999999"}
    ),
    "many digits": lambda n: PlainTextResponse(
        json.dumps(completion()).replace('"prompt_tokens": 5', '"prompt_tokens": ' + "9" * 5_000)
    ),
    "an odd thought": lambda n: JSONResponse(completion([{"thinking": {"a": 1}}, {"text": "fine"}])),
    # Gateways that write every field of their schema: no error is one whose fields are all empty.
    "an empty error": lambda n: JSONResponse(completion(error={"code": None, "message": ""})),
    "labels with the key": lambda n: PlainTextResponse(
        json.dumps(
            completion(
                finish_reason="x" * 30 + KEY * 20,
                model=f"m\ud800\0{KEY}",
                system_fingerprint="f" * 10_000,
            )
        ),
        headers={"x-region": f"eu {KEY}"},
    ),
    "no content": lambda n: JSONResponse(completion(choices=message())),
    "number for content": lambda n: JSONResponse(completion(42)),
    "no choices": lambda n: JSONResponse(without(completion(), "choices")),
    "empty choices": lambda n: JSONResponse(completion(choices=[])),
    "two choices": lambda n: JSONResponse(completion(choices=message(content="a") + message(content="b"))),
    "no finish reason": lambda n: ended(None),
    "tool calls": lambda n: ended("tool_calls"),
    "filtered": lambda n: JSONResponse(completion("", finish_reason="content_filter")),
    "tokens as text": lambda n: JSONResponse(
        completion(usage={"prompt_tokens": "5", "completion_tokens": 2})
    ),
    "a list": lambda n: JSONResponse([1, 2]),
    "not json": lambda n: PlainTextResponse("<html>It works!</html>"),
    "half a json": lambda n: PlainTextResponse(json.dumps(completion())[:60]),
    "too much": lambda n: PlainTextResponse(b" " * (9 * 1024 * 1024)),
    "not gzip": lambda n: PlainTextResponse("plain", headers={"content-encoding": "gzip"}),
    "cut off": lambda n: truncated(json.dumps(completion()).encode()),
    "slow body": lambda n: StreamingResponse(trickle(), media_type="application/json"),
    "429 once": lambda n: (
        JSONResponse(completion()) if n else error(429, "slow down", **{"retry-after": "7"})
    ),
    "429 for ever": lambda n: error(429, "slow down"),
    "429 for an hour": lambda n: error(429, "slow down", **{"retry-after": "3600"}),
    "503 twice": lambda n: JSONResponse(completion()) if n > 1 else error(503, "loading"),
    "503 and then nothing": lambda n: StreamingResponse(trickle()) if n else error(503, "loading"),
    "500 for ever": lambda n: error(500, "boom"),
    "too long": lambda n: error(400, "This model's maximum context length is 4096 tokens."),
    "bad request": lambda n: error(400, "unknown parameter"),
    "unauthorized": lambda n: error(401, f"Incorrect API key provided: {KEY}"),
    "moved": lambda n: Response(status_code=307, headers={"location": "http://127.0.0.1:9/elsewhere"}),
    "quotes the key": lambda n: PlainTextResponse(f"your key is {KEY}"),
    # Where a message of ours ends, whatever of the key is kept.
    "quotes the key late": lambda n: PlainTextResponse("x" * (RAW_LIMIT - 10) + KEY),
    "refuses with the key late": lambda n: PlainTextResponse("x" * (SAID_LIMIT - 10) + KEY, status_code=400),
    "no completion with the key": lambda n: JSONResponse({"choices": "x" * 30 + KEY * 20}),
}


@dataclass
class Server:
    """What the server saw, and where it is."""

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    at_once: int = 0
    most_at_once: int = 0
    models: Response | None = None  # what is answered to a look-up; None: a list with the model
    released: threading.Event = field(default_factory=threading.Event)  # ends what waits in "hang"

    def forget(self) -> None:
        """What was seen so far."""
        self.bodies.clear()
        self.headers.clear()
        self.asked.clear()
        self.at_once = self.most_at_once = 0
        self.released.clear()
        self.models = None

    def endpoint(self, **changes: Any) -> Endpoint:
        return Endpoint(**({"base_url": self.url, "model": "served", "timeout_seconds": 30.0} | changes))

    async def answer(self, request: Request) -> Response:
        body = await request.json()
        prompt = body["messages"][-1]["content"]
        before = self.asked[prompt]
        self.asked[prompt] += 1
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self.behave(prompt, before)
        finally:
            self.at_once -= 1

    async def list_models(self, request: Request) -> Response:
        if request.headers.get("authorization") == "Bearer refused":
            return error(401, "who are you?")
        return self.models or JSONResponse({"object": "list", "data": [{"id": "served"}, {"id": "other"}]})

    async def released_now(self) -> None:
        """Returns once ``released`` is set."""
        while not self.released.is_set():
            await asyncio.sleep(0.01)

    async def behave(self, prompt: str, before: int) -> Response:
        """The response to a prompt that was asked ``before`` times; another kind of server has its own."""
        if prompt.startswith("hang"):
            await self.released_now()
        elif prompt.startswith("busy"):
            await asyncio.sleep(0.02)
        else:
            return BEHAVIOURS[prompt](before)
        return JSONResponse(completion())


class _Quiet(uvicorn.Server):
    """Started in a thread of its own, where signals cannot be handled."""

    def __init__(self, seen: Server) -> None:
        routes = [
            Route("/v1/chat/completions", seen.answer, methods=["POST"]),
            Route("/v1/models", seen.list_models),
        ]
        app = Starlette(routes=routes)
        options = {"log_config": None, "lifespan": "off", "ws": "none", "timeout_graceful_shutdown": 1}
        super().__init__(uvicorn.Config(app, host="127.0.0.1", port=0, http="h11", **options))


@contextmanager
def endpoint_server(seen: Server | None = None) -> Iterator[Server]:
    """A running server, this one or a new one, for as long as the context lasts."""
    seen = seen or Server()
    running = _Quiet(seen)
    thread = threading.Thread(target=running.run, name="endpoint-server", daemon=True)
    thread.start()
    try:
        while not running.started:
            assert thread.is_alive(), "the server did not start"
            thread.join(0.01)
        port = running.servers[0].sockets[0].getsockname()[1]
        seen.url = f"http://127.0.0.1:{port}/v1"
        yield seen
    finally:
        seen.released.set()
        running.should_exit = True
        thread.join(10)
