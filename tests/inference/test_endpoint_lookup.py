"""What an endpoint says of itself, at no cost, over real sockets."""

from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pydantic import SecretStr

from inference.contract import Deployment, NotConfigured
from inference.inspection import Inspectable
from inference.providers.endpoint import Endpoint
from inference.providers.http import HttpProvider

EU = Deployment(region="eu", model="tiny")
KEY = "sk-very-secret-0123456789"


@contextmanager
def answering(status: int, body: str) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """A server that answers every GET so; gives its base URL and the (path, key) of what it was asked."""
    seen: list[tuple[str, str | None]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append((self.path, self.headers.get("Authorization")))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1", seen
        finally:
            server.shutdown()
            thread.join()


def an_endpoint(url: str) -> Endpoint:
    return Endpoint(
        base_url=url,
        model="served",
        api_key=SecretStr(KEY),
        api_key_variable="THE_KEY",
        timeout_seconds=30.0,
    )


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


LISTED = json.dumps({"object": "list", "data": [{"id": "served", "object": "model"}, {"id": "other"}]})
ANSWERS = {
    "it lists the model": (200, LISTED, True, ""),
    "it lists others": (200, '{"data": [{"id": "b"}, {"id": "a"}]}', None, "does not list model 'served'"),
    "it lists none": (200, '{"data": []}', None, "it lists none"),
    "something else": (200, "<html>It works!</html>", None, "not with a list of models"),
    "no such path": (404, "{}", None, "lists no models: 404"),
    "loading": (503, "{}", None, "lists no models: 503"),
    "moved": (307, "", None, "lists no models: 307"),
}


@pytest.mark.parametrize(("status", "body", "found", "told"), ANSWERS.values(), ids=ANSWERS)
async def test_what_an_endpoint_says(status: int, body: str, found: bool | None, told: str) -> None:
    with answering(status, body) as (url, seen):
        provider = HttpProvider({EU: an_endpoint(url)})
        assert isinstance(provider, Inspectable)
        state = await provider.inspect(EU)
        await provider.close()
    assert (state.found, told in state.detail) == (found, True)
    assert seen == [("/v1/models", f"Bearer {KEY}")]


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_is_named_and_never_shown(status: int) -> None:
    with answering(status, f"Incorrect API key provided: {KEY}") as (url, _):
        provider = HttpProvider({EU: an_endpoint(url)})
        with pytest.raises(NotConfigured, match="refuses the key \\(THE_KEY\\)") as caught:
            await provider.inspect(EU)
        await provider.close()
    assert KEY not in str(caught.value)


async def test_an_endpoint_that_is_not_there_could_not_be_asked() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        provider = HttpProvider({EU: an_endpoint(f"http://127.0.0.1:{unused.getsockname()[1]}/v1")})
        state = await provider.inspect(EU)
        await provider.close()
    assert state.found is None
    assert "cannot be asked" in state.detail


async def test_a_deployment_without_an_endpoint_is_not_there() -> None:
    provider = HttpProvider({})
    assert (await provider.inspect(EU)).found is False
    await provider.close()
