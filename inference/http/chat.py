"""One item, one chat completion: what is sent, and what a failure means. `completion` reads the answer.

=====================================  ========================================================
the endpoint                           the item
=====================================  ========================================================
cannot be connected to (it starts)     sent again later and later, as long as the call has time; then
                                       ``provider_error``
its name or certificate is wrong       sent again, a few times; then ``provider_error``
408, 5xx but 503                       sent again, a few times, for each may be billed; then
                                       ``provider_error``
429, 503 (busy, or loads its model)    sent again when it asks to be, or later and later, as long
                                       as the call has time; then ``rate_limited``, ``provider_error``
a quota that is used up                ``rejected`` at once: waiting does not help
any other status but 2xx               ``rejected`` (``prompt_too_long`` where it says so)
2xx with an error in the body          as the status that the error names
connection lost after sending          ``interrupted``: it may have been generated, and paid for
2xx, no completion in the body         ``malformed_reply``, with the beginning of the body
2xx, a completion                      an answer: empty, unfinished, refused and filtered ones too
=====================================  ========================================================
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import tenacity

from inference.contract import (
    UNREPORTED_REGION,
    FailureCode,
    GenerationParameters,
    Item,
    ItemAnswer,
    ItemFailure,
)
from inference.http.completion import ReportedError, read_completion, reported_error
from inference.http.endpoint import Endpoint
from inference.http.transport import cause_of, in_one_line, may_pass

TRIES = 4  # of one item, within one call, where a try may have generated
LONGEST_BACKOFF_SECONDS = 30.0
RESPONSE_LIMIT = 8 * 1024 * 1024  # bytes
RAW_LIMIT, SAID_LIMIT = 4_000, 300  # characters of a body kept with a failure: malformed, refused
LABEL_LIMIT = 200  # characters of a name that an endpoint gives to something
RETRIED_STATUSES = frozenset({408, 429})  # and every 5xx
# These have generated nothing: trying again costs no more than time.
WAITED_FOR_STATUSES = frozenset({429, 503})
QUOTA = re.compile(
    r"insufficient_quota|exceeded your current quota|billing_hard_limit|credit balance is too low"
)
# OpenAI, vLLM; TGI; llama.cpp; SGLang; Anthropic behind gateways.
TOO_LONG = re.compile(
    r"context_length_exceeded|maximum context length|context length is only"
    r"|must be <= \d+\. Given: \d+ `inputs` tokens|`inputs` must have less than"
    r"|exceed_context_size|exceeds the available context size"
    r"|longer than the model's context length|prompt is too long",
    re.IGNORECASE,
)

Sleep = Callable[[float], Awaitable[None]]


class _Refused(Exception):
    """The item has no answer, and sending it again in this call is of no use."""

    def __init__(self, code: FailureCode, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class _Passing(_Refused):
    """The item has no answer yet: the same request may succeed in a moment.

    ``retry_after``: seconds that the endpoint asks to wait. ``costless``: it has generated nothing.
    """

    def __init__(
        self, code: FailureCode, message: str, *, retry_after: float | None = None, costless: bool = False
    ) -> None:
        super().__init__(code, message)
        self.retry_after, self.costless = retry_after, costless


async def complete(
    client: httpx.AsyncClient,
    endpoint: Endpoint,
    item: Item,
    parameters: GenerationParameters,
    *,
    patience_seconds: float,
    sleep: Sleep,
    on_pause: Callable[[str], None],
) -> ItemAnswer | ItemFailure:
    """Ask for one item, again after faults that pass, with pauses of ``patience_seconds`` in all at most.

    ``on_pause`` gets why it is sent again, before each pause. Never raises for what an endpoint does.
    """

    def note(state: tenacity.RetryCallState) -> None:
        failure = _failure(state)
        assert failure is not None, "only what may pass is sent again"
        on_pause(endpoint.without_key(failure.message))

    retrying = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(_Passing),
        stop=lambda state: _is_hopeless(state, patience_seconds),
        wait=_pause,
        sleep=sleep,
        before_sleep=note,
        reraise=True,
    )
    try:
        return await retrying(_once, client, endpoint, item, parameters)
    except _Refused as refused:
        return ItemFailure(id=item.id, code=refused.code, message=endpoint.without_key(refused.message))
    except Exception as error:  # noqa: BLE001 - a text that is no Unicode, say: its batch goes on
        problem = _shown(endpoint, f"{type(error).__name__}: {in_one_line(error)}", SAID_LIMIT)
        message = f"{endpoint.place} could not be asked: {problem}"
        return ItemFailure(id=item.id, code=FailureCode.REJECTED, message=message)


async def _once(
    client: httpx.AsyncClient, endpoint: Endpoint, item: Item, parameters: GenerationParameters
) -> ItemAnswer:
    started = time.monotonic()
    response, body = await _exchange(
        client, endpoint, _request_body(endpoint, item, item.parameters(parameters))
    )
    if not response.is_success:
        raise _refusal(endpoint, response, body)
    try:
        return _answer(endpoint, item, response, body, time.monotonic() - started)
    except ReportedError as error:
        raise _refusal(endpoint, response, body, error) from None
    except ValueError as problem:
        text = _shown(endpoint, in_one_line(problem), SAID_LIMIT)
        raw = _shown(endpoint, body.decode(errors="replace"), RAW_LIMIT)
        message = f"{endpoint.place} answered {text}; it begins: {raw}"
        raise _Refused(FailureCode.MALFORMED_REPLY, message) from None


def _request_body(endpoint: Endpoint, item: Item, parameters: GenerationParameters) -> dict[str, Any]:
    """Every field that a server would otherwise fill in, from the generation_config of a repository say:
    vLLM and SGLang do (``repetition_penalty`` of Qwen2.5 is 1.1 there). OpenAI refuses those it lacks."""
    system = [{"role": "system", "content": item.system_prompt}] if item.system_prompt else []
    body: dict[str, Any] = {
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
    if parameters.temperature > 0 and not (endpoint.style == "tgi" and parameters.top_p == 1):
        body["top_p"] = parameters.top_p  # without meaning for greedy generation; TGI's own is 1
    if parameters.stop:
        body["stop"] = list(parameters.stop)
    if endpoint.style == "vllm":
        body |= {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
        if parameters.template_arguments:
            body["chat_template_kwargs"] = parameters.template_arguments
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
        message = f"{endpoint.place} cannot be connected to: {cause_of(error)}"
        raise _Passing(FailureCode.PROVIDER_ERROR, message, costless=may_pass(error)) from None
    except httpx.DecodingError as error:
        message = f"{endpoint.place} answered what cannot be unpacked: {in_one_line(error)}"
        raise _Refused(FailureCode.MALFORMED_REPLY, message) from None
    except httpx.TransportError as error:
        message = f"the connection to {endpoint.place} was lost before its answer: {in_one_line(error)}"
        raise _Refused(FailureCode.INTERRUPTED, message) from None
    return response, bytes(body)


def _refusal(
    endpoint: Endpoint, response: httpx.Response, body: bytes, error: ReportedError | None = None
) -> _Refused:
    """What a response without an answer means; ``error`` is the one in a body with status 200."""
    text = body.decode(errors="replace")
    status = error.status if error else response.status_code
    error = error or reported_error(body)
    shown = _shown(endpoint, error.message if error else text, SAID_LIMIT) or response.reason_phrase
    message = f"{endpoint.place} answered {status}: {shown}"
    if QUOTA.search(text):
        return _Refused(FailureCode.REJECTED, f"{message} (waiting does not help: its quota is used up)")
    if status in RETRIED_STATUSES or status >= 500:
        return _Passing(
            FailureCode.RATE_LIMITED if status == 429 else FailureCode.PROVIDER_ERROR,
            message,
            retry_after=retry_after_seconds(response.headers.get("Retry-After")),
            costless=status in WAITED_FOR_STATUSES,
        )
    return _Refused(FailureCode.PROMPT_TOO_LONG if TOO_LONG.search(text) else FailureCode.REJECTED, message)


def _shown(endpoint: Endpoint, text: str, limit: int) -> str:
    """The beginning of what an endpoint answered. A key is replaced first: cut in two, it is not found."""
    return endpoint.without_key(text)[:limit]


def _answer(
    endpoint: Endpoint, item: Item, response: httpx.Response, body: bytes, seconds: float
) -> ItemAnswer:
    read = read_completion(body)
    region = response.headers.get(endpoint.region_header) if endpoint.region_header else None
    known = read.reported_finish_reason == read.finish_reason.value
    return ItemAnswer(
        id=item.id,
        text=endpoint.without_key(read.text),
        finish_reason=read.finish_reason,
        prompt_tokens=read.prompt_tokens,
        output_tokens=read.output_tokens,
        output_token_sha256=None,
        seconds=seconds,
        reasoning=None if read.reasoning is None else endpoint.without_key(read.reasoning),
        reasoning_unfinished=read.unfinished,
        region=_label(endpoint, region) or UNREPORTED_REGION,
        served_model=_label(endpoint, read.model),
        other_model=read.model is not None and not endpoint.serves(read.model),
        system_fingerprint=_label(endpoint, read.system_fingerprint),
        reported_finish_reason=None if known else _label(endpoint, read.reported_finish_reason),
        refusal_field=read.refused,
    )


def _label(endpoint: Endpoint, text: str | None) -> str | None:
    """A name in a response as it is kept beside an answer: short, printable, without the key."""
    if text is None:
        return None
    return "".join(c if c.isprintable() else "?" for c in _shown(endpoint, text, LABEL_LIMIT))


def retry_after_seconds(header: str | None, now: datetime | None = None) -> float | None:
    """How long a Retry-After header asks to wait; None where there is none that can be read."""
    if header is None:
        return None
    if re.fullmatch(r"\d{1,9}", header.strip()):
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max((moment - (now or datetime.now(UTC))).total_seconds(), 0.0)


_backoff = tenacity.wait_random_exponential(multiplier=0.5, max=LONGEST_BACKOFF_SECONDS)


def _pause(state: tenacity.RetryCallState) -> float:
    failure = _failure(state)
    asked = (failure.retry_after or 0.0) if failure else 0.0
    return max(asked, float(_backoff(state)))


def _is_hopeless(state: tenacity.RetryCallState, patience_seconds: float) -> bool:
    failure = _failure(state)
    if failure is None or (state.attempt_number >= TRIES and not failure.costless):
        return True
    # Connecting takes time, too: the cause is to be on record, not that time was up.
    spent = max(state.idle_for, state.seconds_since_start or 0.0)
    return spent + state.upcoming_sleep > patience_seconds


def _failure(state: tenacity.RetryCallState) -> _Passing | None:
    failure = state.outcome.exception() if state.outcome else None
    return failure if isinstance(failure, _Passing) else None
