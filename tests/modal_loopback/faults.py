"""Misbehaviour as small values. `injections` says which calls it befalls.

A fault overrides the hooks of `Fault` that it is about; everything else stays as it is, so several
faults can befall one call. The table in ``test_loopback.py`` has what the SDK makes of each.
"""

from __future__ import annotations

import asyncio
import builtins
import copy
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from modal_proto import api_pb2
from pydantic import BaseModel, ConfigDict, Field

from tests.modal_loopback.payloads import (
    DataFormat,
    Outcome,
    Result,
    crashed_at_start,
    ended,
    failure,
    timed_out,
    worker_lost,
)

RefusalStatus = Literal[
    "UNAVAILABLE",
    "INTERNAL",
    "NOT_FOUND",
    "UNAUTHENTICATED",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "INVALID_ARGUMENT",
]
SPAWN = "FunctionMap"
POLL = "FunctionGetOutputs"
FROM_ID = "FunctionCallFromId"
CANCEL = "FunctionCallCancel"


class Value(BaseModel):
    """Frozen, and refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Fault(Value):
    """Base of all faults: none of its hooks does anything."""

    kind: str

    def refuses(self, method: str, occasion: int, seconds: float) -> str | None:
        """The gRPC status to answer with; ``occasion`` counts from 1, ``seconds`` since the first."""
        return None

    def loses_answer(self, occasion: int) -> bool:
        """Whether the connection is cut instead of answering an accepted spawn."""
        return False

    @property
    def spawns_again(self) -> bool:
        """Whether a repeated spawn request makes a second call."""
        return False

    def instead(self, data_format: DataFormat) -> Outcome | None:
        """How the call ends without its code being run."""
        return None

    def rewrite(self, reply: Any) -> Any:
        """What the client sees instead of the function's result."""
        return reply

    def delay(self) -> float | None:
        """Seconds from acceptance until the call may end; None: until it is released."""
        return 0.0

    @property
    def forgets(self) -> bool:
        """Whether the server no longer has the outcome."""
        return False

    def refuses_result(self, occasion: int) -> int | None:
        """The HTTP status to answer the download of the result with; ``occasion`` counts from 1.

        A fault that refuses the first one makes any result travel as a blob, however small.
        """
        return None

    def loses_blob(self, occasion: int) -> bool:
        """Whether the blob of the result is not there; ``occasion`` counts from 1.

        A fault that loses the first one makes any result travel as a blob, however small.
        """
        return False

    def reply_format(self, data_format: DataFormat) -> DataFormat:
        """How the data of a success is said to be encoded."""
        return data_format

    @property
    def copies(self) -> int:
        """How often the outcome is in one answer."""
        return 1


def _items(reply: Any) -> list[Any]:
    """The answers in a reply; none in what is no reply, such as a notice that another call has it."""
    return list(reply.get("items", ())) if isinstance(reply, Mapping) else []


class _Text(Fault):
    """Replaces the text of every answer in the reply's ``items``."""

    def text(self) -> str | None:
        raise AssertionError("each kind of text says what it is")

    def rewrite(self, reply: Any) -> Any:
        changed = copy.deepcopy(reply)
        for item in _items(changed):
            if "text" in item:
                item["text"] = self.text()
        return changed


class EmptyText(_Text):
    kind: Literal["empty_text"] = "empty_text"

    def text(self) -> str:
        return ""


class WhitespaceText(_Text):
    kind: Literal["whitespace_text"] = "whitespace_text"

    def text(self) -> str:
        return " \n\t"


class NullText(_Text):
    """The text of every answer is null, which breaks the contract."""

    kind: Literal["null_text"] = "null_text"

    def text(self) -> None:
        return None


class NullReply(Fault):
    """The function returns None."""

    kind: Literal["null_reply"] = "null_reply"

    def rewrite(self, reply: Any) -> Any:
        return None


