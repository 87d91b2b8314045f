"""The loopback server as a process of its own, with the methods of `Loopback` over HTTP."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tests.modal_loopback.faults import Fault
from tests.modal_loopback.injections import Injected, Match
from tests.modal_loopback.journal import Event
from tests.modal_loopback.server import STOP_SECONDS, client_environment

REPOSITORY = Path(__file__).parents[2]


class LoopbackProcess:
    """Runs ``python -m tests.modal_loopback --state-dir STATE_DIR ARGUMENTS`` while the context lasts.

    It is out of reach of this terminal's Ctrl-C, and ends when this process does, however that ends.
    """

    def __init__(self, state_dir: Path, *arguments: str) -> None:
        command = ["-m", "tests.modal_loopback", "--until-eof", "--state-dir", str(state_dir), *arguments]
        self._command = [sys.executable, *command]
        self._process: subprocess.Popen[str]
        self._http: httpx.Client
        self.url = self.control = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            process_group=0,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the loopback Modal did not start: exit code {self._process.wait()}")
        said = json.loads(line)
        self.url, self.control = said["url"], said["control"]
        self._http = httpx.Client(base_url=self.control, trust_env=False)
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()
        with self._process:  # closes its pipes
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                raise

    @property
    def pid(self) -> int:
        """For measuring the server itself."""
        return self._process.pid

    def client_environment(self) -> dict[str, str]:
        """For the environment of client processes."""
        return client_environment(self.url)

    def inject(self, fault: Fault, match: Match | None = None) -> None:
        """Let a fault befall the matching calls from now on."""
        injected = Injected.model_validate({"fault": fault, "match": match or Match()})
        self._http.post("/faults", json=[injected.model_dump(mode="json")]).raise_for_status()

    def clear(self) -> None:
        """No more faults for future calls."""
        self._http.delete("/faults").raise_for_status()

    def release(self) -> None:
        """Let calls end that are pending until released."""
        self._http.post("/release").raise_for_status()

    def events(self, event: str | None = None, **details: str) -> list[Event]:
        """What happened, in order: see the package's docstring."""
        query = details if event is None else {"event": event, **details}
        found: list[dict[str, Any]] = self._http.get("/events", params=query).raise_for_status().json()
        return found
