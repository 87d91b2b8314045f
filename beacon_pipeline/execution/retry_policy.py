"""What a failed attempt means for its execution, and how long to wait before the next. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from beacon_pipeline.ledger.status import Status
from inference.contract import FailureCode

LONGEST_DELAY_SECONDS = 60


@dataclass(frozen=True)
class RetryDecision:
    """What a failure means for an execution: try again, or end it with a status.

    ``dead_letter``: it ended for good and no person asked for that, so a person must be alerted.
    """

    status: Status
    dead_letter: bool

    @property
    def retries(self) -> bool:
        return self.status is Status.PENDING


def judge_failure(code: FailureCode, *, attempts: int, budget: int) -> RetryDecision:
    """The decision on a failed attempt, given the attempts made so far, this one included."""
    if code is FailureCode.CANCELLED:
        return RetryDecision(Status.CANCELLED, dead_letter=False)
    if code.retryable and attempts < budget:
        return RetryDecision(Status.PENDING, dead_letter=False)
    ended = Status.TIMED_OUT if code is FailureCode.TIMED_OUT else Status.FAILED
    return RetryDecision(ended, dead_letter=True)


def retry_delay_seconds(failed_attempts: int) -> float:
    """Exponential backoff before the next attempt: 1, 2, 4, … at most 60 seconds."""
    return float(min(2 ** max(failed_attempts - 1, 0), LONGEST_DELAY_SECONDS))
