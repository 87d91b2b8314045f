"""A provider that loses, delays and forgets: durable, shared by all processes, drawn from a seed.

It lives in one SQLite file of its own, which no disturbance touches: that file is the witness of
what was accepted, what was generated and what was truly lost.
"""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from inference.contract import (
    CallFailure,
    CallState,
    CallStatus,
    Deployment,
    FailureCode,
    FinishReason,
    ItemAnswer,
    ItemFailure,
    ItemResult,
    Reply,
    ReplyUnavailable,
    Request,
    SubmitUnknown,
    token_digest,
)
from tests.inference.provenance import made_up_provenance

TABLES = """
CREATE TABLE IF NOT EXISTS calls (
    ordinal INTEGER PRIMARY KEY, request_id TEXT UNIQUE NOT NULL, items TEXT NOT NULL, region TEXT NOT NULL,
    fate TEXT NOT NULL, ready_at REAL NOT NULL, submissions INTEGER NOT NULL DEFAULT 1,
    fetches INTEGER NOT NULL DEFAULT 0, cancelled INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS control (name TEXT PRIMARY KEY, value REAL NOT NULL);
"""

# How calls go, and how many of a hundred: what is not "answered", "late" or "partial" is truly lost.
FATES = {"answered": 45, "late": 20, "partial": 15, "worker_lost": 8, "timed_out": 6, "expired": 6}
LOST = {
    "worker_lost": (CallStatus.FAILED, FailureCode.WORKER_LOST),
    "timed_out": (CallStatus.TIMED_OUT, FailureCode.TIMED_OUT),
    "expired": (CallStatus.EXPIRED, FailureCode.EXPIRED),
}
LONGEST_SECONDS = {"late": 15.0}
OTHERWISE_SECONDS = 4.0
CLOCK_SKEW_SECONDS = 3600.0  # of the times that replies report
LATE_FETCHES = 2  # of a late reply, which find nothing

SECOND_IDS = 0.5  # of repeated submits are given another id, which leads to the call of the first
SLOWEST_ANSWER_SECONDS = (
    2.0  # to a submit, after the call was taken: a process may die meanwhile, or a rival ask
)

LOSSES_END_AFTER = 12  # calls: from then on nothing is lost, so that every budget suffices


@dataclass(frozen=True)
class Accepted:
    """A call that the provider took."""

    ordinal: int
    request_id: str
    items: tuple[str, ...]
    region: str
    fate: str
    ready_at: float
    submissions: int
    fetches: int
    cancelled: bool

    def text(self, seed: int, item: str) -> str | None:
        """The answer generated for an item; empty now and then; None where it was truly lost."""
        dice = random.Random(f"{seed}:{self.ordinal}:{self.items.index(item)}")
        if self.fate in LOST or (self.fate == "partial" and dice.random() < 0.3):
            return None
        return "" if dice.random() < 0.05 else f"answer {self.ordinal} to {item}"


