"""What went wrong, out of an error as Dagster keeps it."""

from __future__ import annotations

from typing import Protocol

from beacon_pipeline.environment import masked
from beacon_pipeline.escaping import one_line


class KeptError(Protocol):
    """Dagster's record of an exception; it has no public name for it."""

    @property
    def message(self) -> str: ...

    @property
    def cause(self) -> KeptError | None: ...


def innermost(error: KeptError) -> str:
    """The message of the exception that began it, on one line: Dagster wraps those of user code."""
    while error.cause is not None:
        error = error.cause
    # `Failure` only means that the code raised it on purpose.
    return one_line(masked(error.message.removeprefix("dagster._core.definitions.events.Failure: ")))
