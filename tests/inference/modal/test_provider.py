"""The Modal provider against a Modal of this machine, which answers in its own process."""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import modal
import pytest

from inference.contract import (
    CallStatus,
    FailureCode,
    ItemAnswer,
    MalformedReply,
    NotConfigured,
    Reply,
    ReplyUnavailable,
    SubmitRejected,
    SubmitUnknown,
)
from inference.inspection import HasAccount, Inspectable, Remote
from inference.modal.provider import ModalProvider
from inference.modal.server import ModelServer
from inference.modal.spec import APP_NAME, Duplicate, class_name, fresh_class_name, settings_of
from tests.inference.slow import SlowRuntime
from tests.inference.specs import a_request, a_spec
from tests.modal_loopback import Call, Loopback, Match, faults

SPEC = a_spec()


class Container:
    """What `inference.modal.app` runs, with a register of its own instead of Modal's."""

    def __init__(self) -> None:
        self.owners: dict[str, str] = {}

    def answer(self, call: Call) -> object:
        (raw,) = call.args
        claimed = ModelServer(
            SPEC,
            claim=lambda request_id, call_id: self.owners.setdefault(request_id, call_id),
            load=SlowRuntime,
            environment={"MODAL_REGION": call.region},
        )
        return claimed.answer(raw, call.call_id)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    container = Container()
    folder = tmp_path_factory.mktemp("modal")
    with Loopback(folder, answer=container.answer) as server, server.clients_here():
        for name in (class_name(SPEC.deployment), fresh_class_name(SPEC.deployment)):
            server.serve(APP_NAME, name, ["answer"], region="eu")
        yield server


@pytest.fixture
async def provider(server: Loopback) -> AsyncIterator[ModalProvider]:
    made = ModalProvider(look_again_seconds=0.01)
    yield made
    await made.close()
    server.in_workspace("loopback")
    server.release()
    server.clear()


def spawns(server: Loopback, request_id: str) -> int:
    return len(server.events("spawn", request_id=request_id))


async def test_a_call_is_spawned_polled_and_fetched(server: Loopback, provider: ModalProvider) -> None:
    assert isinstance(provider, Inspectable)
    request = a_request(id="plain")
    call_id = await provider.submit(request)
    assert call_id.startswith("fc-")
    assert (await provider.poll(call_id)).status is CallStatus.SUCCEEDED
    for _ in range(2):  # as often as one likes
        reply = await provider.fetch(call_id, request)
        assert all(isinstance(item, ItemAnswer) for item in reply.items)
    assert reply.region.startswith("europe-")
    assert spawns(server, "plain") == 1


async def test_a_fresh_start_is_asked_of_the_class_whose_containers_answer_one_call(
    server: Loopback, provider: ModalProvider
) -> None:
    for fresh_start, name in (
        (False, class_name(SPEC.deployment)),
        (True, fresh_class_name(SPEC.deployment)),
    ):
        request = a_request(id=name).model_copy(update={"fresh_start": fresh_start})
        await provider.submit(request)
        (spawn,) = server.events("spawn", request_id=name)
        assert spawn["class_name"] == name
    nowhere = a_request("apac", id="nowhere").model_copy(update={"fresh_start": True})
    with pytest.raises(SubmitRejected, match="run `beacon deploy`"):
        await provider.submit(nowhere)


async def test_a_claimed_request_is_not_spawned_again(server: Loopback, provider: ModalProvider) -> None:
    register = modal.Dict.from_name("beacon-requests", create_if_missing=True)
    await register.put.aio("claimed", "fc-00000000000000000042")
    assert await provider.submit(a_request(id="claimed")) == "fc-00000000000000000042"
    assert spawns(server, "claimed") == 0


