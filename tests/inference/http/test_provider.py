"""The HTTP provider against a real server: every behaviour of an endpoint, and what becomes of the item."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
import structlog
from pydantic import SecretStr, ValidationError
from starlette.responses import JSONResponse, PlainTextResponse, Response

from inference.contract import (
    UNREPORTED_REGION,
    CallState,
    CallStatus,
    Deployment,
    FailureCode,
    FinishReason,
    GenerationParameters,
    Item,
    ItemAnswer,
    ItemFailure,
    ItemResult,
    ModelSource,
    NotConfigured,
    Provider,
    Reply,
    ReplyUnavailable,
    Request,
    SubmitRejected,
)
from inference.http.call_ids import ProcessCall
from inference.http.chat import LABEL_LIMIT, TRIES, retry_after_seconds
from inference.http.endpoint import Endpoint, EndpointStyle
from inference.http.provider import HttpProvider
from inference.inspection import Inspectable
from tests.inference.endpoints import BEHAVIOURS, KEY, Server, completion, endpoint_server

EU = Deployment(region="eu", model="tiny")


@pytest.fixture(scope="module")
def running_server() -> Iterator[Server]:
    with endpoint_server() as running:
        yield running


@pytest.fixture
def server(running_server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The server, as if freshly started."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    running_server.forget()
    return running_server


class Asking:
    """One provider of one endpoint; remembers how long it wished to sleep instead of sleeping."""

    def __init__(self, endpoint: Endpoint, **options: int) -> None:
        self.slept: list[float] = []
        self.provider = HttpProvider({EU: endpoint}, sleep=self.sleep, **options)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def ask(self, *prompts: str) -> tuple[CallState, Reply | None]:
        request = a_request(*prompts)
        call_id = await self.provider.submit(request)
        state = await settled(self.provider, call_id)
        if state.status is CallStatus.SUCCEEDED:
            return state, await self.provider.fetch(call_id, request)
        return state, None

    async def result(self, prompt: str) -> ItemResult:
        _, reply = await self.ask(prompt)
        assert reply is not None
        (result,) = reply.items
        return result


Ask = Callable[..., Asking]


@pytest.fixture
async def asking(server: Server) -> AsyncIterator[Ask]:
    made: list[Asking] = []

    def ask(*, requests_at_once: int = 8, **changes: object) -> Asking:
        made.append(Asking(server.endpoint(**changes), requests_at_once=requests_at_once))
        return made[-1]

    yield ask
    for one in made:
        await one.provider.close()


def a_request(*prompts: str, temperature: float = 0.0, top_p: float = 1.0) -> Request:
    return Request(
        id=f"request-{prompts[0].replace(' ', '-')}",
        deployment=EU,
        model=ModelSource(id="tiny", repository="o/m", revision="r", dtype="float32", context_tokens=64),
        parameters=GenerationParameters(max_new_tokens=9, temperature=temperature, top_p=top_p, seed=7),
        items=tuple(
            Item(id=f"i{n}", system_prompt="Be brief.", prompt=prompt) for n, prompt in enumerate(prompts)
        ),
    )


async def settled(provider: Provider, call_id: str) -> CallState:
    while (state := await provider.poll(call_id)).status is CallStatus.PENDING:
        await asyncio.sleep(0.005)
    return state


# what the endpoint does -> the text, or the failure code; and how often it was asked
TABLE = """
answer              fine                       1
empty               ''                         1
long                'and so on'                1
eos_token           fine                       1
refusal             'I cannot help with that.' 1
no_usage            fine                       1
429_once            fine                       2
503_twice           fine                       3
loads               fine                       11
two_minutes         fine                       2
429_in_200_once     fine                       2
null                ''                         1
no_content          ''                         1
thoughts_only       ''                         1
thoughts            fine                       1
thinking_part       fine                       1
parts               fine                       1
empty_and_refusal   'I cannot help with that.' 1
two_choices         a                          1
no_finish_reason    fine                       1
tool_calls          fine                       1
tokens_as_text      fine                       1
filtered            ''                         1
cut_off_and_filtered 'It is'                   1
a_mark_first        fine                       1
another_model       fine                       1
many_digits         fine                       1
an_odd_thought      fine                       1
an_empty_error      fine                       1
nested              malformed_reply            1
number_for_content  malformed_reply            1
no_choices          malformed_reply            1
empty_choices       malformed_reply            1
a_list              malformed_reply            1
not_json            malformed_reply            1
half_a_json         malformed_reply            1
too_much            malformed_reply            1
not_gzip            malformed_reply            1
quota               rejected                   1
400_in_a_choice     rejected                   1
too_long_for_TGI    prompt_too_long            1
too_long_for_llama.cpp prompt_too_long         1
502_in_200          provider_error             4
words_in_200        provider_error             4
bad_request         rejected                   1
unauthorized        rejected                   1
moved               rejected                   1
too_long            prompt_too_long            1
429_for_an_hour     rate_limited               1
500_for_ever        provider_error             4
cut_off             interrupted                1
"""


@pytest.mark.parametrize("row", TABLE.strip().splitlines(), ids=lambda row: row.split()[0])
async def test_what_becomes_of_an_item(asking: Ask, server: Server, row: str) -> None:
    name, rest = row.split(maxsplit=1)
    expected, tries = rest.rsplit(maxsplit=1)
    prompt = name.replace("_", " ") if name != "eos_token" else name
    result = await asking(api_key=SecretStr(KEY), timeout_seconds=600.0).result(prompt)
    told = result.text if isinstance(result, ItemAnswer) else result.code.value
    assert told == expected.strip("'")
    assert server.asked[prompt] == int(tries)


async def test_an_answer_carries_what_was_reported_and_nothing_else(asking: Ask) -> None:
    state, reply = await asking().ask("answer", "long", "null usage")
    assert state.status is CallStatus.SUCCEEDED
    assert reply is not None
    assert reply.region == UNREPORTED_REGION
    assert (reply.cloud, reply.task_id, reply.cold_start) == (None, None, None)
    assert reply.provenance.engine == "http"
    assert (reply.provenance.model_revision, reply.provenance.batch_size) == (None, None)
    stopped, cut, silent = reply.items
    assert isinstance(stopped, ItemAnswer)
    assert isinstance(cut, ItemAnswer)
    assert isinstance(silent, ItemAnswer)
    assert (stopped.finish_reason, cut.finish_reason) == (FinishReason.STOP, FinishReason.LENGTH)
    assert (stopped.prompt_tokens, stopped.output_tokens, stopped.output_token_sha256) == (5, 2, None)
    assert (silent.prompt_tokens, silent.output_tokens) == (None, None)


@pytest.mark.parametrize(
    ("prompts", "region"),
    [
        (["eu"], "eu-west-3"),
        (["eu", "500 for ever"], "eu-west-3"),
        (["answer"], UNREPORTED_REGION),
        (["eu", "us"], "eu-west-3, us-east-1"),
        (["eu", "answer"], "eu-west-3, unreported"),
    ],
)
async def test_the_region_is_what_a_configured_header_says(
    asking: Ask, prompts: list[str], region: str
) -> None:
    _, reply = await asking(region_header="X-Region").ask(*prompts)
    assert reply is not None
    assert reply.region == region


async def test_an_answer_has_the_region_of_its_own_response(asking: Ask) -> None:
    _, reply = await asking(region_header="X-Region").ask("eu", "us", "answer", "eu twice")
    assert reply is not None
    regions = [item.region for item in reply.items if isinstance(item, ItemAnswer)]
    assert regions == ["eu-west-3", "us-east-1", UNREPORTED_REGION, "eu-west-1, eu-west-3"]


async def test_a_header_that_nobody_named_says_nothing(asking: Ask) -> None:
    _, reply = await asking().ask("eu")
    assert reply is not None
    assert reply.region == UNREPORTED_REGION


async def test_generation_is_steered_by_what_is_sent(asking: Ask, server: Server) -> None:
    await asking().ask("answer")
    (body,) = server.bodies
    assert body == {
        "model": "served",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "answer"},
        ],
        "max_tokens": 9,
        "temperature": 0.0,
        "frequency_penalty": 0.0,
        "presence_penalty": 0.0,
        "seed": 7,
        "n": 1,
        "stream": False,
        "top_k": -1,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
    }
    assert "authorization" not in server.headers[0]
    sampling = asking().provider
    await settled(sampling, await sampling.submit(a_request("answer", temperature=0.7, top_p=0.9)))
    assert (server.bodies[1]["temperature"], server.bodies[1]["top_p"]) == (0.7, 0.9)
    quiet = {"enable_thinking": False}
    steered = GenerationParameters(max_new_tokens=9, stop=("END",), template_arguments=quiet)
    request = a_request("answer").model_copy(update={"id": "steered", "parameters": steered})
    await settled(sampling, await sampling.submit(request))
    assert server.bodies[2]["stop"] == ["END"]
    assert server.bodies[2]["chat_template_kwargs"] == quiet


async def test_openai_gets_the_fields_that_it_takes_and_no_others(asking: Ask, server: Server) -> None:
    await asking(style="openai").ask("answer")
    assert not server.bodies[0].keys() & {"top_k", "min_p", "repetition_penalty", "chat_template_kwargs"}


@pytest.mark.parametrize(
    ("style", "top_p", "sent"), [("tgi", 1.0, None), ("tgi", 0.9, 0.9), ("openai", 1.0, 1.0)]
)
async def test_tgi_gets_no_top_p_that_it_refuses(
    asking: Ask, server: Server, style: EndpointStyle, top_p: float, sent: float | None
) -> None:
    provider = asking(style=style).provider
    await settled(provider, await provider.submit(a_request("answer", temperature=0.7, top_p=top_p)))
    assert server.bodies[0].get("top_p") == sent
    assert "top_k" not in server.bodies[0]


@pytest.mark.parametrize(
    ("style", "owner", "meant"),
    [
        ("vllm", "vllm", None),
        ("vllm", "sglang", None),
        ("openai", "llamacpp", "vllm"),
        ("vllm", "served", "tgi"),
        ("tgi", "served", None),
        ("vllm", "our gateway", None),
        ("vllm", None, None),
    ],
)
async def test_a_server_that_says_whose_it_is_is_held_against_the_style(
    asking: Ask, server: Server, style: EndpointStyle, owner: str | None, meant: str | None
) -> None:
    server.models = JSONResponse({"data": [{"id": "served", "owned_by": owner}]})
    state = await asking(style=style).provider.inspect(EU)
    assert state.found
    assert (f"style {meant!r}" in state.detail) if meant else (state.detail == "")


async def test_the_key_is_sent_and_never_shown(
    asking: Ask, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    work = asking(api_key=SecretStr(KEY), api_key_variable="BEACON_TEST_KEY")
    # httpcore's own debug lines show a response's headers as they came: a key there has its own test.
    unfit = {"slow body", "503 and then nothing", "half a surrogate", "labels with the key"}
    _, reply = await work.ask(*BEHAVIOURS.keys() - unfit)
    assert {headers["authorization"] for headers in server.headers} == {f"Bearer {KEY}"}
    assert "unauthorized" in server.asked
    assert reply is not None
    texts = [reply.model_dump_json(), caplog.text, repr(server.endpoint(api_key=SecretStr(KEY)))]
    assert not any(KEY[:6] in text for text in texts)
    assert any("your key is ***" in item.message for item in reply.items if isinstance(item, ItemFailure))


async def test_a_malformed_body_is_kept_at_its_beginning(asking: Ask) -> None:
    result = await asking().result("not json")
    assert isinstance(result, ItemFailure)
    assert "<html>It works!</html>" in result.message
    wrong = await asking().result("number for content")
    assert isinstance(wrong, ItemFailure)
    assert "choices.0.message.content" in wrong.message


async def test_pauses_follow_retry_after_within_the_calls_time(asking: Ask) -> None:
    work = asking(timeout_seconds=200.0)
    await work.ask("two minutes")
    assert len(work.slept) == 1
    assert 120 <= work.slept[0] <= 200
    await work.ask("500 for ever")
    assert len(work.slept) == 1 + TRIES - 1
    refused = await work.result("429 for an hour")
    assert isinstance(refused, ItemFailure)
    assert len(work.slept) == 1 + TRIES - 1, "an hour is more than the call has"


async def test_who_is_busy_for_ever_is_asked_until_the_calls_time_is_over(asking: Ask) -> None:
    work = asking(timeout_seconds=100.0)
    result = await work.result("429 for ever")
    assert isinstance(result, ItemFailure)
    assert result.code is FailureCode.RATE_LIMITED
    assert len(work.slept) >= TRIES
    assert sum(work.slept) <= 100


# what the endpoint does -> thoughts, whether they are unfinished, whether the text is a refusal field's
@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("null", (None, False, False)),
        ("thoughts only", ("Well,", True, False)),
        ("thoughts", ("Well.", False, False)),
        ("thinking part", ("Well.", False, False)),
        ("empty and refusal", (None, False, True)),
        ("refusal", (None, False, True)),
    ],
)
async def test_thoughts_and_refusals_are_kept_apart(
    asking: Ask, prompt: str, expected: tuple[str | None, bool, bool]
) -> None:
    result = await asking().result(prompt)
    assert isinstance(result, ItemAnswer)
    assert (result.reasoning, result.reasoning_unfinished, result.refusal_field) == expected


@pytest.mark.parametrize(
    ("odd", "system"), [("nested", ""), ("a date far off", ""), ("answer", "half a surrogate: \ud800")]
)
async def test_an_item_that_cannot_be_read_or_sent_costs_no_other(asking: Ask, odd: str, system: str) -> None:
    provider = asking().provider
    request = a_request("answer", odd)
    fine, unfit = request.items
    items = (fine, unfit.model_copy(update={"system_prompt": system}))
    request = request.model_copy(update={"items": items})
    call_id = await provider.submit(request)
    await settled(provider, call_id)
    answered, failed = (await provider.fetch(call_id, request)).items
    assert isinstance(answered, ItemAnswer)
    assert isinstance(failed, ItemFailure)
    assert failed.message.startswith("127.0.0.1")


async def test_what_names_an_answer_is_kept_short_printable_and_without_the_key(asking: Ask) -> None:
    work = asking(api_key=SecretStr(KEY), region_header="x-region")
    result = await work.result("labels with the key")
    assert isinstance(result, ItemAnswer)
    assert KEY[:6] not in result.model_dump_json()
    assert (result.region, result.served_model) == ("eu ***", "m??***")
    labels = (result.reported_finish_reason, result.system_fingerprint)
    assert all(label is not None and len(label) <= LABEL_LIMIT for label in labels)


async def test_a_lone_surrogate_is_part_of_the_answer(asking: Ask) -> None:
    result = await asking().result("half a surrogate")
    assert isinstance(result, ItemAnswer)
    assert result.text == "a\ud800b"


async def test_another_model_than_the_asked_one_is_marked(asking: Ask) -> None:
    work = asking(model_aliases=("served-2026-01-01",))
    other, alias, same = [await work.result(p) for p in ("another model", "an alias", "answer")]
    assert isinstance(other, ItemAnswer)
    assert isinstance(alias, ItemAnswer)
    assert isinstance(same, ItemAnswer)
    assert (other.served_model, other.other_model, other.system_fingerprint) == ("gpt-5-mini", True, "fp_1")
    assert (alias.served_model, alias.other_model) == ("Served-2026-01-01", False)
    assert (same.served_model, same.other_model) == ("served", False)


async def test_an_answer_that_quotes_the_key_is_masked(asking: Ask) -> None:
    result = await asking(api_key=SecretStr(KEY)).result("answers with the key")
    assert isinstance(result, ItemAnswer)
    assert (result.text, result.reasoning) == ("It is ***.", "Is it ***?")


def test_retry_after_is_read_in_both_its_forms() -> None:
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert retry_after_seconds("120", now) == 120
    assert retry_after_seconds("Fri, 02 Jan 2026 03:05:05 GMT", now) == 60
    assert retry_after_seconds("Fri, 02 Jan 2026 03:00:00 GMT", now) == 0
    assert [retry_after_seconds(text, now) for text in (None, "", "soon", "-3", "1e9")] == [None] * 5
    assert retry_after_seconds("Fri, 02 Jan 2026 03:05:05 +99999999999999999", now) is None


async def result_of(endpoint: Endpoint, **options: int) -> tuple[ItemFailure, list[float]]:
    """How asking this endpoint fails, and the pauses that were made."""
    work = Asking(endpoint, **options)
    result = await work.result("answer")
    await work.provider.close()
    assert isinstance(result, ItemFailure)
    return result, work.slept


@contextmanager
def nobody() -> Iterator[str]:
    """A base URL whose port is taken, and nobody listens there."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{closed.getsockname()[1]}/v1"


