"""Where the local provider keeps its calls: small files, each written whole or not at all.

A call is a folder named by its request id::

    request.json    the request: the call is accepted when this exists
    started.json    when and where generation began
    results.jsonl   one line for each item that is done, flushed to the disk before the next begins
    end.json        the end of the call: its reply's frame, or why there is none
    cancel          somebody wants it stopped
    owner.lock      held, by the operating system, by the process that runs it

Beside the calls, ``submissions.jsonl`` and ``generations.jsonl`` tell everything that was ever
accepted and generated: a witness that nothing was run twice. A submission's line comes before its
call, so a crash in between leaves one too many, never one too few.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import TypeAdapter

from inference.contract import CallState, ItemAnswer, ItemFailure, ItemResult, Request, Value

_RESULT: TypeAdapter[ItemAnswer | ItemFailure] = TypeAdapter(ItemResult)
_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class CorruptCall(Exception):
    """A file of a call cannot be read; the message names it."""


class Started(Value):
    """When a call's generation began, and in which process."""

    at: datetime
    task_id: str
    cold: bool


class CallFolder:
    """The files of one call."""

    def __init__(self, store: Path, call_id: str) -> None:
        if not _ID.fullmatch(call_id) or call_id.startswith("."):
            raise ValueError(f"a call id cannot be {call_id!r}")
        self.call_id = call_id
        self._store = store
        self._folder = store / "calls" / call_id

    def accept(self, request: Request) -> bool:
        """Keep the request; returns whether it is new. The first one stands."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self._folder / "accept.lock"):
            if self.is_accepted:
                return False
            self._append(
                self._store / "submissions.jsonl",
                {
                    "call": self.call_id,
                    "items": [item.id for item in request.items],
                    "process": os.getpid(),
                },
            )
            self._write("request.json", request.model_dump_json())
            return True

    @property
    def is_accepted(self) -> bool:
        return (self._folder / "request.json").exists()

    def request(self) -> Request:
        """The request that was accepted. Raises CorruptCall."""
        try:
            return Request.model_validate_json(self._read("request.json"))
        except ValueError as error:
            raise CorruptCall(f"{self._folder / 'request.json'} is not a request") from error

    def own(self) -> FileLock | None:
        """The lock of whoever runs this call, or None while a living process holds it."""
        lock = FileLock(self._folder / "owner.lock", thread_local=False)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return None
        return lock

    def start(self, started: Started) -> Started:
        """Keep when the call started; the first start stands."""
        if not (self._folder / "started.json").exists():
            self._write("started.json", started.model_dump_json())
        try:
            return Started.model_validate_json(self._read("started.json"))
        except ValueError as error:
            raise CorruptCall(f"{self._folder / 'started.json'} is not a start") from error

    def keep(self, result: ItemAnswer | ItemFailure) -> None:
        """Add a result. It is on the disk when this returns."""
        self._append(self._folder / "results.jsonl", result.model_dump(mode="json"))
        self._append(
            self._store / "generations.jsonl",
            {"call": self.call_id, "item": result.id, "process": os.getpid()},
        )

    def results(self) -> dict[str, ItemAnswer | ItemFailure]:
        """The results so far, by item id. A line that a crash cut off is as if never written."""
        return {result.id: result for result in self._result_lines()}

    def _result_lines(self) -> Iterator[ItemAnswer | ItemFailure]:
        with suppress(FileNotFoundError):
            for line in (self._folder / "results.jsonl").read_bytes().split(b"\n"):
                with suppress(ValueError):
                    yield _RESULT.validate_python(json.loads(line))

    def end(self, state: CallState, reply: dict[str, Any] | None = None) -> None:
        """Keep how the call ended."""
        self._write("end.json", json.dumps({"state": state.model_dump(mode="json"), "reply": reply}))

    def ended(self) -> tuple[CallState, dict[str, Any] | None] | None:
        """How the call ended and its reply, or None while it has not. Raises CorruptCall."""
        if not (self._folder / "end.json").exists():
            return None
        try:
            kept = json.loads(self._read("end.json"))
            return CallState.model_validate(kept["state"]), kept["reply"]
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptCall(f"{self._folder / 'end.json'} does not say how the call ended") from error

    def request_cancel(self) -> None:
        """Keep that the call is to stop."""
        (self._folder / "cancel").touch()

    def is_cancel_requested(self) -> bool:
        """Whether somebody wants the call stopped, as of now."""
        return (self._folder / "cancel").exists()

    def _read(self, name: str) -> str:
        return (self._folder / name).read_text(encoding="utf-8", errors="surrogatepass")

    def _write(self, name: str, text: str) -> None:
        temporary = self._folder / f".{name}.{os.getpid()}"
        with temporary.open("w", encoding="utf-8", errors="surrogatepass") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._folder / name)

    def _append(self, path: Path, value: dict[str, Any]) -> None:
        # One write of one line: whole for every reader, and after a torn line a fresh one begins.
        with path.open("ab") as file:
            file.write(b"\n" * self._is_torn(path) + json.dumps(value).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    @staticmethod
    def _is_torn(path: Path) -> bool:
        with path.open("rb") as file:
            if file.seek(0, os.SEEK_END) == 0:
                return False
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