class ChaosProvider:
    """The provider, as one process sees it; ``path`` is what all of them share."""

    name = "local"
    durable = True

    def __init__(self, path: Path, seed: int) -> None:
        self._path, self._seed = path, seed
        with self._database() as database:
            for statement in TABLES.split(";"):
                database.execute(statement)

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._path, timeout=60, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        finally:
            connection.close()

    def cut_off(self, seconds: float) -> None:
        """Nobody reaches the provider for so long; what it runs goes on."""
        with self._database() as database:
            values = ("unreachable_until", time.time() + seconds)
            database.execute("INSERT OR REPLACE INTO control VALUES (?, ?)", values)

    def accepted(self) -> list[Accepted]:
        """Everything that was ever accepted, in order."""
        with self._database() as database:
            return [_read(row) for row in database.execute("SELECT * FROM calls ORDER BY ordinal")]

    def _is_cut_off(self, database: sqlite3.Connection) -> bool:
        row = database.execute("SELECT value FROM control WHERE name = 'unreachable_until'").fetchone()
        return row is not None and time.time() < row[0]

    def _call(self, database: sqlite3.Connection, call_id: str) -> Accepted:
        found = database.execute("SELECT * FROM calls WHERE request_id = ?", [_request_of(call_id)])
        return _read(found.fetchone())

    def check_configured(self, *deployments: Deployment) -> None:
        pass

    async def submit(self, request: Request) -> str:
        return await asyncio.to_thread(self._submit, request)

    def _submit(self, request: Request) -> str:
        with self._database() as database:
            if self._is_cut_off(database):
                raise SubmitUnknown("connection refused")
            again = "UPDATE calls SET submissions = submissions + 1 WHERE request_id = ?"
            if database.execute(again, [request.id]).rowcount:
                call = self._call(database, request.id)
                dice = random.Random(f"{self._seed}:{call.ordinal}:{call.submissions}:id")
                second = dice.random() < SECOND_IDS
                return f"{request.id}#{call.submissions}" if second else request.id
            ordinal = database.execute("SELECT count(*) FROM calls").fetchone()[0]
            dice = random.Random(f"{self._seed}:{ordinal}")
            fate = dice.choices(list(FATES), list(FATES.values()))[0]
            if ordinal >= LOSSES_END_AFTER and fate in LOST:
                fate = "answered"
            ready_at = time.time() + dice.uniform(0, LONGEST_SECONDS.get(fate, OTHERWISE_SECONDS))
            items = json.dumps([item.id for item in request.items])
            database.execute(
                "INSERT INTO calls (ordinal, request_id, items, region, fate, ready_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                [ordinal, request.id, items, request.deployment.region, fate, ready_at],
            )
            answer_is_lost = dice.random() < 0.3
        time.sleep(dice.uniform(0, SLOWEST_ANSWER_SECONDS))
        if answer_is_lost:
            raise SubmitUnknown("connection reset after the call was accepted")
        return request.id

    async def poll(self, call_id: str) -> CallState:
        return await asyncio.to_thread(self._poll, call_id)

    def _poll(self, call_id: str) -> CallState:
        with self._database() as database:
            if self._is_cut_off(database):
                return CallState(status=CallStatus.UNREACHABLE, detail="connection refused")
            call = self._call(database, call_id)
        if call.cancelled:
            return _ended(CallStatus.CANCELLED, FailureCode.CANCELLED)
        if time.time() < call.ready_at:
            return CallState(status=CallStatus.PENDING)
        return _ended(*LOST[call.fate]) if call.fate in LOST else CallState(status=CallStatus.SUCCEEDED)

    async def fetch(self, call_id: str, request: Request) -> Reply:
        return await asyncio.to_thread(self._fetch, call_id, request)

    def _fetch(self, call_id: str, request: Request) -> Reply:
        with self._database() as database:
            if self._is_cut_off(database):
                raise ReplyUnavailable("connection refused")
            fetched = "UPDATE calls SET fetches = fetches + 1 WHERE request_id = ?"
            database.execute(fetched, [_request_of(call_id)])
            call = self._call(database, call_id)
        if call.fate == "late" and call.fetches <= LATE_FETCHES:
            raise ReplyUnavailable("connection reset while the reply came in")
        skew = random.Random(f"{self._seed}:{call.ordinal}:clock").uniform(-1, 1) * CLOCK_SKEW_SECONDS
        finished_at = datetime.fromtimestamp(call.ready_at, UTC) + timedelta(seconds=skew)
        return Reply(
            version=1,
            request_id=request.id,
            region=call.region,
            cloud=None,
            task_id=f"task-{call.ordinal}",
            cold_start=False,
            started_at=finished_at - timedelta(seconds=1),
            finished_at=finished_at,
            provenance=made_up_provenance("chaos", len(call.items)),
            items=tuple(self._result(call, item) for item in call.items),
        )

    def _result(self, call: Accepted, item: str) -> ItemResult:
        text = call.text(self._seed, item)
        if text is None:
            return ItemFailure(id=item, code=FailureCode.OUT_OF_MEMORY, message="truly lost")
        return ItemAnswer(
            id=item,
            text=text,
            finish_reason=FinishReason.STOP,
            prompt_tokens=3,
            output_tokens=len(text),
            output_token_sha256=token_digest([len(text)]),
            seconds=0.1,
        )

    async def cancel(self, call_id: str) -> None:
        with self._database() as database:
            database.execute("UPDATE calls SET cancelled = 1 WHERE request_id = ?", [_request_of(call_id)])

    async def close(self) -> None:
        pass


def _request_of(call_id: str) -> str:
    """The request whose first call an id leads to."""
    return call_id.partition("#")[0]


def _read(row: tuple[object, ...]) -> Accepted:
    ordinal, request_id, items, region, fate, ready_at, submissions, fetches, cancelled = row
    assert isinstance(items, str)
    return Accepted(
        int(str(ordinal)),
        str(request_id),
        tuple(json.loads(items)),
        str(region),
        str(fate),
        float(str(ready_at)),
        int(str(submissions)),
        int(str(fetches)),
        bool(cancelled),
    )


def _ended(call_status: CallStatus, code: FailureCode) -> CallState:
    return CallState(status=call_status, failure=CallFailure(code=code, message="truly lost"))
