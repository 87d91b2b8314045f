"""Bodies of chat completions as real servers write them, and what is read from each."""

import json
from typing import Any

import pytest

from inference.contract import TOKEN_COUNT_LIMIT, FinishReason
from inference.http.completion import ReportedError, read_completion, reported_error
from tests.inference.endpoints import completion


def read_message(finish_reason: object = "stop", **message: object) -> tuple[Any, ...]:
    choice = {"message": message, "finish_reason": finish_reason}
    read = read_completion(json.dumps({"choices": [choice]}).encode())
    return read.text, read.reasoning, read.unfinished, read.refused


# vLLM, TGI, Anthropic's and Gemini's words behind a gateway; null from a stream that was put together
REASONS = {
    FinishReason.STOP: (
        *("stop", "eos", "eos_token", "end_turn", "stop_sequence", "STOP", "complete", "tool_calls"),
        "function_call",
    ),
    FinishReason.LENGTH: (
        *("length", "max_tokens", "MAX_TOKENS", "max_length", "model_length", "max_output_tokens"),
    ),
    FinishReason.CONTENT_FILTER: (
        *("content_filter", "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"),
    ),
    FinishReason.UNREPORTED: (None, 7, "abort", ""),
}


@pytest.mark.parametrize(
    ("written", "expected"), [(written, reason) for reason, each in REASONS.items() for written in each]
)
def test_a_finish_reason_in_other_words(written: object, expected: FinishReason) -> None:
    read = read_completion(json.dumps(completion(finish_reason=written)).encode())
    assert (read.finish_reason, read.text) == (expected, "fine")
    assert read.reported_finish_reason == (written if isinstance(written, str) and written else None)


MOST = TOKEN_COUNT_LIMIT


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 2}, (5, 2)),
        ({"prompt_tokens": 5.0, "completion_tokens": "2"}, (5, 2)),
        ({"prompt_tokens": 0, "completion_tokens": "0"}, (0, 0)),
        ({"prompt_tokens": MOST, "completion_tokens": MOST + 1}, (MOST, None)),
        ({"prompt_tokens": "²", "completion_tokens": "-1"}, (None, None)),
        ({"prompt_tokens": f"{'0' * 18}5", "completion_tokens": f"{'0' * 19}5"}, (5, None)),
        ({}, (None, None)),
        (None, (None, None)),
        ([], (None, None)),
        ({"prompt_tokens": None, "completion_tokens": -1}, (None, None)),
        ({"prompt_tokens": 10**25, "completion_tokens": 2.5}, (None, None)),
        ({"prompt_tokens": True, "completion_tokens": "many"}, (None, None)),
        ({"prompt_tokens": float("nan"), "completion_tokens": float("inf")}, (None, None)),
    ],
)
def test_an_answer_is_not_lost_to_its_usage(usage: object, expected: tuple[int | None, int | None]) -> None:
    read = read_completion(json.dumps(completion(usage=usage)).encode())
    assert (read.text, (read.prompt_tokens, read.output_tokens)) == ("fine", expected)


THINKING = {"type": "thinking", "thinking": [{"type": "text", "text": "Well, "}, {"text": "so."}]}
TEXT = {"type": "text", "text": "Yes."}


# the message -> text, thoughts, whether the answer never began, whether the text is the refusal's
@pytest.mark.parametrize(
    ("message", "reason", "expected"),
    [
        ({"content": "Yes."}, "stop", ("Yes.", None, False, False)),
        ({"content": "Yes.", "refusal": "No."}, "stop", ("Yes.", None, False, False)),
        ({"content": "", "refusal": "No."}, "stop", ("No.", None, False, True)),
        ({"content": None, "refusal": "No."}, "length", ("No.", None, False, True)),
        ({"content": "Yes.", "reasoning": "Well."}, "length", ("Yes.", "Well.", False, False)),
        ({"content": None, "reasoning": "Well."}, "length", ("", "Well.", True, False)),
        ({"content": None, "reasoning": "Well."}, "stop", ("", "Well.", False, False)),
        ({"content": " ", "reasoning_content": "Well."}, "length", (" ", "Well.", True, False)),
        ({"reasoning": "", "reasoning_content": "Well."}, "stop", ("", "Well.", False, False)),
        ({"reasoning": "Well.", "reasoning_content": "Old."}, "stop", ("", "Well.", False, False)),
        ({}, "length", ("", None, True, False)),
        ({"content": ""}, "length", ("", None, False, False)),
        ({"content": [THINKING, TEXT]}, "stop", ("Yes.", "Well, so.", False, False)),
        ({"content": [THINKING, TEXT], "reasoning": "Other."}, "stop", ("Yes.", "Other.", False, False)),
        ({"content": [{"thinking": "Well."}]}, "length", ("", "Well.", True, False)),
        (
            {"content": ["A", TEXT, 7, {"refusal": "No."}, {"text": 3}]},
            "stop",
            ("AYes.No.", None, False, False),
        ),
        ({"content": []}, "stop", ("", None, False, False)),
    ],
)
def test_thoughts_refusals_and_parts(
    message: dict[str, object], reason: str, expected: tuple[object, ...]
) -> None:
    assert read_message(reason, **message) == expected