async def test_a_second_call_stands_for_the_first(server: Loopback, provider: ModalProvider) -> None:
    server.inject(faults.PendingUntilReleased(), Match(contains="second", nth=1))
    request = a_request(id="second")
    first, second = [await provider.submit(request) for _ in range(2)]
    assert first != second
    assert (await provider.poll(second)).status is CallStatus.PENDING, "as the first is"
    with pytest.raises(ReplyUnavailable, match="is pending"):
        await provider.fetch(second, request)
    await provider.cancel(second)
    states = [await provider.poll(call_id) for call_id in (first, second)]
    assert states[0] == states[1]
    assert states[0].failure is not None
    assert [event["call"] for event in server.events("cancel", request_id="second")] == [first]


async def test_a_notice_that_leads_nowhere_is_malformed(server: Loopback, provider: ModalProvider) -> None:
    """To a call that no one knows."""
    loop = Duplicate(request_id="loop", duplicate_of="fc-x").model_dump()
    without = tuple(Reply.model_fields)
    server.inject(faults.MalformedReply(without=without, replaced=loop), Match(contains="loop"))
    request = a_request(id="loop")
    call_id = await provider.submit(request)
    state = await provider.poll(call_id)
    assert (state.status, state.failure and state.failure.code) == (
        CallStatus.EXPIRED,
        FailureCode.UNKNOWN_CALL,
    )


async def test_a_request_that_does_not_fit_is_rejected_by_the_container(provider: ModalProvider) -> None:
    request = a_request(id="stale", revision="b" * 64)
    call_id = await provider.submit(request)
    state = await provider.poll(call_id)
    assert state.failure is not None
    assert (state.status, state.failure.code) == (CallStatus.FAILED, FailureCode.REJECTED)
    assert "`beacon deploy` brings it up to date" in state.failure.message


async def test_what_is_not_deployed_is_rejected_before_anything_runs(
    server: Loopback, provider: ModalProvider
) -> None:
    request = a_request(region="us", id="nowhere")
    with pytest.raises(SubmitRejected, match=r"us:tiny is not deployed on Modal .*`beacon deploy`"):
        await provider.submit(request)
    state = await provider.inspect(request.deployment)
    assert (state.found, "run `beacon deploy`" in state.detail) == (False, True)
    assert spawns(server, "nowhere") == 0


async def test_how_a_deployment_is_deployed(provider: ModalProvider) -> None:
    state = await provider.inspect(SPEC.deployment)
    assert state.found
    assert state.settings.keys() == settings_of(SPEC).keys()
    assert state.settings["region"] == "eu"


async def test_gpus_are_told_with_their_count(server: Loopback, provider: ModalProvider) -> None:
    spec = a_spec(region="apac", gpu=("l40s:2",))
    server.serve(APP_NAME, class_name(spec.deployment), ["answer"], region="apac", gpu=("L40S", 2))
    told = (await provider.inspect(spec.deployment)).settings["gpu"]
    assert (told, settings_of(spec)["gpu"]) == ("L40S:2", "L40S:2")


async def test_nothing_is_asked_twice(server: Loopback, provider: ModalProvider) -> None:
    def sent(before: Counter[str]) -> dict[str, int]:
        return dict(server.requests() - before)

    before = server.requests()
    await provider.inspect(SPEC.deployment)
    assert sent(before) == {"ClassGet": 1, "FunctionGet": 1}
    before = server.requests()
    await provider.submit(a_request(id="first of two"))
    assert sent(before) == {"DictGetOrCreate": 1, "DictGet": 1, "FunctionMap": 1}
    before = server.requests()
    await provider.submit(a_request(id="second of two"))
    assert sent(before) == {"DictGet": 1, "FunctionMap": 1}


async def test_a_secret_that_is_missing_is_told_with_the_command_that_makes_it(
    server: Loopback, provider: ModalProvider
) -> None:
    assert await provider.missing_secrets(["huggingface", "huggingface"]) == [
        "Modal has no secret 'huggingface': `modal secret create huggingface HF_TOKEN=hf_...`"
    ]
    server.inject(faults.unavailable(methods=("SecretGetOrCreate",)))
    assert await provider.missing_secrets(["huggingface"]) == []