async def test_who_refuses_connections_is_waited_for_as_one_that_loads_is(server: Server) -> None:
    """vLLM opens its port when its model is loaded: waiting is no attempt."""
    with nobody() as url, structlog.testing.capture_logs() as logged:
        failed, slept = await result_of(server.endpoint(base_url=url, timeout_seconds=300.0))
    (told,) = logged
    assert str(told["why"]).endswith("cannot be connected to: Connection refused")
    assert told["at_most"] == "300 seconds in all"
    assert failed.code is FailureCode.PROVIDER_ERROR
    assert failed.message.endswith("cannot be connected to: Connection refused")
    assert len(slept) > TRIES
    assert 200 < sum(slept) <= 300


async def test_who_comes_late_is_asked_in_the_same_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    body = json.dumps(completion()).encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{port.getsockname()[1]}/v1"
        work = Asking(Endpoint(base_url=url, model="served", timeout_seconds=600))
        begun: list[asyncio.Server] = []

        async def open_the_port_late(seconds: float) -> None:
            work.slept.append(seconds)
            if len(work.slept) == TRIES + 2:
                begun.append(await asyncio.start_server(answer, sock=port))

        monkeypatch.setattr(work.provider, "_sleep", open_the_port_late)
        result = await work.result("answer")
        await work.provider.close()
        begun[0].close()
    assert isinstance(result, ItemAnswer)
    assert len(work.slept) == TRIES + 2


