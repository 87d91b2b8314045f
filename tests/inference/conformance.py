"""What every provider promises (`inference.contract.Provider`), as tests that all of them run.

Whoever adds a provider writes a `Border` for it (`tests.inference.borders`) and a test file::

    @pytest.fixture
    async def border(tmp_path) -> AsyncIterator[Border]: ...

    class TestNew(DurablePromises): ...  # or ProcessBoundPromises, if its calls end with the process
    class TestNewSettings(SettingsPromises): ...  # if it needs a key, a token or an address

What a provider that is not durable is excused from is `DurablePromises`, no more and no less, and
`ProcessBoundPromises` is what it promises instead.
"""

from __future__ import annotations

import asyncio
import inspect

import pytest

from inference.contract import (
    CallState,
    CallStatus,
    FailureCode,
    GenerationParameters,
    ItemAnswer,
    ItemFailure,
    MalformedReply,
    NotConfigured,
    Provider,
    Reply,
    ReplyUnavailable,
    Request,
    SubmitRejected,
    SubmitUnknown,
)
from tests.inference.borders import DEADLINE_SECONDS, EU, GARBLED, RELEASED, Border, ended

# A model may write any of these; empty and blank are answers.
TEXTS = (
    "fine",
    "",
    " \n\t",
    "naïve 台湾 \U0001f642",
    "a\x00b\x1b[31m",
    "<script>alert(1)</script>",
    "x" * 50_000,
)
STRANGE_IDS = (
    "never-heard-of",
    "",
    "../escape",
    "a/b/c/d/e",
    "a/b/c/1/-2",
    "fc-99999999999999999999",
    "x" * 300,
)


async def asked(provider: Provider, request: Request) -> tuple[str, CallState]:
    """The id and the end of a request's call."""
    call_id = await provider.submit(request)
    return call_id, await ended(provider, call_id)


def texts(reply: Reply) -> dict[str, str]:
    """Item id -> answer, of a reply without failures."""
    assert all(isinstance(item, ItemAnswer) for item in reply.items), reply.items
    return {item.id: item.text for item in reply.items if isinstance(item, ItemAnswer)}