class MalformedReply(Fault):
    """The reply lacks the fields ``without`` and has ``replaced`` ones: by default it lacks its items."""

    kind: Literal["malformed_reply"] = "malformed_reply"
    without: tuple[str, ...] = ("items",)
    replaced: dict[str, Any] = Field(default_factory=dict)

    def rewrite(self, reply: Any) -> Any:
        return {k: v for k, v in reply.items() if k not in self.without} | self.replaced


class FewerItems(Fault):
    """The reply lacks its last item."""

    kind: Literal["fewer_items"] = "fewer_items"

    def rewrite(self, reply: Any) -> Any:
        return {**reply, "items": _items(reply)[:-1]} if _items(reply) else reply


class OtherRegion(Fault):
    """The reply says that it came from another region."""

    kind: Literal["other_region"] = "other_region"
    region: str = "us-east-1"

    def rewrite(self, reply: Any) -> Any:
        return {**reply, "region": self.region}


class RemoteException(Fault):
    """The function raises RuntimeError."""

    kind: Literal["remote_exception"] = "remote_exception"
    words: str = "the model's code raised"

    def instead(self, data_format: DataFormat) -> Outcome | None:
        return failure(RuntimeError(self.words), data_format)


class RemoteTimeoutError(Fault):
    """The function's own code raises the builtin TimeoutError: with pickle it looks like *pending*."""

    kind: Literal["remote_timeout_error"] = "remote_timeout_error"

    def instead(self, data_format: DataFormat) -> Outcome | None:
        return failure(TimeoutError("the function's own"), data_format)


class CrashAtStart(Fault):
    """The container raises a builtin exception while it starts: as a pickle, whatever the payloads are."""

    kind: Literal["crash_at_start"] = "crash_at_start"
    error: Literal[
        "LookupError",
        "OSError",
        "TimeoutError",
        "SystemExit",
        "CancelledError",
        "StopIteration",
        "StopAsyncIteration",
        "GeneratorExit",
        "KeyboardInterrupt",
    ] = "LookupError"
    traced: bool = True  # whether its traceback travels too

    def instead(self, data_format: DataFormat) -> Outcome | None:
        kind = asyncio.CancelledError if self.error == "CancelledError" else getattr(builtins, self.error)
        raised: BaseException = kind("as it started")
        return crashed_at_start(raised, traced=self.traced)


class FunctionTimeout(Fault):
    """The function runs out of its time."""

    kind: Literal["function_timeout"] = "function_timeout"

    def instead(self, data_format: DataFormat) -> Outcome | None:
        return timed_out(600)


class WorkerLost(Fault):
    """The container dies, and the platform gives up on the input."""

    kind: Literal["worker_lost"] = "worker_lost"

    def instead(self, data_format: DataFormat) -> Outcome | None:
        return worker_lost()


class Terminated(Fault):
    """The call is stopped by somebody else, in the dashboard say."""

    kind: Literal["terminated"] = "terminated"

    def instead(self, data_format: DataFormat) -> Outcome | None:
        return ended(Result.GENERIC_STATUS_TERMINATED, "the function call was cancelled")


class Ended(Fault):
    """Modal ends the call with this status, as a rule without a word."""

    kind: Literal["ended"] = "ended"
    status: Literal[
        "TERMINATED",
        "INIT_FAILURE",
        "MEMORY_MANAGER_EVICTION",
        "MEMORY_THRASHING_EVICTION",
        "KERNEL_OOM_KILL",
    ]
    words: str = ""

    def instead(self, data_format: DataFormat) -> Outcome | None:
        return ended(Result.GenericStatus.Value(f"GENERIC_STATUS_{self.status}"), self.words)


class PendingFor(Fault):
    """The call ends no sooner than ``seconds`` after it was accepted."""

    kind: Literal["pending_for"] = "pending_for"
    seconds: float

    def delay(self) -> float | None:
        return self.seconds


class PendingUntilReleased(Fault):
    """The call stays pending until ``release()``."""

    kind: Literal["pending_until_released"] = "pending_until_released"

    def delay(self) -> float | None:
        return None


class Expired(Fault):
    """The outcome is no longer kept."""

    kind: Literal["expired"] = "expired"

    @property
    def forgets(self) -> bool:
        return True