async def test_what_was_waited_for_is_said_when_time_is_up(asking: Ask) -> None:
    """Of a call that is cut off in the middle of a try."""
    state, _ = await asking(timeout_seconds=0.5).ask("503 and then nothing")
    assert state.failure is not None
    assert state.failure.code is FailureCode.TIMED_OUT
    assert "within 0.5 seconds from the call's start; the last one before: 127.0.0.1" in state.failure.message
    assert "answered 503: loading" in state.failure.message


async def test_a_slow_body_times_out_and_keeps_what_the_others_got(asking: Ask) -> None:
    _, reply = await asking(timeout_seconds=0.5).ask("slow body", "answer")
    assert reply is not None
    slow, quick = reply.items
    assert isinstance(slow, ItemFailure)
    assert (slow.code, slow.code.retryable) == (FailureCode.TIMED_OUT, True)
    assert isinstance(quick, ItemAnswer)


async def test_a_call_of_which_nothing_came_in_time_is_timed_out(asking: Ask) -> None:
    state, _ = await asking(timeout_seconds=0.2).ask("slow body", "hang")
    assert state.status is CallStatus.TIMED_OUT
    assert state.failure is not None
    assert state.failure.code is FailureCode.TIMED_OUT


async def test_requests_at_once_are_bounded_over_all_calls_of_a_deployment(
    asking: Ask, server: Server
) -> None:
    work = asking(requests_at_once=3)
    await asyncio.gather(*(work.ask(*(f"busy {call} {item}" for item in range(10))) for call in range(3)))
    assert len(server.bodies) == 30
    assert 1 < server.most_at_once <= 3


