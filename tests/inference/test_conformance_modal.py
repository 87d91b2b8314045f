"""The Modal provider keeps what every provider promises: the real SDK against a Modal of this machine."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from inference.contract import Deployment, Provider, Request
from inference.modal.provider import ModalProvider
from inference.modal.server import ModelServer
from inference.modal.spec import APP_NAME, class_name, fresh_class_name
from tests.inference.borders import EU, GARBLED, Border, PromptRuntime
from tests.inference.conformance import DurablePromises, SettingsPromises
from tests.inference.specs import a_spec
from tests.modal_loopback import Call, Fault, Loopback, Match, faults

# What a prompt of the suite does to its call where the model itself does not.
BEFALLS: dict[str, Fault] = {
    "hang": faults.PendingUntilReleased(),
    "garble": faults.MalformedReply(replaced={"what": GARBLED}),
    "forget": faults.Expired(),
}


class Container:
    """What `inference.modal.app` runs, with a register of its own, for one test after the other."""

    def __init__(self) -> None:
        self.border: ModalBorder
        self._owners: dict[str, str] = {}

    def answer(self, call: Call) -> object:
        (raw,) = call.args
        server = ModelServer(
            a_spec(),
            claim=lambda request_id, call_id: self._owners.setdefault(request_id, call_id),
            load=lambda: PromptRuntime(self.border),
            environment={"MODAL_REGION": call.region},
        )
        return server.answer(raw, call.call_id)


class ModalBorder(Border):
    """The loopback server, which answers calls in its own process."""

    region = "europe-west4"

    def __init__(self, server: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self._server = server
        self._monkeypatch = monkeypatch
        self._misbehave()

    def _misbehave(self, *more: Fault) -> None:
        """These faults and those of the prompts from now on, and no others."""
        self._server.clear()
        for prompt, fault in BEFALLS.items():
            self._server.inject(fault, Match(contains=f"'prompt': {prompt!r}"))
        for fault in more:
            self._server.inject(fault)

    def make(self) -> Provider:
        return ModalProvider()

    def refused(self) -> Request:
        nowhere = Deployment(region="us", model="tiny")
        return self.request("nowhere", "say a").model_copy(update={"deployment": nowhere})

    def release(self) -> None:
        self._server.release()

    @asynccontextmanager
    async def unreachable(self, call_id: str) -> AsyncIterator[Provider]:
        self._misbehave(faults.unavailable(methods=(faults.POLL, faults.CANCEL)))
        yield self.provider()
        self._misbehave()

    @asynccontextmanager
    async def losing_submits(self) -> AsyncIterator[None]:
        self._misbehave(faults.AnswerLost(times=None))
        yield
        self._misbehave()

    @asynccontextmanager
    async def unconfigured(self) -> AsyncIterator[Provider]:
        with self._monkeypatch.context() as without:
            without.delenv("MODAL_TOKEN_ID")
            yield self.provider()


@pytest.fixture(scope="module")
def container() -> Container:
    return Container()


@pytest.fixture(scope="module")
def server(container: Container, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    with Loopback(tmp_path_factory.mktemp("modal"), answer=container.answer) as server, server.clients_here():
        for name in (class_name(EU), fresh_class_name(EU)):
            server.serve(APP_NAME, name, ["answer"], region="eu")
        yield server


@pytest.fixture
async def border(
    container: Container, server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Border]:
    container.border = made = ModalBorder(server, monkeypatch)
    yield made
    await made.close()


class TestModal(DurablePromises):
    pass


class TestModalSettings(SettingsPromises):
    pass