class ResultUnavailable(Fault):
    """The call ended as it ended, and its result cannot be downloaded, ``times`` times (None: ever).

    The SDK tries five times in a row, and waits a second longer after each 503.
    """

    kind: Literal["result_unavailable"] = "result_unavailable"
    status: int = 503
    times: int | None = None

    def refuses_result(self, occasion: int) -> int | None:
        return self.status if self.times is None or occasion <= self.times else None


class BlobGone(Fault):
    """The call succeeded, and the blob of its result is not there, ``times`` times (None: ever)."""

    kind: Literal["blob_gone"] = "blob_gone"
    times: int | None = None

    def loses_blob(self, occasion: int) -> bool:
        return self.times is None or occasion <= self.times


class UnknownFormat(Fault):
    """The result of a success is in a format that this SDK does not know."""

    kind: Literal["unknown_format"] = "unknown_format"

    def reply_format(self, data_format: DataFormat) -> DataFormat:
        return api_pb2.DATA_FORMAT_UNSPECIFIED


class ReplyTwice(Fault):
    """The outcome is delivered twice in one answer."""

    kind: Literal["reply_twice"] = "reply_twice"

    @property
    def copies(self) -> int:
        return 2


class AnswerLost(Fault):
    """The connection is cut right after a spawn was accepted, ``times`` times (None: each time).

    The SDK repeats the request with the same idempotency key: cut once, it heals; cut always, it
    raises while the call runs.
    """

    kind: Literal["answer_lost"] = "answer_lost"
    times: int | None = 1

    def loses_answer(self, occasion: int) -> bool:
        return self.times is None or occasion <= self.times


class TwoCalls(Fault):
    """One spawn makes two calls: its first answer is lost, and the repeated request is taken for new."""

    kind: Literal["two_calls"] = "two_calls"

    def loses_answer(self, occasion: int) -> bool:
        return occasion == 1

    @property
    def spawns_again(self) -> bool:
        return True


class Refused(Fault):
    """Requests of these gRPC ``methods`` (patterns) are answered with an error status.

    ``seconds``: for so long after the first refusal; ``times``: so often; neither: always.
    """

    kind: Literal["refused"] = "refused"
    status: RefusalStatus
    methods: tuple[str, ...] = (POLL,)
    seconds: float | None = None
    times: int | None = None

    def refuses(self, method: str, occasion: int, seconds: float) -> str | None:
        over = (self.seconds is not None and seconds > self.seconds) or (
            self.times is not None and occasion > self.times
        )
        return self.status if not over and any(fnmatchcase(method, p) for p in self.methods) else None


def unavailable(seconds: float | None = None, methods: tuple[str, ...] = (POLL,)) -> Refused:
    """Modal cannot be asked, for a while or always."""
    return Refused(status="UNAVAILABLE", seconds=seconds, methods=methods)


def not_found(times: int | None = None, methods: tuple[str, ...] = (POLL, FROM_ID, CANCEL)) -> Refused:
    """The call id is unknown, or whatever else ``methods`` ask for."""
    return Refused(status="NOT_FOUND", times=times, methods=methods)


def unauthenticated(methods: tuple[str, ...] = ("*",)) -> Refused:
    """The token is not accepted."""
    return Refused(status="UNAUTHENTICATED", methods=methods)


def permission_denied(methods: tuple[str, ...] = (SPAWN, POLL)) -> Refused:
    """The token may not do this."""
    return Refused(status="PERMISSION_DENIED", methods=methods)


AnyFault = Annotated[
    EmptyText
    | WhitespaceText
    | NullText
    | NullReply
    | MalformedReply
    | FewerItems
    | OtherRegion
    | RemoteException
    | RemoteTimeoutError
    | CrashAtStart
    | FunctionTimeout
    | WorkerLost
    | Terminated
    | Ended
    | PendingFor
    | PendingUntilReleased
    | Expired
    | ResultUnavailable
    | BlobGone
    | UnknownFormat
    | ReplyTwice
    | AnswerLost
    | TwoCalls
    | Refused,
    Field(discriminator="kind"),
]
