"""Read the body of a chat completion as real servers write it. Pure.

A paid answer is never lost to a field beside it: what is unusable there is not reported. What servers
differ in, and whose habit it is:

- ``content`` null or absent: vLLM with a reasoning parser, where all tokens went into ``reasoning``
  (older: ``reasoning_content``, SGLang and DeepSeek too); OpenAI beside ``refusal`` or ``tool_calls``;
- ``content`` as a list of parts: gateways, and Mistral's ``thinking`` parts;
- ``finish_reason`` in other words (TGI ``eos_token``, Anthropic's ``end_turn`` and ``max_tokens``,
  Gemini's ``STOP`` and ``SAFETY`` behind gateways), null, or absent;
- an ``error`` in place of, or within, a choice with status 200: OpenRouter, and vLLM's first versions.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from inference.contract import TOKEN_COUNT_LIMIT, FinishReason

_REASONS = {
    FinishReason.STOP: "stop eos eos_token end_turn stop_sequence complete tool_calls function_call",
    FinishReason.LENGTH: "length max_tokens max_length model_length max_output_tokens",
    FinishReason.CONTENT_FILTER: "content_filter safety recitation blocklist prohibited_content spii",
}
FINISH_REASONS = {name: reason for reason, names in _REASONS.items() for name in names.split()}

# The `type` or `code` of an error in words -> the status that it stands for.
ERROR_STATUSES = {
    "insufficient_quota": 402,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "overloaded": 503,
    "overloaded_error": 503,
    "service_unavailable": 503,
    "timeout": 504,
    "api_error": 500,
    "server_error": 500,
    "internal_error": 500,
    "internal_server_error": 500,
    "invalid_request_error": 400,
    "badrequesterror": 400,
    "context_length_exceeded": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "content_filter": 403,
}
UNNAMED_ERROR_STATUS = int(HTTPStatus.BAD_GATEWAY)
LONGEST_INTEGER = 20  # digits, a sign included


@dataclass(frozen=True)
class Completion:
    """What a body says of one answer.

    ``unfinished``: its tokens went into thoughts, and the answer never began. ``refused``: the text is
    of the field ``refusal``.
    """

    text: str
    reasoning: str | None
    unfinished: bool
    refused: bool
    finish_reason: FinishReason
    reported_finish_reason: str | None
    prompt_tokens: int | None
    output_tokens: int | None
    model: str | None
    system_fingerprint: str | None


class ReportedError(Exception):
    """A body that holds an error, whatever status it came with: the status it names, and its words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


def read_completion(body: bytes) -> Completion:
    """Raises ReportedError, and ValueError with what is wrong for a body that is no completion."""
    read = _json(body)
    if not isinstance(read, dict):
        raise ValueError("no JSON object")
    _raise_reported(read)
    choices = read.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise ValueError("choices: no list with a choice")
    choice = choices[0]
    _raise_reported(choice)
    message = choice.get("message")
    if not isinstance(message, dict):
        raise ValueError("choices.0.message: no object")
    content, thoughts = _content(message.get("content"))
    refusal = _text(message.get("refusal"))
    reported = _text(choice.get("finish_reason"))
    finish_reason = FINISH_REASONS.get((reported or "").casefold(), FinishReason.UNREPORTED)
    reasoning = _text(message.get("reasoning")) or _text(message.get("reasoning_content")) or thoughts
    text = content or refusal or ""
    begun = bool(text.strip()) or not (reasoning or content is None)
    return Completion(
        text=text,
        reasoning=reasoning,
        unfinished=finish_reason is FinishReason.LENGTH and not begun,
        refused=not content and refusal is not None,
        finish_reason=finish_reason,
        reported_finish_reason=reported,
        prompt_tokens=_count(read.get("usage"), "prompt_tokens"),
        output_tokens=_count(read.get("usage"), "completion_tokens"),
        model=_text(read.get("model")),
        system_fingerprint=_text(read.get("system_fingerprint")),
    )


def reported_error(body: bytes) -> ReportedError | None:
    """The error that a body holds, or None."""
    try:
        read = _json(body)
        if isinstance(read, dict):
            _raise_reported(read)
    except ValueError:
        return None
    except ReportedError as error:
        return error
    return None


def _json(body: bytes) -> Any:
    # Some gateways begin with a byte order mark, which JSON does not allow.
    try:
        return json.loads(body.decode("utf-8-sig", errors="replace"), parse_int=_integer)
    except RecursionError:
        raise ValueError("JSON that is nested too deeply") from None


def _integer(digits: str) -> int | float:
    # Python refuses integers of more than 4300 digits, and with one the whole answer.
    return int(digits) if len(digits) <= LONGEST_INTEGER else float(digits)


def _raise_reported(part: dict[str, Any]) -> None:
    error = part.get("error")
    if not error or (isinstance(error, dict) and not any(error.values())):
        return
    details = error if isinstance(error, dict) else {"message": error}
    said = details.get("message")
    raise ReportedError(_status_of(details), said if isinstance(said, str) else json.dumps(error))


def _status_of(error: dict[str, Any]) -> int:
    for name in ("code", "status", "type"):
        value = error.get(name)
        if isinstance(value, str):
            value = int(value) if re.fullmatch(r"[0-9]{3}", value) else ERROR_STATUSES.get(value.casefold())
        if isinstance(value, int) and 400 <= value <= 599:
            return value
    return UNNAMED_ERROR_STATUS


def _content(content: object) -> tuple[str | None, str | None]:
    """The text of a message's content, and the thoughts among its parts."""
    if content is None or isinstance(content, str):
        return content, None
    if not isinstance(content, list):
        raise ValueError("choices.0.message.content: neither text nor parts")
    thoughts = [_joined(part.get("thinking")) for part in content if isinstance(part, dict)]
    return _joined(content), "".join(thoughts) or None


def _joined(parts: object) -> str:
    """The texts of parts, one after the other; a part of another kind has none."""
    if not isinstance(parts, list):
        return _text(parts) or ""
    fields = [part if isinstance(part, dict) else {"text": part} for part in parts]
    return "".join(_text(part.get("text")) or _text(part.get("refusal")) or "" for part in fields)


def _text(value: object) -> str | None:
    """A text that says something, or None."""
    return value if isinstance(value, str) and value else None


def _count(usage: object, name: str) -> int | None:
    """A number of tokens that can be one: servers write ``5``, ``5.0`` and ``"5"``, null and −1."""
    value = usage.get(name) if isinstance(usage, dict) else None
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdecimal() and len(value) < 20 else None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    return int(value) if 0 <= value <= TOKEN_COUNT_LIMIT and int(value) == value else None