class Promises:
    """What every provider promises, durable or not."""

    async def test_it_is_a_provider(self, border: Border) -> None:
        provider = border.provider()
        assert isinstance(provider, Provider)
        assert provider.name
        for method in (provider.submit, provider.poll, provider.fetch, provider.cancel, provider.close):
            assert inspect.iscoroutinefunction(method)

    async def test_what_is_configured_is_found_to_be_so(self, border: Border) -> None:
        provider = border.provider()
        provider.check_configured()
        provider.check_configured(EU)
        assert not border.asked, "that asks no model"

    async def test_each_item_gets_its_own_answer_exactly_as_the_model_wrote_it(self, border: Border) -> None:
        provider = border.provider()
        request = border.request("texts", *(f"say {text}" for text in TEXTS))
        call_id, state = await asked(provider, request)
        assert state == CallState(status=CallStatus.SUCCEEDED), "an empty answer is an answer"
        reply = await provider.fetch(call_id, request)
        assert texts(reply) == {item.id: text for item, text in zip(request.items, TEXTS, strict=True)}
        assert (reply.version, reply.request_id, reply.region) == (1, "texts", border.region)
        assert set(border.asked.values()) == {1}

    async def test_each_item_is_asked_by_its_own_seed_and_greedily_if_it_says_so(
        self, border: Border
    ) -> None:
        provider = border.provider()
        request = border.request("seeds", *["how"] * 4)
        own = ({}, {"seed": 2**53 - 1}, {"seed": 0}, {"seed": 5, "greedy": True})
        items = tuple(item.model_copy(update=o) for item, o in zip(request.items, own, strict=True))
        parameters = GenerationParameters(max_new_tokens=8, temperature=0.5, top_p=0.9, seed=7)
        request = request.model_copy(update={"items": items, "parameters": parameters})
        call_id, _ = await asked(provider, request)
        assert list(texts(await provider.fetch(call_id, request)).values()) == [
            "temperature 0.5, seed 7",
            f"temperature 0.5, seed {2**53 - 1}",
            "temperature 0.5, seed 0",
            "greedy",
        ]

    async def test_whether_a_call_had_a_start_of_its_own_is_on_record_where_it_was_asked_for(
        self, border: Border
    ) -> None:
        provider = border.fresh_starter()
        for request, given in (
            (border.request("usual", "say a"), None),
            (border.request("fresh", "say a").model_copy(update={"fresh_start": True}), border.starts_afresh),
        ):
            call_id, _ = await asked(provider, request)
            reply = await provider.fetch(call_id, request)
            assert texts(reply) == {"i0": "a"}
            assert reply.provenance.fresh_start is given
            assert reply.cold_start is not False or given is None

    async def test_one_item_that_fails_takes_no_other_with_it(self, border: Border) -> None:
        provider = border.provider()
        request = border.request("mates", "say a", "fail", "say b")
        call_id, state = await asked(provider, request)
        assert state.status is CallStatus.SUCCEEDED
        results = {item.id: item for item in (await provider.fetch(call_id, request)).items}
        assert [type(results[f"i{n}"]) for n in range(3)] == [ItemAnswer, ItemFailure, ItemAnswer]
        assert isinstance(results["i1"], ItemFailure)
        assert not results["i1"].code.retryable
        assert results["i1"].message

    async def test_a_call_that_goes_on_is_pending_and_blocks_nothing(self, border: Border) -> None:
        provider = border.provider()
        request = border.request("going-on", "hang")
        async with asyncio.timeout(DEADLINE_SECONDS):
            call_id = await provider.submit(request)
            assert isinstance(call_id, str)
            assert call_id
            for _ in range(3):
                assert await provider.poll(call_id) == CallState(status=CallStatus.PENDING)
            with pytest.raises(ReplyUnavailable):
                await provider.fetch(call_id, request)
        border.release()
        assert (await ended(provider, call_id)).status is CallStatus.SUCCEEDED
        assert texts(await provider.fetch(call_id, request)) == {"i0": RELEASED}

    async def test_a_reply_can_be_fetched_again_and_after_its_state_was_asked_for(
        self, border: Border
    ) -> None:
        provider = border.provider()
        request = border.request("again", "say a")
        call_id, state = await asked(provider, request)
        first = await provider.fetch(call_id, request)
        assert await provider.poll(call_id) == state
        assert await provider.fetch(call_id, request) == first
        assert border.asked["say a"] == 1

    async def test_a_reply_is_no_answer_to_another_request(self, border: Border) -> None:
        provider = border.provider()
        call_id, _ = await asked(provider, border.request("mine", "say a"))
        for other in (border.request("other", "say a"), border.request("mine", "say a", "say b")):
            with pytest.raises(MalformedReply):
                await provider.fetch(call_id, other)

    async def test_what_breaks_the_contract_is_malformed_and_kept(self, border: Border) -> None:
        """A provider that asks item by item has no reply of the call's; there it is the item's failure."""
        provider = border.provider()
        request = border.request("garbled", "garble")
        call_id = await provider.submit(request)
        await ended(provider, call_id)
        await border.garble(call_id)
        assert (await provider.poll(call_id)).status is CallStatus.SUCCEEDED, "the provider's own word"
        try:
            (result,) = (await provider.fetch(call_id, request)).items
        except MalformedReply as malformed:
            kept = malformed.raw
        else:
            assert isinstance(result, ItemFailure), "nothing is invented"
            assert result.code is FailureCode.MALFORMED_REPLY
            kept = result.message
        assert GARBLED in kept

    async def test_a_call_that_ends_without_a_reply_says_why_and_has_none(self, border: Border) -> None:
        provider = border.provider()
        request = border.request("broken", "break")
        call_id, state = await asked(provider, request)
        assert state.status in (CallStatus.FAILED, CallStatus.TIMED_OUT)
        assert state.failure is not None
        assert state.failure.message
        assert await provider.poll(call_id) == state, "what is final stays"
        with pytest.raises(ReplyUnavailable):
            await provider.fetch(call_id, request)

    async def test_a_request_that_is_refused_runs_nothing(self, border: Border) -> None:
        with pytest.raises(SubmitRejected) as caught:
            await border.provider().submit(border.refused())
        assert caught.value.failure.code is FailureCode.REJECTED
        assert caught.value.failure.message
        assert not border.asked

    @pytest.mark.parametrize("call_id", STRANGE_IDS)
    async def test_a_call_that_was_never_made_is_unknown(self, border: Border, call_id: str) -> None:
        provider = border.provider()
        state = await provider.poll(call_id)
        assert state.failure is not None
        assert state.status in (CallStatus.FAILED, CallStatus.EXPIRED)
        assert state.failure.code is FailureCode.UNKNOWN_CALL
        with pytest.raises(ReplyUnavailable):
            await provider.fetch(call_id, border.request("unknown", "say a"))
        await provider.cancel(call_id)

    async def test_a_cancelled_call_ends_without_a_reply(self, border: Border) -> None:
        """As cancelled, or as a failure where a provider does not tell them apart; whoever cancelled can."""
        provider = border.provider()
        request = border.request("unwanted", "hang", "say a")
        call_id = await provider.submit(request)
        await provider.cancel(call_id)
        await provider.cancel(call_id)
        border.release()
        state = await ended(provider, call_id)
        assert state.status in (CallStatus.CANCELLED, CallStatus.FAILED)
        with pytest.raises(ReplyUnavailable):
            await provider.fetch(call_id, request)

    async def test_cancelling_what_has_ended_leaves_it_as_it_is(self, border: Border) -> None:
        provider = border.provider()
        request = border.request("too-late", "say a")
        call_id, state = await asked(provider, request)
        await provider.cancel(call_id)
        assert await provider.poll(call_id) == state
        assert texts(await provider.fetch(call_id, request)) == {"i0": "a"}

    async def test_a_provider_that_cannot_be_reached_says_nothing_of_the_call(self, border: Border) -> None:
        provider = border.provider()
        request = border.request("out-of-reach", "hang")
        call_id = await provider.submit(request)
        async with border.unreachable(call_id) as cut_off:
            state = await cut_off.poll(call_id)
            assert (state.status, state.failure) == (CallStatus.UNREACHABLE, None)
            assert state.detail, "why it could not be asked"
            with pytest.raises(ReplyUnavailable):
                await cut_off.fetch(call_id, request)
            with pytest.raises(ReplyUnavailable):
                await cut_off.cancel(call_id)
        border.release()
        assert (await ended(provider, call_id)).status is CallStatus.SUCCEEDED, "unknown is not failed"
        assert border.asked["hang"] == 1

    async def test_what_is_forgotten_may_be_asked_again(self, border: Border) -> None:
        request = border.request("forgotten", "forget")
        call_id = await border.provider().submit(request)
        await border.forget(call_id)
        provider = border.provider()
        state = await ended(provider, call_id)
        assert state.failure is not None
        assert state.status in (CallStatus.EXPIRED, CallStatus.FAILED)
        assert state.failure.code.retryable
        with pytest.raises(ReplyUnavailable):
            await provider.fetch(call_id, request)


