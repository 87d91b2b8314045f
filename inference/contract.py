"""The contract between whoever asks a model and whatever runs it.

Plain frozen values and one protocol; no I/O, no torch, no Modal. A *call* is one request to a
provider: a batch of items for one deployment (one model in one region). The exceptions are::

    ProviderError
    ├── NotConfigured       nothing was sent: credentials or settings are missing; a person must act
    ├── SubmitRejected      the provider answered "no": nothing runs and nothing will
    ├── SubmitUnknown       the answer to a submit was lost: the call may or may not be running
    ├── ReplyUnavailable    fetch() of a call that has not succeeded, or could not be reached
    └── MalformedReply      the call succeeded but its reply breaks the contract; carries the raw reply
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Literal, Protocol, runtime_checkable

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

ENVELOPE_VERSION: Literal[1] = 1
TOKEN_COUNT_LIMIT = 2**31 - 1  # what every database keeps; no context is as long
BATCH_SIZE = 8  # items in a micro-batch, unless the model says otherwise
SEED_LIMIT = 2**53  # whole numbers below it are the same in every JSON reader
RAW_REPLY_LIMIT = 64 * 1024  # characters of a malformed reply kept for inspection


class CallStatus(StrEnum):
    """What a provider says of a call."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    EXPIRED = "expired"  # the provider no longer knows
    UNREACHABLE = "unreachable"  # could not be asked: says nothing about the call

    @property
    def is_final(self) -> bool:
        """Whether asking again can never give another answer."""
        return self not in (CallStatus.PENDING, CallStatus.UNREACHABLE)


class FinishReason(StrEnum):
    """Why generation of one item ended."""

    STOP = "stop"
    LENGTH = "length"
    CONTENT_FILTER = "content_filter"  # the provider's own filter withheld the answer, or cut it off
    UNREPORTED = "unreported"  # the provider gives no reason, or one that is not known here


class FailureCode(StrEnum):
    """Every way in which a call or an item can fail; each has one verdict on retrying."""

    MODEL_UNAVAILABLE = "model_unavailable"  # weights missing, hash mismatch, gated repository
    PROMPT_TOO_LONG = "prompt_too_long"
    GENERATION_ERROR = "generation_error"  # the model's code raised
    OUT_OF_MEMORY = "out_of_memory"
    START_FAILED = "start_failed"  # the container broke before it took the request
    WORKER_LOST = "worker_lost"  # the container or process died
    TIMED_OUT = "timed_out"  # the provider's own execution limit
    CANCELLED = "cancelled"
    EXPIRED = "expired"  # the provider finished, and no longer has the result
    RATE_LIMITED = "rate_limited"
    REJECTED = "rejected"  # the provider refused the request
    MALFORMED_REPLY = "malformed_reply"
    UNKNOWN_CALL = "unknown_call"  # the provider never heard of the call id
    INTERRUPTED = "interrupted"  # whoever asked was cut off: before a call, or in one that is not durable
    PROVIDER_ERROR = "provider_error"  # anything else the provider calls its own error

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed when it is sent again."""
        return self in _RETRYABLE


_RETRYABLE = frozenset(
    {
        FailureCode.OUT_OF_MEMORY,
        FailureCode.START_FAILED,
        FailureCode.WORKER_LOST,
        FailureCode.TIMED_OUT,
        FailureCode.EXPIRED,
        FailureCode.RATE_LIMITED,
        FailureCode.UNKNOWN_CALL,
        FailureCode.INTERRUPTED,
        FailureCode.PROVIDER_ERROR,
    }
)


class Value(BaseModel):
    """A frozen value that refuses unknown and missing fields and never coerces types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def since(default: Any, **constraints: Any) -> Any:
    """A field that came later than the first records.

    It is left out of what is written while it has its default, so that an old record is read, and an
    old request is sent again, exactly as it was.
    """
    return Field(default=default, exclude_if=lambda value: value == default, **constraints)


class Deployment(Value):
    """One model served in one region: the unit that is warm and takes a batch."""

    region: str = Field(min_length=1)
    model: str = Field(min_length=1)

    def __str__(self) -> str:
        return f"{self.region}:{self.model}"


Engine = Literal["transformers", "transformers-continuous", "vllm"]
Attention = Literal["sdpa", "eager"]


