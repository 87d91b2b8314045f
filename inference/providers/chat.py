"""One item, one chat completion: what is sent, how the response is read, and what a failure means.

==================================  ===========================================================
the endpoint                        the item
==================================  ===========================================================
cannot be connected to              sent again, a few times; then ``provider_error``
408, 5xx                            sent again, a few times; then ``provider_error``
429                                 sent again after its Retry-After; then ``rate_limited``
any other status but 2xx            ``rejected`` (``prompt_too_long`` where it says so)
connection lost after sending       ``interrupted``: it may have been generated, and paid for
2xx, body breaks the contract       ``malformed_reply``, with the beginning of the body
2xx, finish reason content_filter   ``rejected``: a filter's verdict is not the model's answer
2xx, text, empty text or refusal    an answer
==================================  ===========================================================
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import tenacity
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inference.contract import (
    UNREPORTED_REGION,
    FailureCode,
    FinishReason,
    GenerationParameters,
    Item,
    ItemAnswer,
    ItemFailure,
)
from inference.providers.endpoint import Endpoint

TRIES = 4  # of one item, within one call
RETRY_AFTER_LIMIT_SECONDS = 60.0  # an endpoint that asks for more patience is given up on for this call
RESPONSE_LIMIT = 8 * 1024 * 1024  # bytes
RAW_LIMIT, SAID_LIMIT = 4_000, 300  # characters of a body kept with a failure: malformed, refused
RETRIED_STATUSES = frozenset({408, 429})  # and every 5xx

# What TGI said before it spoke OpenAI's words is among them.
FINISH_REASONS = {"stop": FinishReason.STOP, "eos_token": FinishReason.STOP, "length": FinishReason.LENGTH}

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True)
class Told:
    """What came of one item, and the region that the endpoint named with it."""

    result: ItemAnswer | ItemFailure
    region: str = UNREPORTED_REGION


class _Refused(Exception):
    """The item has no answer, and sending it again in this call is of no use."""

    def __init__(self, code: FailureCode, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class _Passing(_Refused):
    """The item has no answer yet: the same request may succeed in a moment."""

    def __init__(self, code: FailureCode, message: str, retry_after: float | None = None) -> None:
        super().__init__(code, message)
        self.retry_after = retry_after


class _Part(BaseModel):
    """A part of a response: what we read must be there and of its type; the rest is theirs."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", hide_input_in_errors=True)


class _Message(_Part):
    content: str | None
    refusal: str | None = None


class _Choice(_Part):
    message: _Message
    finish_reason: str


class _Usage(_Part):
    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(ge=0)


class _Completion(_Part):
    choices: tuple[_Choice, ...] = Field(min_length=1, max_length=1)
    usage: _Usage | None = None


async def complete(
    client: httpx.AsyncClient,
    endpoint: Endpoint,
    item: Item,
    parameters: GenerationParameters,
    *,
    sleep: Sleep,
) -> Told:
    """Ask for one item, again after faults that pass. Never raises for what an endpoint does."""
    retrying = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(_Passing),
        stop=_is_hopeless,
        wait=_pause,
        sleep=sleep,
        reraise=True,
    )
    try:
        return await retrying(_once, client, endpoint, item, parameters)
    except _Refused as refused:
        message = endpoint.without_key(refused.message)
        return Told(ItemFailure(id=item.id, code=refused.code, message=message))


async def _once(
    client: httpx.AsyncClient, endpoint: Endpoint, item: Item, parameters: GenerationParameters
) -> Told:
    started = time.monotonic()
    response, body = await _exchange(client, endpoint, _request_body(endpoint, item, parameters))
    if not response.is_success:
        raise _refusal(endpoint, response, body)
    try:
        answer = _read(item, body, time.monotonic() - started)
    except ValueError as problem:
        said = _shown(endpoint, _in_one_line(problem), SAID_LIMIT)
        raw = _shown(endpoint, body.decode(errors="replace"), RAW_LIMIT)
        message = f"{endpoint.place} answered {said}; it begins: {raw}"
        raise _Refused(FailureCode.MALFORMED_REPLY, message) from None
    named = response.headers.get(endpoint.region_header) if endpoint.region_header else None
    return Told(answer, named or UNREPORTED_REGION)


def _request_body(endpoint: Endpoint, item: Item, parameters: GenerationParameters) -> dict[str, Any]:
    system = [{"role": "system", "content": item.system_prompt}] if item.system_prompt else []
    body = {
        "model": endpoint.model,
        "messages": [*system, {"role": "user", "content": item.prompt}],
        "max_tokens": parameters.max_new_tokens,
        "temperature": parameters.temperature,
        "frequency_penalty": 0.0,
        "presence_penalty": 0.0,
        "seed": parameters.seed,
        "n": 1,
        "stream": False,
    }
    if parameters.temperature > 0:
        # Without meaning for greedy generation, and TGI refuses the 1 that would be said.
        body["top_p"] = parameters.top_p
    if parameters.stop:
        body["stop"] = list(parameters.stop)
    if parameters.template_arguments:
        # An extension of vLLM and SGLang.
        body["chat_template_kwargs"] = dict(parameters.template_arguments)
    return body


