"""The protocol of whatever runs inference."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from inference.contract.call_state import CallState
from inference.contract.reply import Reply
from inference.contract.request import Deployment, Request


@runtime_checkable
class Provider(Protocol):
    """What runs inference. All methods are coroutines; none blocks the event loop.

    ``durable``: a call outlives the asker. Submitting one request id twice gives one execution,
    and its call id can be polled from another process later.

    `tests/inference/conformance.py` holds every provider to this; whoever adds one runs it.
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
