"""The contract refuses what is malformed, and only that."""

import hashlib
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from inference.contract import (
    RAW_REPLY_LIMIT,
    CallFailure,
    CallState,
    CallStatus,
    Deployment,
    FailureCode,
    GenerationParameters,
    Item,
    MalformedReply,
    ModelSource,
    Request,
    SubmitRejected,
    read_reply,
    text_digest,
    token_digest,
)


def a_request(*ids: str) -> Request:
    return Request(
        id="request-1",
        deployment=Deployment(region="eu", model="m"),
        model=ModelSource(id="m", repository="o/m", revision="r", dtype="float32", context_tokens=64),
        parameters=GenerationParameters(max_new_tokens=8),
        items=tuple(Item(id=i, system_prompt="", prompt="?") for i in ids),
    )


def an_answer(item: str, **changes: object) -> dict[str, object]:
    return {
        "kind": "answer",
        "id": item,
        "text": "",
        "finish_reason": "stop",
        "prompt_tokens": 3,
        "output_tokens": 0,
        "output_token_sha256": "0" * 64,
        "seconds": 0.1,
    } | changes


def an_envelope(*items: dict[str, object], **changes: object) -> dict[str, object]:
    return {
        "version": 1,
        "request_id": "request-1",
        "region": "eu-west",
        "cloud": None,
        "task_id": None,
        "cold_start": True,
        "started_at": "2026-01-01T00:00:00Z",
        "finished_at": "2026-01-01T00:00:01Z",
        "provenance": {
            "model_revision": "r",
            "weights_sha256": "w",
            "tokenizer_sha256": "t",
            "dtype": "float32",
            "device": "cpu",
            "engine": "transformers",
            "libraries": {},
            "batch_size": 1,
        },
        "items": list(items),
    } | changes


def test_an_empty_text_is_an_answer() -> None:
    reply = read_reply(an_envelope(an_answer("a")), a_request("a"))
    assert reply.items[0].kind == "answer"
    assert reply.items[0].text == ""


@pytest.mark.parametrize(
    "raw",
    [
        None,
        "Response extraction failed",
        {},
        an_envelope(an_answer("a"), version=2),
        an_envelope(an_answer("a"), request_id="another"),
        an_envelope(),
        an_envelope(an_answer("a"), an_answer("a")),
        an_envelope(an_answer("b")),
        an_envelope(an_answer("a", text=None)),
        an_envelope(an_answer("a", text=7)),
        an_envelope(an_answer("a", finish_reason="because")),
        an_envelope(an_answer("a", surprise=1)),
        an_envelope({k: v for k, v in an_answer("a").items() if k != "text"}),
        an_envelope({"kind": "failure", "id": "a", "code": "no_such_code", "message": ""}),
    ],
)
def test_a_malformed_reply_is_refused_and_kept(raw: object) -> None:
    with pytest.raises(MalformedReply) as caught:
        read_reply(raw, a_request("a"))
    assert caught.value.raw
    assert "\n" not in caught.value.problem


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda c: st.lists(c) | st.dictionaries(st.text(), c),
    )
)
def test_any_json_is_either_a_reply_or_malformed(raw: object) -> None:
    with pytest.raises(MalformedReply):
        read_reply(raw, a_request("a"))


@pytest.mark.parametrize("call_status", list(CallStatus))
def test_a_failed_truth_carries_its_reason_and_no_other_does(call_status: CallStatus) -> None:
    failure = CallFailure(code=FailureCode.PROVIDER_ERROR, message="x")
    with_reason = {"failed", "timed_out", "cancelled", "expired"}
    for given_failure in (None, failure):
        if (call_status.value in with_reason) == (given_failure is not None):
            CallState(status=call_status, failure=given_failure)
        else:
            with pytest.raises(ValueError, match="disagree"):
                CallState(status=call_status, failure=given_failure)


def test_item_ids_in_a_request_are_unique() -> None:
    with pytest.raises(ValueError, match="repeat"):
        a_request("a", "a")