class DurablePromises(Promises):
    """What only a durable provider promises: a call outlives whoever asked, and a request runs once."""

    async def test_it_says_that_it_is_durable(self, border: Border) -> None:
        assert border.provider().durable is True

    async def test_a_request_runs_once_however_often_and_by_whom_it_is_sent(self, border: Border) -> None:
        one, other = border.provider(), border.provider()
        request = border.request("once", "hang", "say a")
        ids = await asyncio.gather(*(provider.submit(request) for provider in (one, other) * 3))
        border.release()
        for call_id in ids:
            assert (await ended(one, call_id)).status is CallStatus.SUCCEEDED
            assert texts(await other.fetch(call_id, request)) == {"i0": RELEASED, "i1": "a"}
        late = await other.submit(request)
        border.release()
        await ended(other, late)
        assert texts(await other.fetch(late, request)) == {"i0": RELEASED, "i1": "a"}
        assert border.asked == {"hang": 1, "say a": 1}

    async def test_a_submit_whose_answer_was_lost_is_unknown_and_can_be_sent_again(
        self, border: Border
    ) -> None:
        provider = border.provider()
        request = border.request("lost", "say a")
        async with border.losing_submits():
            with pytest.raises(SubmitUnknown):
                await provider.submit(request)
        another = border.provider()  # of another process: the same one may wait before it sends again
        call_id, state = await asked(another, request)
        assert state.status is CallStatus.SUCCEEDED
        assert texts(await another.fetch(call_id, request)) == {"i0": "a"}
        assert border.asked == {"say a": 1}

    async def test_another_process_attaches_by_the_call_id(self, border: Border) -> None:
        request = border.request("attached", "hang")
        call_id = await border.provider().submit(request)
        other = border.provider()
        assert (await other.poll(call_id)).status is CallStatus.PENDING
        border.release()
        state = await ended(other, call_id)
        assert texts(await other.fetch(call_id, request)) == {"i0": RELEASED}
        assert await border.provider().poll(call_id) == state
        assert border.asked == {"hang": 1}

    async def test_another_process_can_cancel(self, border: Border) -> None:
        provider, other = border.provider(), border.provider()
        call_id = await provider.submit(border.request("theirs", "hang", "say a"))
        await other.cancel(call_id)
        border.release()
        assert (await ended(provider, call_id)).status in (CallStatus.CANCELLED, CallStatus.FAILED)

    async def test_calls_go_on_when_whoever_asked_is_closed(self, border: Border) -> None:
        asker = border.make()
        request = border.request("left", "hang", "say a")
        call_id = await asker.submit(request)
        closing = asyncio.create_task(asker.close())
        border.release()
        await closing
        other = border.provider()
        assert (await ended(other, call_id)).status is CallStatus.SUCCEEDED
        assert texts(await other.fetch(call_id, request)) == {"i0": RELEASED, "i1": "a"}
        assert border.asked == {"hang": 1, "say a": 1}