async def test_a_request_is_not_begun_twice_by_one_provider(asking: Ask, server: Server) -> None:
    provider = asking().provider
    request = a_request("answer")
    first, second = await provider.submit(request), await provider.submit(request)
    assert first == second
    await settled(provider, first)
    assert await provider.submit(request) == first
    assert server.asked["answer"] == 1


async def test_cancelling_drops_the_connections(asking: Ask, server: Server) -> None:
    provider = asking().provider
    call_id = await provider.submit(a_request("hang"))
    while not server.asked["hang"]:
        await asyncio.sleep(0.005)
    with pytest.raises(ReplyUnavailable):
        await provider.fetch(call_id, a_request("hang"))
    await provider.cancel(call_id)
    assert (await provider.poll(call_id)).status is CallStatus.CANCELLED
    await provider.cancel("never heard of")


# where the owner was, whether its process is there, seconds until the call's end -> may it live
@pytest.mark.parametrize(
    ("host", "process_exists", "left", "expected"),
    [
        ("here", True, 60, True),
        ("here", False, 60, False),
        ("here", True, -1, False),
        ("elsewhere", False, 60, True),
        ("elsewhere", True, -1, False),
    ],
)
def test_whether_the_owner_of_a_call_may_live(
    host: str, process_exists: bool, left: int, expected: bool
) -> None:
    call = ProcessCall.read(str(ProcessCall("request", "owner", host, 4711, 1_000)))
    assert call is not None
    seen = call.owner_may_live(
        now=1_000 - left, host="here", process=1, process_exists=lambda process: process_exists
    )
    assert seen is expected