@pytest.mark.parametrize("seed", [-1, 2**53, 1.0, "1", True])
def test_a_seed_is_a_whole_number_that_every_json_reader_keeps(seed: object) -> None:
    with pytest.raises(ValidationError, match="seed"):
        Item.model_validate({"id": "a", "system_prompt": "", "prompt": "?", "seed": seed})


def test_an_item_is_asked_by_its_own_seed_and_greedily_if_it_says_so() -> None:
    common = GenerationParameters(max_new_tokens=8, temperature=0.8, top_p=0.9, seed=5)
    item = Item(id="a", system_prompt="", prompt="?")
    assert item.parameters(common) is common
    seeded = item.model_copy(update={"seed": 0})
    assert seeded.parameters(common) == common.model_copy(update={"seed": 0})
    greedy = GenerationParameters(max_new_tokens=8, seed=5)
    assert item.model_copy(update={"greedy": True}).parameters(common) == greedy
    assert item.model_copy(update={"greedy": True, "seed": 7}).parameters(common) == greedy
    assert seeded.parameters(greedy).temperature == 0, "no seed makes a greedy request sample"


def test_top_p_without_sampling_is_refused() -> None:
    with pytest.raises(ValueError, match="greedy"):
        GenerationParameters(max_new_tokens=1, top_p=0.5)


def test_what_is_on_record_from_before_is_read_and_sent_as_it_was() -> None:
    kept = (
        '{"id":"request-1","deployment":{"region":"eu","model":"m"},"model":{"id":"m","repository":"o/m",'
        '"folder":null,"revision":"r","dtype":"float32","context_tokens":64,"engine":"transformers"},'
        '"parameters":{"max_new_tokens":8,"temperature":0.0,"top_p":1.0,"seed":0},'
        '"items":[{"id":"a","system_prompt":"","prompt":"?"}]}'
    )
    request = Request.model_validate_json(kept)
    assert request == a_request("a")
    assert request.model_dump_json() == kept
    reply = read_reply(an_envelope(an_answer("a")), request)
    assert reply.model_dump(mode="json") == an_envelope(an_answer("a"))


def test_what_is_new_goes_through_json_and_back() -> None:
    parameters = GenerationParameters(
        max_new_tokens=8,
        stop=("\n\n",),
        prompt_date=date(2026, 1, 31),
        template_arguments={"enable_thinking": False},
    )
    item = Item(id="a", system_prompt="", prompt="?", seed=2**53 - 1, greedy=True)
    changes = {"parameters": parameters, "items": (item,), "fresh_start": True}
    request = a_request("a").model_copy(update=changes)
    assert Request.model_validate(request.model_dump(mode="json")) == request
    assert Request.model_validate_json(request.model_dump_json()) == request
    thought = an_answer(
        "a",
        reasoning="hm",
        reasoning_unfinished=True,
        rendered_prompt="<|user|>?",
        rendering="system_in_question",
        batch_size=2,
        batching="divided",
    )
    reply = read_reply(an_envelope(thought), request)
    assert reply.model_dump(mode="json") == an_envelope(thought)


def test_the_provenance_of_an_answer_has_what_is_its_own() -> None:
    own = {"rendered_prompt": "<|user|>?", "batch_size": 2, "batching": "divided"}
    reply = read_reply(an_envelope(an_answer("a", **own), an_answer("b")), a_request("a", "b"))
    first, second = (item for item in reply.items if item.kind == "answer")
    provenance = reply.provenance.of_item(first)
    assert (provenance.batch_size, provenance.batching) == (2, "divided")
    assert provenance.rendered_prompt_sha256 == text_digest("<|user|>?")
    assert reply.provenance.of_item(second) == reply.provenance


def test_a_state_kept_under_its_former_name_is_read() -> None:
    kept = {"truth": "failed", "failure": {"code": "worker_lost", "message": "gone"}, "detail": None}
    assert CallState.model_validate(kept).status is CallStatus.FAILED


def test_which_truths_are_final_and_which_failures_may_pass() -> None:
    open_ones = {call_status for call_status in CallStatus if not call_status.is_final}
    assert open_ones == {CallStatus.PENDING, CallStatus.UNREACHABLE}
    assert {code.value for code in FailureCode if code.retryable} == {
        *("out_of_memory", "worker_lost", "timed_out", "expired", "start_failed"),
        *("rate_limited", "unknown_call", "interrupted", "provider_error"),
    }


