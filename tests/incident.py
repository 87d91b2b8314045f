"""The incident, replayed: what the predecessor did to the record, and what one reconciliation makes of it.

`make incident` runs it on the real tiny models, in real Dagster runs, and prints before and after:

- a model answers with an empty text in every region, and a router records that as failed;
- an old client writes its EU rows as ``eu-west`` and as ``EU``;
- a run is killed after its call was accepted, before it could read the answer.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import tempfile
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from beacon_pipeline.reconciliation.tick import SENSOR
from tests.beacon_pipeline.daemons import daemon_of, meanwhile
from tests.beacon_pipeline.instances import (
    COMPARING,
    accepted_calls,
    beacon_here,
    environment,
    report,
    switch_off,
    witness,
)
from tests.waiting import wait_for

ROUTER = (
    "UPDATE executions SET status = 'failed', answer = NULL, answer_kind = NULL, finish_reason = NULL, "
    "executed_region = NULL, provenance = NULL, failure_code = 'provider_error', "
    "failure_message = 'EMPTY_MODEL_RESPONSE: Provider returned empty response' WHERE answer_kind = 'empty'"
)
ROUTER_CALLS = "UPDATE calls SET replied = 0, truth = 'failed' WHERE model = 'tiny-mistral'"
OLD_CLIENT = "UPDATE executions SET region = ? WHERE region = 'eu' AND question = ?"
ASKS = {
    "questions": ["identity_basic", "geography_basic"],
    "models": [{"id": "tiny-mistral"}, {"id": "tiny-llama", "regions": ["eu"]}],
}
KILLED_ASKS = ("--region", "eu", "--model", "tiny-qwen", "--question", "taiwan_status")


@dataclass(frozen=True)
class Picture:
    """What the record says of both jobs together, and what the provider has been paid for."""

    by_status: dict[str, int]
    by_answer_kind: dict[str, int]
    by_region: dict[str, int]
    mismatches: int
    submitted: int  # items that the provider accepted
    generated: int  # items that it generated

    @property
    def unsettled(self) -> int:
        return self.by_status["pending"] + self.by_status["dispatched"]


@dataclass(frozen=True)
class Replay:
    before: Picture
    after: Picture
    said: str  # by `beacon reconcile`
    agreed: bool


def replay(folder: Path) -> Replay:
    """Replay the incident on an instance in ``folder``."""
    env = environment(folder)
    jobspec = folder / "asks.yaml"
    jobspec.write_text(json.dumps(ASKS))
    switch_off(env, SENSOR, COMPARING)  # the command heals
    with daemon_of(env):
        asked = beacon_here(env, "submit", str(jobspec))
        assert asked.exit_code == 0, asked.stderr
        first = report(env)["job"]
        with meanwhile(_kill_a_run_when_its_call_is_accepted, env, len(accepted_calls(env))) as killing:
            killed = beacon_here(env, "run", *KILLED_ASKS, "--new-job")
        killing.result()
        assert killed.exit_code == 1, killed.stderr
        second = report(env)["job"]
        _damage(Path(env["DAGSTER_HOME"]) / "ledger.db")
        before = _picture(env, first, second)
        healed = beacon_here(env, "reconcile")
    return Replay(before, _picture(env, first, second), healed.stdout + healed.stderr, healed.exit_code == 0)


def _kill_a_run_when_its_call_is_accepted(env: dict[str, str], known: int) -> None:
    wait_for("accepted call", lambda: len(accepted_calls(env)) > known, every=0.02)
    os.kill(accepted_calls(env)[-1]["process"], signal.SIGKILL)


def _damage(ledger: Path) -> None:
    with closing(sqlite3.connect(ledger)) as connection, connection:
        connection.execute(ROUTER)
        connection.execute(ROUTER_CALLS)
        connection.execute(OLD_CLIENT, ("eu-west", "identity_basic"))
        connection.execute(OLD_CLIENT, ("EU", "geography_basic"))


def _picture(env: dict[str, str], *jobs: str) -> Picture:
    reports = [report(env, "--job", job) for job in jobs]

    def summed(name: str) -> dict[str, int]:
        total: Counter[str] = Counter()
        for told in reports:
            total.update(told[name])
        return {word: total[word] for word in total}

    return Picture(
        by_status=summed("by_status"),
        by_answer_kind=summed("by_answer_kind"),
        by_region=summed("by_region"),
        mismatches=sum(told["mismatches"] for told in reports),
        submitted=sum(len(call["items"]) for call in witness(env, "submissions")),
        generated=len(witness(env, "generations")),
    )


def _table(told: Replay) -> Table:
    table = Table("", "before", "after", title="the incident, replayed")
    rows: dict[str, Any] = {
        "status": "by_status",
        "answer kind": "by_answer_kind",
        "region": "by_region",
        "mismatches": "mismatches",
        "items submitted to the provider": "submitted",
        "items generated": "generated",
    }
    for name, attribute in rows.items():
        table.add_row(name, *(_told(getattr(picture, attribute)) for picture in (told.before, told.after)))
    return table


def _told(value: dict[str, int] | int) -> str:
    if isinstance(value, int):
        return str(value)
    return "\n".join(f"{count} {word}" for word, count in value.items() if count)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        told = replay(Path(folder))
    console = Console()
    console.print(_table(told))
    console.print(told.said.strip(), highlight=False)


if __name__ == "__main__":
    main()