async def test_a_call_of_a_dead_process_is_interrupted(asking: Ask) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    ends_at = int(time.time()) + 600
    host = socket.gethostname()
    left = str(ProcessCall("request", "owner", host, dead.pid, ends_at))
    alive = str(ProcessCall("request", "owner", host, os.getppid(), ends_at))
    provider = asking().provider
    assert (await provider.poll(left)).status is CallStatus.EXPIRED
    assert (await provider.poll(alive)).status is CallStatus.UNREACHABLE


async def test_a_deployment_without_endpoint_is_rejected(asking: Ask) -> None:
    request = a_request("answer").model_copy(update={"deployment": Deployment(region="us", model="tiny")})
    with pytest.raises(SubmitRejected, match="no endpoint serves us:tiny"):
        await asking().provider.submit(request)


# what is answered to a look-up -> whether the deployment is there, and a word of what is said
LOOKUPS: dict[str, tuple[Response | None, bool | None, str]] = {
    "listed": (None, True, "listed"),
    "another model": (JSONResponse({"data": [{"id": "tgi"}]}), False, "lists tgi, not 'served'"),
    "no list": (PlainTextResponse("no such page", status_code=404), True, "not reported"),
    "something else": (PlainTextResponse("<html>"), True, "not reported"),
    "broken": (PlainTextResponse("oops", status_code=502), None, "answered 502"),
}


