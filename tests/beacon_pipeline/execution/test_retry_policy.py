"""What a failure means, for every code, and how long is waited before the next attempt."""

import pytest

from beacon_pipeline.execution.retry_policy import judge_failure, retry_delay_seconds
from beacon_pipeline.ledger.status import Status
from inference.contract import FailureCode


@pytest.mark.parametrize("code", list(FailureCode))
@pytest.mark.parametrize("attempts", [1, 2, 3])
def test_a_failure_ends_or_retries_within_the_budget(code: FailureCode, attempts: int) -> None:
    decision = judge_failure(code, attempts=attempts, budget=3)
    if code is FailureCode.CANCELLED:
        assert (decision.status, decision.dead_letter) == (Status.CANCELLED, False)
    elif code.retryable and attempts < 3:
        assert decision.retries
        assert (decision.status, decision.dead_letter) == (Status.PENDING, False)
    else:
        assert decision.dead_letter
        assert not decision.retries
        assert decision.status is (Status.TIMED_OUT if code is FailureCode.TIMED_OUT else Status.FAILED)


def test_backoff_doubles_and_is_bounded() -> None:
    assert [retry_delay_seconds(n) for n in (0, 1, 2, 3, 4, 50)] == [1, 1, 2, 4, 8, 60]