class ProcessBoundPromises(Promises):
    """What a provider promises whose calls end with the process that made them."""

    async def test_it_says_that_it_is_not_durable(self, border: Border) -> None:
        assert border.provider().durable is False

    async def test_a_call_of_a_living_process_is_unknown_to_others_and_of_a_closed_one_lost(
        self, border: Border
    ) -> None:
        owner, other = border.make(), border.provider()
        call_id = await owner.submit(border.request("theirs", "hang"))
        assert (await other.poll(call_id)).status is CallStatus.UNREACHABLE
        await owner.close()
        state = await other.poll(call_id)
        assert state.failure is not None
        assert (state.status, state.failure.code) == (CallStatus.EXPIRED, FailureCode.INTERRUPTED)
        await other.cancel(call_id)


class SettingsPromises:
    """What a provider promises that needs a key, a token or an address."""

    async def test_without_its_settings_nothing_is_sent_and_it_says_what_to_do(self, border: Border) -> None:
        async with border.unconfigured() as provider:
            with pytest.raises(NotConfigured) as caught:
                provider.check_configured(EU)
            assert str(caught.value)
            assert "\n" not in str(caught.value)
            with pytest.raises(NotConfigured):
                await provider.submit(border.request("unsent", "say a"))
        assert not border.asked