async def _exchange(
    client: httpx.AsyncClient, endpoint: Endpoint, request: dict[str, Any]
) -> tuple[httpx.Response, bytes]:
    url = f"{endpoint.base_url}/chat/completions"
    body = bytearray()
    try:
        async with client.stream("POST", url, json=request, headers=endpoint.headers) as response:
            async for part in response.aiter_bytes():
                body += part
                if len(body) > RESPONSE_LIMIT:
                    message = f"{endpoint.place} answered more than {RESPONSE_LIMIT} bytes"
                    raise _Refused(FailureCode.MALFORMED_REPLY, message)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
        reason = _in_one_line(error)
        raise _Passing(
            FailureCode.PROVIDER_ERROR, f"{endpoint.place} cannot be connected to: {reason}"
        ) from None
    except httpx.DecodingError as error:
        message = f"{endpoint.place} answered what cannot be unpacked: {_in_one_line(error)}"
        raise _Refused(FailureCode.MALFORMED_REPLY, message) from None
    except httpx.TransportError as error:
        message = f"the connection to {endpoint.place} was lost before its answer: {_in_one_line(error)}"
        raise _Refused(FailureCode.INTERRUPTED, message) from None
    return response, bytes(body)


def _refusal(endpoint: Endpoint, response: httpx.Response, body: bytes) -> _Refused:
    said = body.decode(errors="replace")
    status = response.status_code
    shown = _shown(endpoint, said, SAID_LIMIT) or response.reason_phrase
    message = f"{endpoint.place} answered {status}: {shown}"
    if status in RETRIED_STATUSES or status >= 500:
        code = FailureCode.RATE_LIMITED if status == 429 else FailureCode.PROVIDER_ERROR
        return _Passing(code, message, retry_after_seconds(response.headers.get("Retry-After")))
    too_long = "context_length_exceeded" in said or "maximum context length" in said
    return _Refused(FailureCode.PROMPT_TOO_LONG if too_long else FailureCode.REJECTED, message)


def _shown(endpoint: Endpoint, said: str, limit: int) -> str:
    """The beginning of what an endpoint said. A key is replaced first: cut in two, it is not found."""
    return endpoint.without_key(said)[:limit]


def _read(item: Item, body: bytes, seconds: float) -> ItemAnswer:
    """The answer in a response. Raises ValueError, with what is wrong, for one that breaks the contract."""
    completion = _Completion.model_validate_json(body)
    choice = completion.choices[0]
    if choice.finish_reason == "content_filter":
        raise _Refused(FailureCode.REJECTED, "the endpoint's content filter withheld the answer")
    if choice.finish_reason not in FINISH_REASONS:
        raise ValueError(f"an unknown finish reason, {choice.finish_reason!r}")
    text = choice.message.content if choice.message.content is not None else choice.message.refusal
    if text is None:
        raise ValueError("neither content nor refusal")
    usage = completion.usage
    return ItemAnswer(
        id=item.id,
        text=text,
        finish_reason=FINISH_REASONS[choice.finish_reason],
        prompt_tokens=usage.prompt_tokens if usage else None,
        output_tokens=usage.completion_tokens if usage else None,
        output_token_sha256=None,
        seconds=seconds,
    )


def retry_after_seconds(header: str | None, now: datetime | None = None) -> float | None:
    """How long a Retry-After header asks to wait; None where there is none that can be read."""
    if header is None:
        return None
    if re.fullmatch(r"\d{1,9}", header.strip()):
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max((moment - (now or datetime.now(UTC))).total_seconds(), 0.0)


_backoff = tenacity.wait_random_exponential(multiplier=0.5, max=10)


def _pause(state: tenacity.RetryCallState) -> float:
    return max(_asked_pause(state), float(_backoff(state)))


def _is_hopeless(state: tenacity.RetryCallState) -> bool:
    return state.attempt_number >= TRIES or _asked_pause(state) > RETRY_AFTER_LIMIT_SECONDS


def _asked_pause(state: tenacity.RetryCallState) -> float:
    failure = state.outcome.exception() if state.outcome else None
    return (failure.retry_after or 0.0) if isinstance(failure, _Passing) else 0.0


def _in_one_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'body'}: {e['msg']}" for e in error.errors()[:3])
    return " ".join(str(error).split()) or type(error).__name__
