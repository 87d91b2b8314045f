"""What became of a call, and why one as a whole has no reply."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from inference.contract.status import CallStatus, FailureCode
from inference.contract.values import Value


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