def test_what_names_the_answer() -> None:
    read = read_completion(json.dumps(completion(system_fingerprint="fp")).encode("utf-8-sig"))
    assert (read.model, read.system_fingerprint) == ("served", "fp")
    unnamed = read_completion(json.dumps(completion(model="", system_fingerprint=7)).encode())
    assert (unnamed.model, unnamed.system_fingerprint) == (None, None)


def test_a_long_integer_does_not_cost_the_answer() -> None:
    body = json.dumps(completion()).replace("7}", "7" * 5000 + "}")
    assert read_completion(body.encode()).text == "fine"
    exact = json.dumps(completion(usage={"prompt_tokens": 12_345_678})).encode()
    assert read_completion(exact).prompt_tokens == 12_345_678


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"[]", "no JSON object"),
        (b"{}", "choices: no list with a choice"),
        (b'{"choices": []}', "choices: no list with a choice"),
        (b'{"choices": {"0": {}}}', "choices: no list with a choice"),
        (b'{"choices": [null]}', "choices: no list with a choice"),
        (b'{"choices": [{}]}', "choices.0.message: no object"),
        (b'{"choices": [{"message": {"content": 7}}]}', "choices.0.message.content: neither text nor parts"),
        (b"<html>", "Expecting value"),
        (b"[" * 100_000, "JSON that is nested too deeply"),
    ],
)
def test_what_is_no_completion(body: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read_completion(body)
    assert reported_error(body) is None


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        ({"message": "busy", "code": 429}, 429, "busy"),
        ({"message": "busy", "code": "429", "type": "server_error"}, 429, "busy"),
        ({"message": "busy", "code": "4290"}, 502, "busy"),
        ({"message": "busy", "code": 200, "status": 503}, 503, "busy"),
        ({"message": "x", "code": None, "type": "Overloaded_Error"}, 503, "x"),
        ({"message": "x", "code": "unheard_of", "type": "permission_error"}, 403, "x"),
        ({"message": "x", "code": 399}, 502, "x"),
        ({"message": "x", "code": 400}, 400, "x"),
        ({"message": "x", "code": 599}, 599, "x"),
        ({"message": "x", "code": 600}, 502, "x"),
        ({"code": 500}, 500, '{"code": 500}'),
        ("out of memory", 502, "out of memory"),
        (["odd"], 502, '["odd"]'),
    ],
)
def test_an_error_in_place_of_an_answer_or_within_it(error: object, status: int, message: str) -> None:
    choice = {"message": {"content": "half an ans"}, "error": error}
    for body in ({"error": error}, {"choices": [choice]}):
        with pytest.raises(ReportedError) as raised:
            read_completion(json.dumps(body).encode())
        assert (raised.value.status, raised.value.message, str(raised.value)) == (status, message, message)
    found = reported_error(json.dumps({"error": error}).encode())
    assert found is not None
    assert (found.status, found.message) == (status, message)


NAMED_ERRORS = {
    400: "invalid_request_error badrequesterror context_length_exceeded",
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error content_filter",
    404: "not_found_error",
    429: "rate_limit_exceeded rate_limit_error",
    500: "api_error server_error internal_error internal_server_error",
    503: "overloaded overloaded_error service_unavailable",
    504: "timeout",
}


def test_errors_in_words_stand_for_a_status() -> None:
    for status, names in NAMED_ERRORS.items():
        for name in names.split():
            found = reported_error(json.dumps({"error": {"message": "m", "type": name}}).encode())
            assert found is not None
            assert (name, found.status) == (name, status)


@pytest.mark.parametrize("error", [None, {}, "", {"message": None, "code": 0}])
def test_an_error_that_says_nothing_is_none(error: object) -> None:
    assert read_completion(json.dumps(completion(error=error)).encode()).text == "fine"
    assert reported_error(json.dumps(completion(error=error)).encode()) is None
