"""Calls answered in the server by a callable: nothing but the protocol in between, so thousands are cheap."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.modal_loopback.calls import Calls, FunctionCall
from tests.modal_loopback.payloads import failure, success, terminated
from tests.modal_loopback.places import place


@dataclass(frozen=True)
class Call:
    """What a function was called with. ``region`` is where its class is placed, as a cloud writes it."""

    call_id: str
    class_name: str
    method: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    region: str


Answer = Callable[[Call], object]


class InServer:
    """A runner without containers."""

    def __init__(self, calls: Calls, answer: Answer) -> None:
        self._calls = calls
        self._answer = answer

    def submit(self, call: FunctionCall) -> None:
        self._calls.handed_over(call, None)
        asked = Call(
            call_id=call.id,
            class_name=call.function.class_name,
            method=call.method,
            args=call.arguments.args,
            kwargs=call.arguments.kwargs,
            region=place(call.function.definition).region,
        )
        try:
            outcome = success(self._answer(asked), call.input.data_format)
        except Exception as error:  # noqa: BLE001 - whatever a function raises is its outcome
            outcome = failure(error, call.input.data_format)
        self._calls.end(call, outcome)

    def cancel(self, call: FunctionCall, *, kill: bool) -> None:
        self._calls.end(call, terminated())

    async def close(self) -> None:
        """Nothing is kept."""
