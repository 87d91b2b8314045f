"""Misbehaviour as small values: what goes wrong (`Fault`), with which calls (`Match`).

A fault overrides the hooks of `Fault` that it is about; everything else stays as it is, so several
faults can befall one call. The table in ``test_loopback.py`` has what the SDK makes of each.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from tests.modal_loopback.payloads import Outcome, Result, ended, failure, timed_out, worker_lost

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
CANCEL = "FunctionCallCancel"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Fault(_Value):
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

    def instead(self, data_format: int) -> Outcome | None:
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

    @property
    def copies(self) -> int:
        """How often the outcome is in one answer."""
        return 1


class _Text(Fault):
    """Replaces the text of every answer in the reply's ``items``."""

    def text(self) -> str | None:
        raise AssertionError("each kind of text says what it is")

    def rewrite(self, reply: Any) -> Any:
        changed = copy.deepcopy(reply)
        for item in changed["items"]:
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
        return {**reply, "items": list(reply["items"])[:-1]}


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

    def instead(self, data_format: int) -> Outcome | None:
        return failure(RuntimeError(self.words), data_format)


class RemoteTimeoutError(Fault):
    """The function's own code raises the builtin TimeoutError: with pickle it looks like *pending*."""

    kind: Literal["remote_timeout_error"] = "remote_timeout_error"

    def instead(self, data_format: int) -> Outcome | None:
        return failure(TimeoutError("the function's own"), data_format)


class FunctionTimeout(Fault):
    """The function runs out of its time."""

    kind: Literal["function_timeout"] = "function_timeout"

    def instead(self, data_format: int) -> Outcome | None:
        return timed_out(600)


class WorkerLost(Fault):
    """The container dies, and the platform gives up on the input."""

    kind: Literal["worker_lost"] = "worker_lost"

    def instead(self, data_format: int) -> Outcome | None:
        return worker_lost()


class Terminated(Fault):
    """The call is stopped by somebody else, in the dashboard say."""

    kind: Literal["terminated"] = "terminated"

    def instead(self, data_format: int) -> Outcome | None:
        return ended(Result.GENERIC_STATUS_TERMINATED, "the function call was cancelled")


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


def not_found() -> Refused:
    """The call id is unknown."""
    return Refused(status="NOT_FOUND")


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
    | FunctionTimeout
    | WorkerLost
    | Terminated
    | PendingFor
    | PendingUntilReleased
    | Expired
    | ReplyTwice
    | AnswerLost
    | TwoCalls
    | Refused,
    Field(discriminator="kind"),
]


class Match(_Value):
    """Which calls: by class (a pattern), by text in the request, and by how many matched before.

    ``nth`` counts the matching spawns from 1 after the injection; without it all of them match.
    A match without any condition also matches requests that are about no call, such as a look-up.
    """

    class_name: str = "*"
    contains: str = ""  # in the decoded arguments
    nth: int | None = None


class Injected(_Value):
    """A fault and its match, as in ``faults.json``."""

    fault: AnyFault
    match: Match = Match()


INJECTED_LIST: TypeAdapter[list[Injected]] = TypeAdapter(list[Injected])


@dataclass
class Active:
    """An injected fault at work: counts the spawns it matched and the requests it refused."""

    fault: Fault
    match: Match
    spawns: int = 0
    refusals: int = 0
    first_refusal: float = field(default_factory=time.monotonic)

    @property
    def is_conditional(self) -> bool:
        """Whether it needs a call's request to know if it applies."""
        return bool(self.match.contains) or self.match.nth is not None

    def hits(self, class_name: str, arguments: str) -> bool:
        """Whether it befalls this spawn, which counts as one more."""
        if not fnmatchcase(class_name, self.match.class_name) or self.match.contains not in arguments:
            return False
        self.spawns += 1
        return self.match.nth in (None, self.spawns)

    def refuses(self, method: str) -> str | None:
        """The status to answer this request with, which counts as one more."""
        if self.fault.refuses(method, 1, 0.0) is None:
            return None
        if self.refusals == 0:
            self.first_refusal = time.monotonic()
        self.refusals += 1
        return self.fault.refuses(method, self.refusals, time.monotonic() - self.first_refusal)


class Injections:
    """The faults in force."""

    def __init__(self) -> None:
        self._active: list[Active] = []

    def add(self, injected: Injected) -> None:
        """From now on. Of calls accepted before, only unconditional refusals touch any."""
        self._active.append(Active(injected.fault, injected.match))

    def clear(self) -> None:
        """No faults for future calls; calls keep theirs."""
        self._active.clear()

    def befalling(self, class_name: str, arguments: object) -> tuple[Active, ...]:
        """The faults of a call that is being accepted."""
        text = repr(arguments)
        return tuple(active for active in self._active if active.hits(class_name, text))

    def refusal(self, method: str, class_name: str | None) -> str | None:
        """The status to refuse any request with, whatever call it is about."""
        candidates = (
            active
            for active in self._active
            if not active.is_conditional and fnmatchcase(class_name or "", active.match.class_name)
        )
        return first_refusal(candidates, method)


def first_refusal(candidates: Iterable[Active], method: str) -> str | None:
    """The first status that one of these faults answers the request with."""
    return next((status for active in candidates if (status := active.refuses(method))), None)