@pytest.mark.parametrize(("repository", "folder"), [(None, None), ("o/m", "/m")])
def test_a_model_has_one_source(repository: str | None, folder: str | None) -> None:
    with pytest.raises(ValueError, match="exactly one of 'repository' and 'folder'"):
        ModelSource(
            id="m", repository=repository, folder=folder, revision="r", dtype="float32", context_tokens=1
        )


@pytest.mark.parametrize("name", ["messages", "tools", "pinned_date", "not a name", "", "9"])
def test_a_template_argument_is_a_variable_of_the_template_itself(name: str) -> None:
    with pytest.raises(ValueError, match="no variable of a chat template"):
        GenerationParameters(max_new_tokens=1, template_arguments={"enable_thinking": True, name: True})


@pytest.mark.parametrize(
    "changes",
    [{"max_new_tokens": 0}, {"temperature": -0.1}, {"temperature": 1.0, "top_p": 0.0}, {"stop": ("",)}],
)
def test_parameters_out_of_range_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        GenerationParameters.model_validate({"max_new_tokens": 1} | changes)
    assert GenerationParameters(max_new_tokens=1, temperature=0.5, top_p=0.5).top_p == 0.5


@pytest.mark.parametrize(
    ("count", "kept"), [(0, 0), (2**31 - 1, 2**31 - 1), (2**31, None), (-1, None), (None, None)]
)
def test_a_number_that_cannot_count_tokens_is_none(count: int | None, kept: int | None) -> None:
    (item,) = read_reply(
        an_envelope(an_answer("a", output_tokens=count, prompt_tokens=count)), a_request("a")
    ).items
    assert item.kind == "answer"
    assert (item.output_tokens, item.prompt_tokens) == (kept, kept)


def test_of_a_malformed_reply_the_beginning_and_three_problems_are_kept() -> None:
    with pytest.raises(MalformedReply) as caught:
        read_reply("x" * (RAW_REPLY_LIMIT + 1), a_request("a"))
    assert caught.value.raw == "x" * RAW_REPLY_LIMIT
    with pytest.raises(MalformedReply) as caught:
        read_reply({}, a_request("a"))
    assert caught.value.problem.split("; ") == [
        f"{field}: Field required" for field in ("version", "request_id", "region")
    ]
    with pytest.raises(MalformedReply, match="reply echoes request 'request-1', not 'other'"):
        read_reply(an_envelope(an_answer("a")), a_request("a").model_copy(update={"id": "other"}))
    with pytest.raises(MalformedReply, match="2 items asked, 1 came back or ids differ"):
        read_reply(an_envelope(an_answer("a")), a_request("a", "b"))


def test_digests_are_what_they_are_on_record() -> None:
    assert text_digest("") == token_digest([]) == hashlib.sha256(b"").hexdigest()
    assert text_digest("\ud800") == hashlib.sha256(b"\xed\xa0\x80").hexdigest()
    assert token_digest([1, -1]) == hashlib.sha256(b"\x01" + b"\x00" * 7 + b"\xff" * 8).hexdigest()


def test_a_refusal_carries_its_reason() -> None:
    failure = CallFailure(code=FailureCode.REJECTED, message="no such model")
    refused = SubmitRejected(failure)
    assert refused.failure == failure
    assert str(refused) == "rejected: no such model"


def test_the_provenance_of_an_answer_has_all_that_the_item_says() -> None:
    own = {
        "rendering": "system_in_question",
        "served_model": "gpt",
        "other_model": True,
        "system_fingerprint": "fp",
        "reported_finish_reason": "eos",
        "refusal_field": True,
    }
    reply = read_reply(an_envelope(an_answer("a", **own)), a_request("a"))
    (item,) = reply.items
    assert item.kind == "answer"
    kept = reply.provenance.of_item(item).model_dump(mode="json")
    assert {name: kept[name] for name in own} == own
