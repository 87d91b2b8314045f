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
from enum import StrEnum
from typing import Annotated, Literal, Protocol, runtime_checkable

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

ENVELOPE_VERSION: Literal[1] = 1
RAW_REPLY_LIMIT = 64 * 1024  # characters of a malformed reply kept for inspection


class ProviderTruth(StrEnum):
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
        return self not in (ProviderTruth.PENDING, ProviderTruth.UNREACHABLE)


class FinishReason(StrEnum):
    """Why generation of one item ended."""

    STOP = "stop"
    LENGTH = "length"


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


class Deployment(Value):
    """One model served in one region: the unit that is warm and takes a batch."""

    region: str = Field(min_length=1)
    model: str = Field(min_length=1)

    def __str__(self) -> str:
        return f"{self.region}:{self.model}"


Engine = Literal["transformers", "transformers-continuous"]


class ModelSource(Value):
    """Where weights come from, a pinned repository revision or a local folder, and what runs them.

    ``revision`` is the commit of a repository, or for a local folder the sha256 of its
    weights file; loading refuses weights that do not match it.
    """

    id: str = Field(min_length=1)
    repository: str | None = None
    folder: str | None = None  # a path; relative ones are resolved by the catalog before this
    revision: str = Field(min_length=1)
    dtype: Literal["float32", "bfloat16", "float16"]
    context_tokens: int = Field(gt=0)
    engine: Engine = "transformers"  # what batches; see `inference.runtime`

    @model_validator(mode="after")
    def _one_source(self) -> ModelSource:
        if (self.repository is None) == (self.folder is None):
            raise ValueError("give exactly one of 'repository' and 'folder'")
        return self


class GenerationParameters(Value):
    """How to generate. ``temperature`` 0 is greedy, and then ``top_p`` must stay 1."""

    max_new_tokens: int = Field(gt=0)
    temperature: float = Field(default=0.0, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    seed: int = 0

    @model_validator(mode="after")
    def _greedy_is_greedy(self) -> GenerationParameters:
        if self.temperature == 0 and self.top_p != 1:
            raise ValueError("top_p has no meaning with temperature 0 (greedy)")
        return self


class Item(Value):
    """One prompt of a batch. ``id`` is the asker's own and is echoed in the reply."""

    id: str = Field(min_length=1)
    system_prompt: str
    prompt: str = Field(min_length=1)


class Request(Value):
    """A batch of items for one deployment.

    ``id`` is the asker's own, durable before the request is sent. A provider whose ``durable``
    is true runs one id at most once, however often it is submitted.
    """

    id: str = Field(min_length=1)
    deployment: Deployment
    model: ModelSource
    parameters: GenerationParameters
    items: tuple[Item, ...] = Field(min_length=1, strict=False)

    @model_validator(mode="after")
    def _unique_items(self) -> Request:
        if len({item.id for item in self.items}) != len(self.items):
            raise ValueError("item ids repeat")
        return self


class Provenance(Value):
    """What made an answer, as the runtime that made it reports; None is *not reported*.

    Our own runtime reports everything. An endpoint of someone else's may not, and then nothing
    is filled in on its behalf.
    """

    model_revision: str | None
    weights_sha256: str | None
    tokenizer_sha256: str | None
    dtype: str | None
    device: str | None  # "cpu", or the GPU's name
    engine: str  # "transformers", "http", …
    libraries: dict[str, str]  # distribution name -> version
    batch_size: int | None = Field(gt=0)


class ItemAnswer(Value):
    """One generated answer. An empty ``text`` is an answer."""

    kind: Literal["answer"] = "answer"
    id: str
    text: str
    finish_reason: FinishReason = Field(strict=False)
    prompt_tokens: int | None = Field(ge=0)
    output_tokens: int | None = Field(ge=0)
    output_token_sha256: str | None = Field(pattern=r"^[0-9a-f]{64}$")  # see `token_digest`
    seconds: float = Field(ge=0)  # generation time of the batch or micro-batch it was in


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

    ``failure`` is present for the truths failed, timed_out, cancelled and expired;
    ``detail`` says why an unreachable provider could not be asked.
    """

    truth: ProviderTruth = Field(strict=False)
    failure: CallFailure | None = None
    detail: str | None = None

    @model_validator(mode="after")
    def _failure_explains(self) -> CallState:
        explained = self.truth in (
            ProviderTruth.FAILED,
            ProviderTruth.TIMED_OUT,
            ProviderTruth.CANCELLED,
            ProviderTruth.EXPIRED,
        )
        if explained != (self.failure is not None):
            raise ValueError(f"truth {self.truth.value!r} and failure {self.failure!r} disagree")
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
