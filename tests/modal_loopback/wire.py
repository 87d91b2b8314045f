"""gRPC by hand of grpclib: the published RPCs of Modal, served by plain coroutines of the same names."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple
from weakref import WeakSet

from grpclib import GRPCError, Status
from grpclib.const import Cardinality, Handler
from grpclib.protocol import Connection
from grpclib.server import Stream
from modal_proto.api_grpc import ModalClientBase

CONNECTION_LOSS_SECONDS = 10.0
TASK_HEADER = "x-loopback-task"


class Caller(NamedTuple):
    """Who sends a request."""

    idempotency_key: str
    task: str  # the container's id, or "" for a client
    token: tuple[str, str]

    @classmethod
    def read(cls, headers: Mapping[str, Any]) -> Caller:
        def header(name: str) -> str:
            return str(headers.get(name, ""))

        token = (header("x-modal-token-id"), header("x-modal-token-secret"))
        return cls(header("x-idempotency-key"), header(TASK_HEADER), token)


caller: ContextVar[Caller] = ContextVar("caller")


class AnswerLostOnTheWay(Exception):
    """Raised by a service whose work is done and whose answer must not arrive."""


class _Names:
    """Stands in for a service while the published table of RPCs is read: each method is its own name."""

    def __getattr__(self, name: str) -> str:
        return name


class Rpcs:
    """What `grpclib.server.Server` serves: of each published RPC, the service coroutine of that name.

    ``admit(method, request)`` is called before each; it raises GRPCError to refuse.
    """

    def __init__(self, services: Sequence[object], admit: Callable[[str, object], None]) -> None:
        self._services = services
        self._admit = admit
        self._connections: WeakSet[Connection] = WeakSet()

    def __mapping__(self) -> dict[str, Handler]:
        published: dict[str, Handler] = ModalClientBase.__mapping__(_Names())  # type: ignore[arg-type]
        served = {}
        for path, handler in published.items():
            name = str(handler.func)
            service = next((service for service in self._services if hasattr(service, name)), None)
            if service is not None:
                served[path] = handler._replace(func=self._serve(name, handler, getattr(service, name)))
        return served

    def _serve(self, name: str, handler: Handler, implementation: Callable[..., Any]) -> Callable[..., Any]:
        async def serve(stream: Stream[Any, Any]) -> None:
            # grpclib has no public way to lose a connection, nor does it close them when it stops.
            connection = stream._stream.connection
            self._connections.add(connection)
            request = await stream.recv_message()
            caller.set(Caller.read(stream.metadata or {}))
            self._admit(name, request)
            if handler.cardinality is Cardinality.UNARY_STREAM:
                async for reply in implementation(request):
                    await stream.send_message(reply)
                return
            try:
                await stream.send_message(await implementation(request))
            except AnswerLostOnTheWay:
                connection.close()
                await asyncio.sleep(CONNECTION_LOSS_SECONDS)  # cancelled by the loss
                raise GRPCError(Status.INTERNAL, "the connection was to be lost") from None

        return serve

    def close_connections(self) -> None:
        """Part with all clients."""
        for connection in list(self._connections):
            connection.close()
