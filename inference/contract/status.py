"""The words of the contract: what a provider says of a call, why a generation ended, how it can fail."""

from __future__ import annotations

from enum import StrEnum


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