class ModelSource(Value):
    """Where weights come from, a pinned repository revision or a local folder, and what runs them.

    ``revision`` is the commit of a repository, or for a local folder the sha256 over all its files
    that make an answer (`inference.model_files`); loading refuses a folder that does not match it.
    """

    id: str = Field(min_length=1)
    repository: str | None = None
    folder: str | None = None  # a path; relative ones are resolved by the catalog before this
    revision: str = Field(min_length=1)
    dtype: Literal["float32", "bfloat16", "float16"]
    context_tokens: int = Field(gt=0)
    engine: Engine = "transformers"  # what generates and batches; see `inference.runtime`
    attention: Attention = since("sdpa")  # transformers' name of the implementation
    batch_size: int = since(BATCH_SIZE, gt=0)  # most items generated together in a micro-batch
    # Kernels whose results do not depend on what else is in the batch; of vLLM only, and slower.
    batch_invariant: bool = since(default=False)

    @model_validator(mode="after")
    def _one_source(self) -> ModelSource:
        if (self.repository is None) == (self.folder is None):
            raise ValueError("give exactly one of 'repository' and 'folder'")
        return self


TemplateArgument = bool | int | float | str


# Set by whoever renders a template, or options of the rendering itself.
_NO_TEMPLATE_ARGUMENTS = frozenset((
    "messages", "conversation", "tools", "documents", "add_generation_prompt", "continue_final_message",
    "chat_template", "tokenize", "padding", "truncation", "max_length", "return_tensors", "return_dict",
    "return_assistant_tokens_mask", "tokenizer_kwargs", "sanitize_control_tokens", "strftime_now",
    "raise_exception", "pinned_date",
))  # fmt: skip


MAX_TEMPERATURE = 2.0  # of a new request: OpenAI's API and vLLM's server take no more


