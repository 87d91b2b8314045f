"""Real places on loopback where alerts arrive: a webhook, a mail server, and one that never answers."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller

from tests.ports import free_port


class Webhook:
    """Keeps what is posted to it, until it has ``holds_after``: the next one waits for an answer."""

    def __init__(self, port: int = 0) -> None:
        self.received: list[dict[str, Any]] = []
        self.holds_after: int | None = None
        self.holding = threading.Event()
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if len(webhook.received) == webhook.holds_after:
                    webhook.holding.set()
                    self.rfile.read(1)  # the sender goes away
                    return
                webhook.received.append(body)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self.server.server_port

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.port}/hooks/SECRETTOKEN"

    @property
    def titles(self) -> list[str]:
        return [message["title"] for message in self.received]


@contextmanager
def webhook(port: int = 0) -> Iterator[Webhook]:
    made = Webhook(port)
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()
        thread.join()


class Mailbox:
    """Keeps the subject and the text of every mail."""

    def __init__(self) -> None:
        self.received: list[tuple[str, str]] = []

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:
        mail = message_from_bytes(envelope.content, policy=policy.default)
        text = mail.get_body(("plain", "html"))
        assert text is not None
        self.received.append((str(mail["subject"]), text.get_content()))
        return "250 OK"

    @property
    def titles(self) -> list[str]:
        return [subject for subject, _ in self.received]


@contextmanager
def mail_server() -> Iterator[tuple[Mailbox, str]]:
    """A mailbox and the Apprise URL that sends to it."""
    mailbox = Mailbox()
    controller = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        yield (
            mailbox,
            f"mailto://127.0.0.1:{controller.port}/?from=beacon@example.org&to=oncall@example.org&mode=insecure",
        )
    finally:
        controller.stop()


@contextmanager
def silent_server() -> Iterator[str]:
    """The Apprise URL of a server that takes a connection and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"json://127.0.0.1:{server.getsockname()[1]}/?rto=1"
