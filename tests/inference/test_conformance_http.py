"""The HTTP provider keeps what every provider promises."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from starlette.responses import JSONResponse, Response

from inference.contract import UNREPORTED_REGION, Deployment, Provider, Request
from inference.http.provider import HttpProvider
from tests.inference.borders import EU, GARBLED, Border, answer_to, how
from tests.inference.conformance import ProcessBoundPromises, SettingsPromises
from tests.inference.endpoints import Server, completion, endpoint_server, error

HURRIED = Deployment(region="hurried", model="tiny")  # with no time to answer


class PromptServer(Server):
    """An endpoint that does as the conformance suite's prompts say."""

    async def behave(self, prompt: str, before: int) -> Response:
        if prompt == "fail":
            return error(400, "unknown parameter")
        if prompt == "garble":
            return JSONResponse(completion({"what": GARBLED}))
        if prompt in ("hang", "break", "forget"):
            await self.released_now()
        if prompt == "how":
            sent = self.bodies[-1]  # this prompt's own: nothing was awaited since
            return JSONResponse(completion(how(sent["temperature"], sent["seed"])))
        return JSONResponse(completion(answer_to(prompt)))


class HttpBorder(Border):
    """An endpoint on loopback."""

    region = UNREPORTED_REGION
    starts_afresh = False

    def __init__(self, server: PromptServer) -> None:
        super().__init__()
        self.asked = server.asked
        self._server = server

    def make(self) -> Provider:
        hurried = self._server.endpoint(timeout_seconds=0.2)
        return HttpProvider({EU: self._server.endpoint(), HURRIED: hurried})

    def request(self, request_id: str, *prompts: str) -> Request:
        request = super().request(request_id, *prompts)
        return request.model_copy(update={"deployment": HURRIED}) if "break" in prompts else request

    def refused(self) -> Request:
        nowhere = Deployment(region="us", model="tiny")
        return self.request("nowhere", "say a").model_copy(update={"deployment": nowhere})

    def release(self) -> None:
        self._server.released.set()

    @asynccontextmanager
    async def unreachable(self, call_id: str) -> AsyncIterator[Provider]:
        yield self.provider()  # only whoever made the call can tell

    async def forget(self, call_id: str) -> None:
        for provider in self._made:
            await provider.close()

    @asynccontextmanager
    async def unconfigured(self) -> AsyncIterator[Provider]:
        provider = HttpProvider({EU: self._server.endpoint(api_key_variable="BEACON_TEST_KEY")})
        yield provider
        await provider.close()


@pytest.fixture(scope="module")
def server() -> Iterator[PromptServer]:
    seen = PromptServer()
    with endpoint_server(seen):
        yield seen


@pytest.fixture
async def border(server: PromptServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Border]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server.forget()
    made = HttpBorder(server)
    yield made
    await made.close()


class TestHttp(ProcessBoundPromises):
    pass


class TestHttpSettings(SettingsPromises):
    pass
