"""A provider's outside world, made to behave: what the conformance suite needs of each provider.

The prompts of the requests say what becomes of each::

    say TEXT    the answer is TEXT
    how         the answer says by which temperature and seed it is generated, see `how`
    fail        this item fails, by itself and for good
    hang        no answer until `Border.release`; then it is RELEASED
    break       the whole call ends without a reply
    garble      what comes back breaks the contract, see `Border.garble`
    forget      what came of the call is forgotten, see `Border.forget`
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from inference.contract import (
    CallState,
    Deployment,
    FailureCode,
    GenerationParameters,
    Item,
    ItemAnswer,
    ItemFailure,
    ItemResult,
    ModelSource,
    Provenance,
    Provider,
    Request,
    token_digest,
)
from inference.runtime.transformers import DeviceLost
from tests.inference.provenance import made_up_provenance

EU = Deployment(region="eu", model="tiny")
RELEASED = "released"
GARBLED = "<not what was agreed>"  # stands somewhere in what breaks the contract
DEADLINE_SECONDS = 60


class Border(ABC):
    """A provider's outside world, for one test."""

    region: str  # what a reply says of where it ran
    starts_afresh = True  # whether it can give a call a container or process of its own
    source = ModelSource(
        id="tiny", folder="/models/tiny", revision="a" * 64, dtype="float32", context_tokens=64
    )

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()  # how often a model was asked each prompt
        self._made: list[Provider] = []

    @abstractmethod
    def make(self) -> Provider:
        """A provider of this world, as another process would make it."""

    @abstractmethod
    def refused(self) -> Request:
        """A request that is refused before anything runs."""

    @abstractmethod
    def unreachable(self, call_id: str) -> AbstractAsyncContextManager[Provider]:
        """Meanwhile this provider can neither ask about a call that has not ended nor cancel it."""

    @abstractmethod
    def release(self) -> None:
        """Let what hangs end."""

    async def forget(self, call_id: str) -> None:  # noqa: B027 - the prompt alone may do
        """Make the outside world forget what came of a call of ``forget``."""

    async def garble(self, call_id: str) -> None:  # noqa: B027 - the same
        """Damage what came of a call of ``garble``, where the prompt alone does not."""

    def losing_submits(self) -> AbstractAsyncContextManager[None]:
        """Meanwhile the answer to every submit is lost. Of durable providers."""
        raise AssertionError("a durable provider says how its submits are lost")

    def unconfigured(self) -> AbstractAsyncContextManager[Provider]:
        """A provider that lacks what it needs to send anything. Of providers that need something."""
        raise AssertionError("a provider with settings says how they are missing")

    def provider(self) -> Provider:
        """A provider that is closed after the test."""
        self._made.append(self.make())
        return self._made[-1]

    def fresh_starter(self) -> Provider:
        """A provider that can be asked for a fresh start, where the usual one needs to be another."""
        return self.provider()

    async def close(self) -> None:
        """End what hangs, and every provider."""
        self.release()
        for provider in self._made:
            await provider.close()

    def request(self, request_id: str, *prompts: str) -> Request:
        """One item for each prompt."""
        items = tuple(Item(id=f"i{n}", system_prompt="s", prompt=p) for n, p in enumerate(prompts))
        parameters = GenerationParameters(max_new_tokens=8)
        return Request(id=request_id, deployment=EU, model=self.source, parameters=parameters, items=items)


class PromptRuntime:
    """A model that does as the prompts say; waits for what hangs with ``wait``."""

    def __init__(self, border: Border) -> None:
        self._border = border

    def wait(self) -> None:
        """Until what hangs is released. Nothing, where something else holds the call."""

    def answer(
        self, items: Sequence[Item], parameters: GenerationParameters, *, batch_size: int | None = None
    ) -> list[ItemResult]:
        return [self._answer(item, item.parameters(parameters)) for item in items]

    def _answer(self, item: Item, parameters: GenerationParameters) -> ItemResult:
        self._border.asked[item.prompt] += 1
        if item.prompt == "break":
            raise DeviceLost("the device is gone")
        if item.prompt == "fail":
            return ItemFailure(id=item.id, code=FailureCode.PROMPT_TOO_LONG, message="too long")
        if item.prompt == "hang":
            self.wait()
        return ItemAnswer(
            id=item.id,
            text=how(parameters.temperature, parameters.seed)
            if item.prompt == "how"
            else answer_to(item.prompt),
            finish_reason="stop",
            prompt_tokens=1,
            output_tokens=1,
            output_token_sha256=token_digest([1]),
            seconds=0.0,
        )

    def provenance(self, batch_size: int) -> Provenance:
        return made_up_provenance("prompted", batch_size)


def how(temperature: float, seed: int) -> str:
    """What a model answers to ``how``. A greedy answer has no seed."""
    return f"temperature {temperature:g}, seed {seed}" if temperature else "greedy"


def answer_to(prompt: str) -> str:
    """What a model answers to a prompt that it answers at all."""
    return RELEASED if prompt == "hang" else prompt.removeprefix("say ")


async def ended(provider: Provider, call_id: str) -> CallState:
    """The final state of a call."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not (state := await provider.poll(call_id)).status.is_final:
            await asyncio.sleep(0.01)
    return state
