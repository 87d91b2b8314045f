"""The contract refuses what is malformed, and only that."""

import hashlib
from datetime import date
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from inference.contract import (
    BATCH_SIZE,
    RAW_REPLY_LIMIT,
    UNREPORTED_REGION,
    Batching,
    CallFailure,
    CallState,
    CallStatus,
    Deployment,
    FailureCode,
    FinishReason,
    GenerationParameters,
    Item,
    ItemFailure,
    MalformedReply,
    ModelSource,
    Rendering,
    Request,
    SubmitRejected,
    Value,
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


@pytest.mark.parametrize(
    ("words", "stored"),
    [
        (CallStatus, "pending succeeded failed timed_out cancelled expired unreachable"),
        (FinishReason, "stop length content_filter unreported"),
        (
            FailureCode,
            "model_unavailable prompt_too_long generation_error out_of_memory start_failed worker_lost"
            " timed_out cancelled expired rate_limited rejected malformed_reply unknown_call interrupted"
            " provider_error",
        ),
        (Rendering, "system_role system_in_question"),
        (Batching, "micro_batch continuous sampled_alone divided"),
    ],
)
def test_what_is_stored_keeps_its_words(words: type[StrEnum], stored: str) -> None:
    assert [word.value for word in words] == stored.split()


def test_a_region_that_is_not_reported_has_a_stored_name_too() -> None:
    assert UNREPORTED_REGION == "unreported"


NO_VARIABLES = """
messages conversation tools documents add_generation_prompt continue_final_message chat_template tokenize
padding truncation max_length return_tensors return_dict return_assistant_tokens_mask tokenizer_kwargs
sanitize_control_tokens strftime_now raise_exception pinned_date
"""


@pytest.mark.parametrize("name", NO_VARIABLES.split())
def test_what_the_renderer_sets_itself_is_no_template_argument(name: str) -> None:
    with pytest.raises(ValidationError, match=name):
        GenerationParameters(max_new_tokens=1, template_arguments={name: True})


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (Deployment(region="x", model="m"), "region"),
        (Deployment(region="x", model="m"), "model"),
        (a_request("a").model, "id"),
        (a_request("a").model, "revision"),
        (a_request("a"), "id"),
        (Item(id="a", system_prompt="", prompt="?"), "id"),
        (Item(id="a", system_prompt="", prompt="?"), "prompt"),
    ],
)
def test_a_name_is_one_character_or_more(value: Value, field: str) -> None:
    one = value.model_dump() | {field: "x"}
    assert getattr(type(value).model_validate(one), field) == "x"
    with pytest.raises(ValidationError, match="at least 1 character"):
        type(value).model_validate(one | {field: ""})


def test_an_item_is_needed() -> None:
    with pytest.raises(ValidationError, match="items"):
        Request.model_validate(a_request("a").model_dump() | {"items": ()})


@pytest.mark.parametrize("field", ["context_tokens", "batch_size"])
def test_a_model_takes_at_least_one(field: str) -> None:
    model = a_request("a").model.model_dump()
    assert getattr(ModelSource.model_validate(model | {field: 1}), field) == 1
    with pytest.raises(ValidationError, match=field):
        ModelSource.model_validate(model | {field: 0})


def test_what_is_not_given_is_as_on_the_first_records() -> None:
    request = a_request("a")
    assert (request.model.engine, request.model.attention, request.model.batch_size) == (
        *("transformers", "sdpa"),
        BATCH_SIZE,
    )
    assert BATCH_SIZE == 8  # left out of the requests on record, which are sent again as they were
    assert not request.fresh_start
    assert not request.items[0].greedy


def test_values_are_frozen_strict_and_known_by_their_content() -> None:
    deployment = Deployment(region="eu", model="m")
    assert str(deployment) == "eu:m"
    with pytest.raises(ValidationError, match="frozen"):
        deployment.region = "us"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="region"):
        Deployment.model_validate({"region": 7, "model": "m"})
    with pytest.raises(ValidationError, match="Extra inputs"):
        Deployment.model_validate({"region": "eu", "model": "m", "zone": "a"})
    first, second = (GenerationParameters(max_new_tokens=n, template_arguments={"a": 1}) for n in (1, 2))
    assert len({first, first.model_copy(), second}) == 2


def test_a_reply_may_hold_failures_and_what_made_the_answers() -> None:
    failure = {"kind": "failure", "id": "b", "code": "out_of_memory", "message": "no room"}
    envelope = an_envelope(an_answer("a", batch_size=1), failure)
    more = {"end_token_ids": [1, 2], "rendering": "system_role", "batching": "continuous"}
    envelope["provenance"] = dict(envelope["provenance"]) | more  # type: ignore[call-overload]
    reply = read_reply(envelope, a_request("a", "b"))
    assert [item.kind for item in reply.items] == ["answer", "failure"]
    assert reply.items[1] == ItemFailure(id="b", code=FailureCode.OUT_OF_MEMORY, message="no room")
    assert reply.provenance.end_token_ids == (1, 2)
    assert reply.model_dump(mode="json") == envelope
    for impossible in ({"batch_size": 0}, {"seconds": -0.1}, {"output_token_sha256": "0" * 63}):
        with pytest.raises(MalformedReply, match=next(iter(impossible))):
            read_reply(an_envelope(an_answer("a", **impossible)), a_request("a"))


def test_the_place_of_a_problem_is_named() -> None:
    with pytest.raises(MalformedReply, match=r"items\.0\.answer\.text: "):
        read_reply(an_envelope(an_answer("a", text=None)), a_request("a"))


def test_a_malformed_reply_is_kept_to_a_bound_and_says_its_problem() -> None:
    error = MalformedReply("no such version", "x" * 65_537)
    assert (str(error), error.problem, error.raw) == ("no such version", "no such version", "x" * 65_536)
