"""The loopback server: in a thread of this process (`Loopback`), or as a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from grpclib import GRPCError, Status
from grpclib.server import Server
from modal_proto import api_pb2

from tests.modal_loopback.answers import Answer, InServer
from tests.modal_loopback.blobs import MAX_BYTES, Blobs
from tests.modal_loopback.calls import Calls
from tests.modal_loopback.containers import Containers
from tests.modal_loopback.faults import Fault
from tests.modal_loopback.injections import INJECTED_LIST, Injected, Injections, Match
from tests.modal_loopback.journal import Event, Journal
from tests.modal_loopback.materials import Dicts, Materials
from tests.modal_loopback.objects import Objects
from tests.modal_loopback.wire import Rpcs, caller

HOST = "127.0.0.1"
TOKEN = ("ak-loopback", "as-loopback")
START_SECONDS = STOP_SECONDS = 60.0  # on a machine that is busy with tests


def client_environment(url: str) -> dict[str, str]:
    """What makes the SDK of a process talk to the server at ``url``, and to nothing else."""
    return {
        "MODAL_SERVER_URL": url,
        "MODAL_TOKEN_ID": TOKEN[0],
        "MODAL_TOKEN_SECRET": TOKEN[1],
        "MODAL_DISABLE_API_PROXY": "1",
        "MODAL_CONFIG_PATH": os.devnull,
        "NO_PROXY": f"{HOST},localhost",
        "no_proxy": f"{HOST},localhost",
    }


@dataclass(frozen=True)
class Declared:
    """A class as it was deployed: what Modal was asked for, and how its image would be built."""

    function: api_pb2.Function
    image: list[str]
    volumes: dict[str, str]  # path -> name


class Service:
    """Everything the server is, inside an event loop."""

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        answer: Answer | None = None,
        secrets: dict[str, dict[str, str]] | None = None,
        max_containers: int | None = None,
        preload: Sequence[str] = (),
    ) -> None:
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        self._port = port
        self.journal = Journal(folder / "events.jsonl")
        self.requests: Counter[str] = Counter()  # by RPC, of clients and containers
        self.injections = Injections()
        self.blobs = Blobs(folder)
        self.materials = Materials(folder, self.blobs, secrets or {})
        self.objects = Objects(self.materials, self.journal)
        self.calls = Calls(self.objects, self.blobs, self.injections, self.journal)
        limit = max_containers or max(2, os.cpu_count() or 1)
        self.containers = Containers(
            self.calls, self.objects, self.materials, self.journal, folder, limit=limit, preload=preload
        )
        self.calls.runner = InServer(self.calls, answer) if answer else self.containers
        services = (self.objects, self.materials, Dicts(), self.blobs, self.calls, self.containers)
        self._rpcs = Rpcs(services, self._admit)
        self._grpc = Server([self._rpcs])
        self._http: web.AppRunner | None = None
        self.url = self.control = ""

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        app = web.Application(client_max_size=MAX_BYTES)
        app.add_routes([*self.blobs.routes(), *self._control_routes()])
        self._http = web.AppRunner(app, access_log=None)
        await self._http.setup()
        site = web.TCPSite(self._http, HOST, 0)
        await site.start()
        self.control = self.blobs.base_url = f"http://{HOST}:{self._http.addresses[0][1]}"
        await self._grpc.start(HOST, self._port)
        # grpclib keeps its listening socket to itself.
        port = self._grpc._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        self.url = self.containers.server_url = f"http://{HOST}:{port}"

    async def stop(self) -> None:
        """Stop containers and listeners."""
        await self.containers.close()
        await self.calls.close()
        self._grpc.close()
        await self._grpc.wait_closed()
        self._rpcs.close_connections()
        if self._http is not None:
            await self._http.cleanup()
        self.journal.close()

    def _admit(self, method: str, request: object) -> None:
        self.requests[method] += 1
        who = caller.get()
        if not who.task and who.token != TOKEN:
            raise GRPCError(Status.UNAUTHENTICATED, "the token is not one of this server")
        class_name = self.calls.class_name_of(request)
        status = self.injections.refusal(method, class_name)
        if status is not None:
            self.journal.write("fault", fault="refused", method=method, class_name=class_name)
            raise GRPCError(Status[status], f"injected: {method} is {status}")

    def _control_routes(self) -> list[web.RouteDef]:
        return [
            web.get("/events", self._get_events),
            web.post("/faults", self._post_faults),
            web.delete("/faults", self._delete_faults),
            web.post("/release", self._post_release),
        ]

    async def _get_events(self, request: web.Request) -> web.Response:
        return web.json_response(
            self.journal.read(**request.query), dumps=lambda value: json.dumps(value, default=str)
        )

    async def _post_faults(self, request: web.Request) -> web.Response:
        try:
            injected = INJECTED_LIST.validate_json(await request.read())
        except ValueError as error:
            return web.Response(status=400, text=str(error))
        for one in injected:
            self.injections.add(one)
        return web.Response()

    async def _delete_faults(self, request: web.Request) -> web.Response:
        self.injections.clear()
        return web.Response()

    async def _post_release(self, request: web.Request) -> web.Response:
        self.calls.release()
        return web.Response()


class Loopback:
    """The server in a thread of this process, for as long as the context lasts."""

    def __init__(
        self,
        state_dir: Path,
        *,
        port: int = 0,
        answer: Answer | None = None,
        secrets: dict[str, dict[str, str]] | None = None,
        max_containers: int | None = None,
        preload: Sequence[str] = (),
    ) -> None:
        self._options: dict[str, Any] = {
            "port": port,
            "answer": answer,
            "secrets": secrets,
            "max_containers": max_containers,
            "preload": preload,
        }
        self._folder = state_dir
        self._thread = threading.Thread(target=self._run, name="modal-loopback", daemon=True)
        self._started = threading.Event()
        self._error: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._service: Service

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._started.wait(START_SECONDS) or self._error is not None:
            raise RuntimeError("the loopback Modal did not start") from self._error
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(STOP_SECONDS)
        if self._thread.is_alive():
            raise RuntimeError("the loopback Modal did not stop")

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        try:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            self._service = Service(self._folder, **self._options)
            await self._service.start()
        except BaseException as error:
            self._error = error
            raise
        finally:
            self._started.set()
        try:
            await self._stop.wait()
        finally:
            await self._service.stop()

    @property
    def url(self) -> str:
        """For ``MODAL_SERVER_URL``."""
        return self._service.url

    @property
    def control(self) -> str:
        """The URL of the HTTP control."""
        return self._service.control

    def client_environment(self) -> dict[str, str]:
        """For the environment of client processes."""
        return client_environment(self.url)

    def inject(self, fault: Fault, match: Match | None = None) -> None:
        """Let a fault befall the matching calls from now on."""
        # Through the same door as the file, so that what cannot be written is refused here too.
        injected = Injected.model_validate({"fault": fault, "match": match or Match()})
        self._in_loop(lambda: self._service.injections.add(injected))

    def clear(self) -> None:
        """No more faults for future calls."""
        self._in_loop(self._service.injections.clear)

    def release(self) -> None:
        """Let calls end that are pending until released."""
        self._in_loop(self._service.calls.release)

    def requests(self) -> Counter[str]:
        """How often each RPC was sent so far."""
        return Counter(self._service.requests)

    def in_workspace(self, name: str) -> None:
        """From now on the token is of this workspace: calls of another one are unknown."""

        def change() -> None:
            self._service.objects.workspace = name

        self._in_loop(change)

    def events(self, event: str | None = None, **details: Any) -> list[Event]:
        """What happened, in order: see the package's docstring."""
        return self._service.journal.read(event, **details)

    def declared(self, class_name: str) -> Declared:
        """How a class of a deployed app was declared."""
        objects, materials = self._service.objects, self._service.materials
        (definition,) = [
            function.definition
            for function in objects.functions.values()
            if function.definition.function_name == f"{class_name}.*"
        ]
        return Declared(definition, materials.dockerfile(definition), materials.volumes_of(definition))

    def serve(
        self,
        app_name: str,
        class_name: str,
        methods: Sequence[str],
        *,
        region: str = "us",
        gpu: tuple[str, int] | None = None,
    ) -> None:
        """Make a class known as if it were deployed, to be answered by ``answer``."""
        objects = self._service.objects
        self._in_loop(lambda: objects.serve(app_name, class_name, tuple(methods), region, gpu))

    @contextmanager
    def clients_here(self) -> Iterator[None]:
        """Let this process's own SDK talk to the server."""
        import modal

        new = client_environment(self.url)
        old = {name: os.environ.get(name) for name in new}
        os.environ.update(new)
        try:
            # One for the process: everything of the SDK uses it. An earlier server's may be left.
            modal.Client.from_env().close()
            client = modal.Client.from_env()
            try:
                yield
            finally:
                client.close()
        finally:
            for name, value in old.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value

    def _in_loop(self, work: Any) -> None:
        async def run() -> None:
            work()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(START_SECONDS)
