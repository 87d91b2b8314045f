"""A Modal that accepts connections and never says a word: the provider has a deadline of its own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import modal
import pytest

from inference.contract import CallStatus, ReplyUnavailable, SubmitUnknown
from inference.modal.provider import ModalProvider
from tests.inference.specs import a_request, a_spec
from tests.modal_loopback import client_environment


@pytest.fixture
def deaf_modal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        for name, value in client_environment(url).items():
            monkeypatch.setenv(name, value)
        client = modal.Client.from_env()
        yield
        client.close()


@pytest.mark.usefixtures("deaf_modal")
def test_its_silence_is_told_as_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference.modal.connection.REACH_SECONDS", 0.3)
    told = asyncio.run(ModalProvider().why_unreachable())
    assert "it takes connections and gives no answer within 0.3 seconds" in str(told)


@pytest.mark.usefixtures("deaf_modal")
def test_every_question_has_a_deadline() -> None:
    async def ask() -> None:
        provider = ModalProvider(deadline_seconds=0.3)
        state = await provider.poll("fc-00000000000000000001")
        assert state.status is CallStatus.UNREACHABLE
        assert "no answer within 0.3 seconds" in str(state.detail)
        with pytest.raises(SubmitUnknown, match=r"no answer within 0\.3 seconds"):
            await provider.submit(a_request())
        with pytest.raises(ReplyUnavailable, match=r"no answer within 0\.3 seconds"):
            await provider.fetch("fc-00000000000000000001", a_request())
        assert (await provider.inspect(a_spec().deployment)).found is None
        await provider.close()

    asyncio.run(ask())