@pytest.mark.parametrize(("models", "found", "said"), LOOKUPS.values(), ids=LOOKUPS)
async def test_an_endpoint_is_looked_up_without_asking_a_model(
    asking: Ask, server: Server, models: Response | None, found: bool | None, said: str
) -> None:
    server.models = models
    state = await asking().provider.inspect(EU)
    assert state.found is found
    assert said in f"{state.detail} {state.settings}"
    assert server.bodies == []


async def test_a_look_up_never_shows_the_key(asking: Ask, server: Server) -> None:
    server.models = JSONResponse({"data": [{"id": f"a model for {KEY}"}]})
    state = await asking(api_key=SecretStr(KEY)).provider.inspect(EU)
    assert "lists a model for ***, not 'served'" in state.detail


async def test_a_look_up_that_gets_no_answer_says_nothing_of_the_deployment(server: Server) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        work = Asking(server.endpoint(base_url=f"http://127.0.0.1:{closed.getsockname()[1]}/v1"))
        state = await work.provider.inspect(EU)
        await work.provider.close()
    assert state.found is None


async def test_a_refused_key_is_not_configured(asking: Ask) -> None:
    provider = asking(api_key=SecretStr("refused"), api_key_variable="BEACON_TEST_KEY").provider
    with pytest.raises(NotConfigured, match="refuses the key in BEACON_TEST_KEY"):
        await provider.inspect(EU)


@pytest.mark.parametrize("value", [None, "", "two words", f"{KEY}\n"])
async def test_a_key_that_is_missing_or_unfit_is_not_configured(asking: Ask, value: str | None) -> None:
    key = None if value is None else SecretStr(value)
    provider = asking(api_key=key, api_key_variable="BEACON_TEST_KEY").provider
    with pytest.raises(NotConfigured, match=r"eu:tiny needs its API key: .*BEACON_TEST_KEY") as caught:
        provider.check_configured(EU)
    assert KEY not in str(caught.value)


async def test_a_missing_key_holds_up_its_own_endpoint_only(server: Server) -> None:
    us = Deployment(region="us", model="tiny")
    without_key = server.endpoint(api_key=None, api_key_variable="BEACON_TEST_KEY")
    provider = HttpProvider({EU: server.endpoint(), us: without_key})
    to_us = a_request("answer").model_copy(update={"id": "to-us", "deployment": us})
    provider.check_configured(EU)
    assert (
        await settled(provider, await provider.submit(a_request("answer")))
    ).status is CallStatus.SUCCEEDED
    assert (await provider.inspect(EU)).found
    for asked in (provider.submit(to_us), provider.inspect(us)):
        with pytest.raises(NotConfigured, match="us:tiny needs its API key: set BEACON_TEST_KEY"):
            await asked
    with pytest.raises(NotConfigured, match="us:tiny"):
        provider.check_configured(EU, us)
    assert len(server.bodies) == 1
    await provider.close()


@pytest.mark.parametrize(
    "url", ["ftp://host/v1", "host/v1", "https://user:pass@host/v1", "https://host/v1?key=1", "http://[", ""]
)
def test_an_endpoint_url_without_credentials_is_needed(url: str) -> None:
    with pytest.raises(ValidationError, match="write an http") as caught:
        Endpoint(base_url=url, model="m", timeout_seconds=1)
    assert "pass" not in str(caught.value).replace("password", "")


async def test_it_can_be_inspected(asking: Ask) -> None:
    assert isinstance(asking().provider, Inspectable)