async def test_a_modal_that_answers_is_reachable(server: Loopback, provider: ModalProvider) -> None:
    assert isinstance(provider, Remote)
    assert await provider.why_unreachable() is None
    server.inject(faults.unavailable(methods=("ClientHello",)))
    assert "cannot be reached: " in str(await ModalProvider().why_unreachable())
    server.clear()
    server.inject(faults.unauthenticated())
    with pytest.raises(NotConfigured, match="refuses the token"):
        await ModalProvider().why_unreachable()


async def test_an_unknown_call_is_told_and_cancelling_it_is_nothing(provider: ModalProvider) -> None:
    state = await provider.poll("fc-99999999999999999999")
    assert (state.status, state.failure and state.failure.code) == (
        CallStatus.EXPIRED,
        FailureCode.UNKNOWN_CALL,
    )
    await provider.cancel("fc-99999999999999999999")


async def test_the_four_sources_of_not_found_are_four_things(
    server: Loopback, provider: ModalProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What there is no function, environment, register, result or call of, each with its way out."""
    for method in ("ClassGet", "FunctionGet", "FunctionMap"):
        server.inject(faults.not_found(methods=(method,)))
        with pytest.raises(SubmitRejected, match=r"is not deployed on Modal .*`beacon deploy`"):
            await ModalProvider().submit(a_request(id=f"no {method}"))
        server.clear()
    server.inject(faults.not_found(methods=("DictGet",)))
    with pytest.raises(SubmitUnknown, match=r"register of requests.*made anew"):
        await provider.submit(a_request(id="no register"))
    server.clear()
    monkeypatch.setenv("MODAL_ENVIRONMENT", "nowhere")
    way_out = "Modal has no environment 'nowhere' .*`modal environment create nowhere`"
    with pytest.raises(NotConfigured, match=way_out):
        await ModalProvider().submit(a_request(id="no environment"))
    assert re.match(way_out, (await ModalProvider().inspect(SPEC.deployment)).detail)


async def test_a_result_whose_blob_is_gone_is_waited_for(server: Loopback, provider: ModalProvider) -> None:
    server.inject(faults.BlobGone(times=1), Match(contains="gone"))
    request = a_request(id="gone")
    call_id = await provider.submit(request)
    state = await provider.poll(call_id)
    assert state.status is CallStatus.UNREACHABLE
    assert "knows the call and not its result" in str(state.detail)
    assert "only a new job asks the model again" in str(state.detail)
    assert (await provider.fetch(call_id, request)).request_id == "gone"


async def test_a_call_is_unknown_only_when_two_looks_agree(server: Loopback, provider: ModalProvider) -> None:
    request = a_request(id="twice")
    call_id = await provider.submit(request)
    server.inject(faults.not_found(times=1))
    assert (await provider.poll(call_id)).status is CallStatus.UNREACHABLE
    assert (await provider.poll(call_id)).status is CallStatus.SUCCEEDED
    server.inject(faults.not_found())
    assert (await provider.poll(call_id)).status is CallStatus.EXPIRED


async def test_whose_calls_they_are(server: Loopback, provider: ModalProvider) -> None:
    assert isinstance(provider, HasAccount)
    assert str(await provider.account()) == "workspace 'loopback'"
    server.in_workspace("elsewhere")
    assert str(await provider.account()) == "workspace 'loopback'", "asked for once"
    assert str(await ModalProvider().account()) == "workspace 'elsewhere'"
    server.inject(faults.unavailable(methods=("WorkspaceNameLookup",)))
    assert await ModalProvider().account() is None


async def test_a_result_in_an_unknown_format_is_malformed(server: Loopback, provider: ModalProvider) -> None:
    server.inject(faults.UnknownFormat(), Match(contains="format"))
    request = a_request(id="format")
    call_id = await provider.submit(request)
    assert (await provider.poll(call_id)).status is CallStatus.SUCCEEDED
    with pytest.raises(MalformedReply) as caught:
        await provider.fetch(call_id, request)
    assert "Unknown data format 0" in caught.value.raw


@pytest.mark.parametrize(
    ("status", "call_status", "code"),
    [
        ("TERMINATED", "cancelled", "cancelled"),
        ("INIT_FAILURE", "failed", "start_failed"),
        ("MEMORY_MANAGER_EVICTION", "failed", "out_of_memory"),
        ("MEMORY_THRASHING_EVICTION", "failed", "out_of_memory"),
        ("KERNEL_OOM_KILL", "failed", "out_of_memory"),
    ],
)
@pytest.mark.parametrize("words", ["", "as Modal puts it"])
async def test_how_modal_ended_a_call_is_read_from_its_status(
    server: Loopback, provider: ModalProvider, status: str, call_status: str, code: str, words: str
) -> None:
    request_id = f"{status} {words}"
    fault = faults.Ended.model_validate({"status": status, "words": words})
    server.inject(fault, Match(contains=request_id))
    state = await provider.poll(await provider.submit(a_request(id=request_id)))
    assert state.failure is not None
    assert (state.status.value, state.failure.code.value) == (call_status, code)
    assert state.failure.message
    assert words in state.failure.message


async def test_settings_that_are_of_no_use_are_one_line_before_anything_is_sent(
    server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two kinds of credentials at once, say: what `Client.from_env` refuses to begin with."""
    client = await modal.Client.from_env.aio()
    await client.close.aio()
    monkeypatch.setenv("MODAL_OAUTH_CLIENT_ID", "x")
    for ask in (ModalProvider().inspect(SPEC.deployment), ModalProvider().submit(a_request(id="unset"))):
        with pytest.raises(NotConfigured, match="settings of this machine cannot be used") as caught:
            await ask
        assert "\n" not in str(caught.value)
    monkeypatch.delenv("MODAL_OAUTH_CLIENT_ID")
    await modal.Client.from_env.aio()
    assert spawns(server, "unset") == 0


async def test_what_cannot_be_decoded_is_a_success_with_a_malformed_reply(
    server: Loopback, provider: ModalProvider
) -> None:
    server.inject(faults.NullReply(), Match(contains="null"))
    request = a_request(id="null")
    call_id = await provider.submit(request)
    assert (await provider.poll(call_id)).status is CallStatus.SUCCEEDED
    with pytest.raises(MalformedReply) as caught:
        await provider.fetch(call_id, request)
    assert caught.value.raw == "None"


@pytest.mark.parametrize("traced", [True, False])
@pytest.mark.parametrize(
    "error", ["LookupError", "TimeoutError", "OSError", "SystemExit", "StopIteration", "StopAsyncIteration"]
)
async def test_a_crash_at_start_is_a_failure_of_the_call_whatever_was_raised(
    server: Loopback, provider: ModalProvider, error: str, traced: bool
) -> None:
    fault = faults.CrashAtStart.model_validate({"error": error, "traced": traced})
    server.inject(fault, Match(contains=f"crash-{error}-{traced}"))
    call_id = await provider.submit(a_request(id=f"crash-{error}-{traced}"))
    state = await provider.poll(call_id)
    assert state.failure is not None
    assert (state.status, state.failure.code) == (CallStatus.FAILED, FailureCode.START_FAILED)
    assert f"{error}: as it started" in state.failure.message


@pytest.mark.parametrize("traced", [True, False])
@pytest.mark.parametrize("error", ["CancelledError", "GeneratorExit", "KeyboardInterrupt"])
async def test_an_exception_that_would_stop_us_is_only_read(
    server: Loopback, provider: ModalProvider, error: str, traced: bool
) -> None:
    fault = faults.CrashAtStart.model_validate({"error": error, "traced": traced})
    server.inject(fault, Match(contains=f"stops-{error}-{traced}"))
    call_id = await provider.submit(a_request(id=f"stops-{error}-{traced}"))
    state = await provider.poll(call_id)
    assert state.failure is not None
    assert state.failure.code is FailureCode.START_FAILED


async def test_a_cancel_that_does_not_arrive_is_told(server: Loopback, provider: ModalProvider) -> None:
    server.inject(faults.PendingUntilReleased(), Match(contains="stubborn"))
    server.inject(faults.unavailable(methods=(faults.CANCEL,)))
    call_id = await provider.submit(a_request(id="stubborn"))
    with pytest.raises(ReplyUnavailable, match="ServiceError"):
        await provider.cancel(call_id)


@pytest.mark.parametrize(
    "fault", [faults.AnswerLost(times=None), faults.unavailable(methods=("FunctionMap",))]
)
async def test_a_spawn_without_an_answer_is_unknown(
    server: Loopback, provider: ModalProvider, fault: faults.Fault
) -> None:
    server.inject(fault)
    with pytest.raises(SubmitUnknown, match="while a call was spawned"):
        await provider.submit(a_request(id=f"unknown-{fault.kind}"))


async def test_a_slow_start_is_not_met_with_spawn_after_spawn(server: Loopback) -> None:
    """Every answer is lost and no container claims the request: each spawn is one the SDK repeats."""
    server.inject(faults.AnswerLost(times=None))
    request = a_request(id="slow start")
    patient = ModalProvider(resend_seconds=900, start_seconds={request.deployment: 600})
    with pytest.raises(SubmitUnknown, match="while a call was spawned"):
        await patient.submit(request)
    for _ in range(3):
        with pytest.raises(SubmitUnknown, match="no container has claimed it: again in"):
            await patient.submit(request)
    assert spawns(server, "slow start") == 1
    await patient.close()

    request = a_request(id="slower start")
    hasty = ModalProvider(resend_seconds=9, start_seconds={request.deployment: 0.2})
    async with asyncio.timeout(30):
        while spawns(server, "slower start") < 2:
            with pytest.raises(SubmitUnknown):
                await hasty.submit(request)
    await hasty.close()


async def test_a_spawn_that_could_not_be_begun_is_unknown_too(
    server: Loopback, provider: ModalProvider
) -> None:
    """An earlier one of the same request may run."""
    server.inject(faults.unavailable(methods=("DictGet",)))
    with pytest.raises(SubmitUnknown, match="before a call was spawned"):
        await provider.submit(a_request(id="unbegun"))
    assert spawns(server, "unbegun") == 0


@pytest.mark.parametrize("variable", ["MODAL_TOKEN_ID", "MODAL_TOKEN_SECRET"])
def test_a_missing_token_is_one_line(
    server: Loopback, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.delenv(variable)
    with pytest.raises(NotConfigured, match="run `modal setup`") as caught:
        ModalProvider().check_configured()
    assert "\n" not in str(caught.value)


def test_a_profile_without_a_token_is_named(server: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MODAL_TOKEN_ID")
    monkeypatch.setenv("MODAL_PROFILE", "mine")
    with pytest.raises(NotConfigured, match="no Modal token in the profile 'mine' that MODAL_PROFILE names"):
        ModalProvider().check_configured()


async def test_questions_at_once_hold_no_threads(server: Loopback, provider: ModalProvider) -> None:
    server.inject(faults.PendingUntilReleased(), Match(contains="waiting"))
    call_id = await provider.submit(a_request(id="waiting"))
    before = threading.active_count()
    most = before

    async def ask() -> None:
        nonlocal most
        assert (await provider.poll(call_id)).status is CallStatus.PENDING
        most = max(most, threading.active_count())

    await asyncio.gather(*(ask() for _ in range(200)))
    assert most == before


def test_payloads_are_never_pickled() -> None:
    assert os.environ["MODAL_PAYLOAD_FORMAT"] == "cbor"
