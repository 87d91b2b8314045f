"""What comes back: the answers and failures of a batch, what made them, and how a raw reply is read."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, BeforeValidator, Field, ValidationError

from inference.contract.errors import MalformedReply
from inference.contract.request import Request
from inference.contract.status import FailureCode, FinishReason
from inference.contract.values import Value, since, text_digest

ENVELOPE_VERSION: Literal[1] = 1
TOKEN_COUNT_LIMIT = 2**31 - 1  # what every database keeps; no context is as long
UNREPORTED_REGION = "unreported"  # of a provider that does not say where it runs: equals no region


class Rendering(StrEnum):
    """How the system prompt reached the chat template."""

    SYSTEM_ROLE = "system_role"  # as a message of its own, or there was none
    SYSTEM_IN_QUESTION = "system_in_question"  # before the question: the template has no such role


class Batching(StrEnum):
    """How an item shared the model with others."""

    MICRO_BATCH = "micro_batch"
    CONTINUOUS = "continuous"  # the batch changed at every token
    SAMPLED_ALONE = "sampled_alone"  # on record from when sampling went one by one
    DIVIDED = "divided"  # after a fault, out of memory say, its batch was asked in smaller parts


class Provenance(Value):
    """What made an answer, as the runtime that made it reports; None is *not reported*.

    Our own runtime reports everything. An endpoint of someone else's may not, and then nothing
    is filled in on its behalf. In a reply it holds for all items, and ``batch_size`` is the largest
    micro-batch; on record it is one answer's own (`of_item`).
    """

    model_revision: str | None
    weights_sha256: str | None
    tokenizer_sha256: str | None
    dtype: str | None
    device: str | None  # "cpu", or the GPU's name
    engine: str  # "transformers", "http", …
    libraries: dict[str, str]  # distribution name -> version
    batch_size: int | None = Field(gt=0)
    attention: str | None = since(None)
    cuda: str | None = since(None)  # version of the CUDA runtime
    driver: str | None = since(None)  # version of the GPU's driver
    end_token_ids: tuple[int, ...] | None = since(None, strict=False)
    chat_template_sha256: str | None = since(None)
    served_model: str | None = since(None)  # the model's name in an endpoint's reply
    other_model: bool | None = since(None)  # true: it is not the model that was asked
    system_fingerprint: str | None = since(None)  # an endpoint's own
    rendered_prompt_sha256: str | None = since(None)
    rendering: Rendering | None = since(None, strict=False)
    batching: Batching | None = since(None, strict=False)
    reported_finish_reason: str | None = since(None)
    refusal_field: bool | None = since(None)
    sampler: str | None = since(None)  # how tokens are drawn: with another one a seed means other tokens
    batch_invariant: bool | None = since(None)  # whether the engine's kernels were those that do not
    # depend on the batch; None: an engine without such ones
    fresh_start: bool | None = since(None)  # asked for and given, or not; None: not asked for

    def of_item(self, answer: ItemAnswer) -> Provenance:
        """The same with what differs from item to item; what the item does not say stays."""
        prompt = answer.rendered_prompt
        own = {
            "batch_size": answer.batch_size,
            "batching": answer.batching,
            "rendering": answer.rendering,
            "rendered_prompt_sha256": None if prompt is None else text_digest(prompt),
            "served_model": answer.served_model,
            "other_model": answer.other_model or None,
            "system_fingerprint": answer.system_fingerprint,
            "reported_finish_reason": answer.reported_finish_reason,
            "refusal_field": answer.refusal_field or None,
        }
        return self.model_copy(update={name: value for name, value in own.items() if value is not None})


def _possible_count(value: object) -> object:
    """A number that cannot count tokens is none: an answer is not lost to it."""
    impossible = isinstance(value, int) and not 0 <= value <= TOKEN_COUNT_LIMIT
    return None if impossible else value


TokenCount = Annotated[int | None, BeforeValidator(_possible_count)]


class ItemAnswer(Value):
    """One generated answer. An empty ``text`` is an answer.

    ``reasoning`` is what the model thought before it answered, never part of ``text``;
    ``reasoning_unfinished``: the output ended before the answer began, and ``text`` is empty.
    """

    kind: Literal["answer"] = "answer"
    id: str
    text: str
    finish_reason: FinishReason = Field(strict=False)
    prompt_tokens: TokenCount
    output_tokens: TokenCount
    output_token_sha256: str | None = Field(pattern=r"^[0-9a-f]{64}$")  # see `token_digest`
    seconds: float = Field(ge=0)  # generation time of the batch or micro-batch it was in
    reasoning: str | None = since(None)
    reasoning_unfinished: bool = since(False)
    rendered_prompt: str | None = since(None)  # as the chat template wrote it; None: not known
    rendering: Rendering | None = since(None, strict=False)
    batch_size: int | None = since(None, gt=0)  # items generated together with this one, it included
    batching: Batching | None = since(None, strict=False)
    region: str | None = since(None)  # where this one ran, of a provider whose items run apart
    served_model: str | None = since(None)
    other_model: bool = since(False)  # the served model is none of the names of the one that was asked
    system_fingerprint: str | None = since(None)
    reported_finish_reason: str | None = since(None)  # the provider's own, where it has other ones
    refusal_field: bool = since(False)  # the text is of the provider's field for refusals


class ItemFailure(Value):
    """One item that has no answer, while its batch mates may have one."""

    kind: Literal["failure"] = "failure"
    id: str
    code: FailureCode = Field(strict=False)
    message: str


ItemResult = Annotated[ItemAnswer | ItemFailure, Field(discriminator="kind")]


class Reply(Value):
    """The versioned envelope that a runtime returns for one request.

    ``region`` is where it really ran, as the runtime reports, in the provider's own words
    (``MODAL_REGION``, say); the asker reads it through its region aliases.
    """

    version: Literal[1]
    request_id: str
    region: str
    cloud: str | None
    task_id: str | None  # the container or process that ran it
    cold_start: bool | None  # None: not reported
    started_at: AwareDatetime = Field(strict=False)
    finished_at: AwareDatetime = Field(strict=False)
    provenance: Provenance
    items: tuple[ItemResult, ...] = Field(strict=False)


def read_reply(raw: object, request: Request) -> Reply:
    """Validate a raw envelope against the contract and against the request it answers.

    Raises MalformedReply for missing or unknown fields, wrong types, an unknown version, an
    echo of another request, and for items that are missing, repeated or were never asked.
    """
    text = raw if isinstance(raw, str) else repr(raw)
    try:
        reply = Reply.model_validate(raw)
    except ValidationError as error:
        raise MalformedReply(_problems_of(error), text) from None
    if reply.request_id != request.id:
        raise MalformedReply(f"reply echoes request {reply.request_id!r}, not {request.id!r}", text)
    asked, answered = [item.id for item in request.items], [item.id for item in reply.items]
    if sorted(asked) != sorted(answered):
        raise MalformedReply(f"{len(asked)} items asked, {len(answered)} came back or ids differ", text)
    return reply


def _problems_of(error: ValidationError) -> str:
    places = [".".join(map(str, e["loc"])) + ": " + e["msg"] for e in error.errors()]
    return "; ".join(places[:3])