class GenerationParameters(Value):
    """How to ask and to generate. ``temperature`` 0 is greedy, and then ``top_p`` must stay 1.

    ``stop`` are texts that end an answer and are not part of it. ``prompt_date`` is the date for chat
    templates that write today's; None leaves them the clock. ``template_arguments`` go to the chat
    template by name (``enable_thinking``).
    """

    max_new_tokens: int = Field(gt=0)
    temperature: float = Field(default=0.0, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    seed: int = 0
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = since((), strict=False)
    prompt_date: date | None = since(None, strict=False)
    template_arguments: dict[str, TemplateArgument] = since({})

    def __hash__(self) -> int:
        return hash(self.model_dump_json())

    @model_validator(mode="after")
    def _greedy_is_greedy(self) -> GenerationParameters:
        if self.temperature == 0 and self.top_p != 1:
            raise ValueError("top_p has no meaning with temperature 0 (greedy)")
        return self

    @model_validator(mode="after")
    def _arguments_are_the_templates_own(self) -> GenerationParameters:
        unfit = [n for n in self.template_arguments if not n.isidentifier() or n in _NO_TEMPLATE_ARGUMENTS]
        if unfit:
            raise ValueError(f"template_arguments: {unfit[0]!r} is no variable of a chat template")
        return self


class Item(Value):
    """One prompt of a batch. ``id`` is the asker's own and is echoed in the reply.

    ``seed`` is of this item's sampling alone; None takes that of the parameters. ``greedy`` items take
    the likeliest token whatever the parameters' temperature, and then the seed has no effect.
    """

    id: str = Field(min_length=1)
    system_prompt: str
    prompt: str = Field(min_length=1)
    seed: int | None = since(None, ge=0, lt=SEED_LIMIT)
    greedy: bool = since(False)

    def parameters(self, common: GenerationParameters) -> GenerationParameters:
        """How this item is asked in a request with these parameters: its own seed, greedy if it is."""
        if self.greedy:
            return common.model_copy(update={"temperature": 0.0, "top_p": 1.0})
        return common if self.seed is None else common.model_copy(update={"seed": self.seed})


class Request(Value):
    """A batch of items for one deployment.

    ``id`` is the asker's own, durable before the request is sent. A provider whose ``durable``
    is true runs one id at most once, however often it is submitted. ``fresh_start`` asks for a
    container or process that has answered no other call, where the provider can give one; whether
    it did is in the reply (`Reply.cold_start`, `Provenance.fresh_start`).
    """

    id: str = Field(min_length=1)
    deployment: Deployment
    model: ModelSource
    parameters: GenerationParameters
    items: tuple[Item, ...] = Field(min_length=1, strict=False)
    fresh_start: bool = since(False)

    @model_validator(mode="after")
    def _unique_items(self) -> Request:
        if len({item.id for item in self.items}) != len(self.items):
            raise ValueError("item ids repeat")
        return self


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


def token_digest(token_ids: Sequence[int]) -> str:
    """sha256 over the generated token ids as little-endian 64-bit integers: equal ids, equal digest."""
    return hashlib.sha256(struct.pack(f"<{len(token_ids)}q", *token_ids)).hexdigest()


def text_digest(text: str) -> str:
    """sha256 of a text in UTF-8; a lone surrogate counts as its three bytes."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


UNREPORTED_REGION = "unreported"  # of a provider that does not say where it runs: equals no region


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


class CallFailure(Value):
    """Why a call as a whole has no reply."""

    code: FailureCode = Field(strict=False)
    message: str


class CallState(Value):
    """A provider's answer to *what became of this call?*

    ``failure`` is present for the statuses failed, timed_out, cancelled and expired;
    ``detail`` says why an unreachable provider could not be asked.
    """

    status: CallStatus = Field(strict=False)
    failure: CallFailure | None = None
    detail: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_former_name(cls, values: Any) -> Any:
        # The local provider keeps states in files; until 0.2 they called the status its truth.
        if isinstance(values, dict) and "truth" in values:
            return {"status" if name == "truth" else name: value for name, value in values.items()}
        return values

    @model_validator(mode="after")
    def _failure_explains(self) -> CallState:
        explained = self.status in (
            CallStatus.FAILED,
            CallStatus.TIMED_OUT,
            CallStatus.CANCELLED,
            CallStatus.EXPIRED,
        )
        if explained != (self.failure is not None):
            raise ValueError(f"status {self.status.value!r} and failure {self.failure!r} disagree")
        return self


class ProviderError(Exception):
    """Base of everything a provider raises on purpose."""


class NotConfigured(ProviderError):
    """Nothing was sent: settings are missing. The message says how to supply them."""


class SubmitRejected(ProviderError):
    """The provider said no before accepting: nothing runs."""

    def __init__(self, failure: CallFailure) -> None:
        super().__init__(f"{failure.code.value}: {failure.message}")
        self.failure = failure


class SubmitUnknown(ProviderError):
    """The answer to a submit was lost. Unknown is not failed: the call may be running."""


class ReplyUnavailable(ProviderError):
    """The reply could not be had: the call has not succeeded, or the provider is unreachable."""


class MalformedReply(ProviderError):
    """The call succeeded and its reply breaks the contract."""

    def __init__(self, problem: str, raw: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.raw = raw[:RAW_REPLY_LIMIT]


@runtime_checkable
class Provider(Protocol):
    """What runs inference. All methods are coroutines; none blocks the event loop.

    ``durable``: a call outlives the asker. Submitting one request id twice gives one execution,
    and its call id can be polled from another process later.

    `tests/inference/conformance.py` holds every provider to this; whoever adds one runs it.
    """

    name: str
    durable: bool

    def check_configured(self, *deployments: Deployment) -> None:
        """Raises NotConfigured with the way out when nothing could be sent, to anybody or to one of
        these deployments. Makes no request."""
        ...

    async def submit(self, request: Request) -> str:
        """Send a batch; returns the provider's call id.

        Raises NotConfigured, SubmitRejected, SubmitUnknown.
        """
        ...

    async def poll(self, call_id: str) -> CallState:
        """Ask once, without waiting for the call to finish. Never raises for network trouble:
        that is the truth ``unreachable``. Raises NotConfigured."""
        ...

    async def fetch(self, call_id: str, request: Request) -> Reply:
        """The validated reply of a succeeded call. Raises ReplyUnavailable, MalformedReply."""
        ...

    async def cancel(self, call_id: str) -> None:
        """Ask the provider to stop the call; a finished or unknown call is left as it is.

        Raises ReplyUnavailable when the provider cannot be reached.
        """
        ...

    async def close(self) -> None:
        """Give back connections and threads. Calls go on."""
        ...


def read_reply(raw: object, request: Request) -> Reply:
    """Validate a raw envelope against the contract and against the request it answers.

    Raises MalformedReply for missing or unknown fields, wrong types, an unknown version, an
    echo of another request, and for items that are missing, repeated or were never asked.
    """
    text = raw if isinstance(raw, str) else repr(raw)
    try:
        reply = Reply.model_validate(raw)
    except ValueError as error:
        raise MalformedReply(_first_line_of(error), text) from None
    if reply.request_id != request.id:
        raise MalformedReply(f"reply echoes request {reply.request_id!r}, not {request.id!r}", text)
    asked, answered = [item.id for item in request.items], [item.id for item in reply.items]
    if sorted(asked) != sorted(answered):
        raise MalformedReply(f"{len(asked)} items asked, {len(answered)} came back or ids differ", text)
    return reply


def _first_line_of(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        places = [".".join(map(str, e["loc"])) + ": " + e["msg"] for e in error.errors()]
        return "; ".join(places[:3])
    return str(error).splitlines()[0]
