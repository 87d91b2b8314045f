"""What a provider raises on purpose::

ProviderError
├── NotConfigured       nothing was sent: credentials or settings are missing; a person must act
├── SubmitRejected      the provider refused: nothing runs and nothing will
├── SubmitUnknown       the answer to a submit was lost: the call may or may not be running
├── ReplyUnavailable    fetch() of a call that has not succeeded, or could not be reached
└── MalformedReply      the call succeeded but its reply breaks the contract; carries the raw reply
"""

from __future__ import annotations

from inference.contract.call_state import CallFailure

RAW_REPLY_LIMIT = 64 * 1024  # characters of a malformed reply kept for inspection


class ProviderError(Exception):
    """Base of everything a provider raises on purpose."""


class NotConfigured(ProviderError):
    """Nothing was sent: settings are missing. The message says how to supply them."""


class SubmitRejected(ProviderError):
    """The provider refused before accepting: nothing runs."""

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
