"""How writing to the ledger went, kept beyond the process that wrote.

Counts are added to the ledger when a process is done with it. When that is what cannot be written,
they wait in a folder of this machine for the next one: a failure that only its victim knows of
would make every success rate a lie.
"""

from __future__ import annotations

import json
import uuid
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from beacon_pipeline.ledger.database import LedgerUnavailable, WriteCounts
from beacon_pipeline.ledger.parts.part import Part
from beacon_pipeline.ledger.rows import write_counts_table


class Writes(Part):
    """How writing goes."""

    def take(self) -> WriteCounts:
        """How the transactions of this object went since this was last asked."""
        return self._database.take_counts()

    def record(self, counts: WriteCounts) -> None:
        """Add to what is kept of this hour."""
        hour = self._clock().replace(minute=0, second=0, microsecond=0)
        values = {"hour": hour, **asdict(counts)}
        insert = self._database.insert(write_counts_table).values(values)
        added = {name: write_counts_table.c[name] + insert.excluded[name] for name in asdict(counts)}
        upsert = insert.on_conflict_do_update(index_elements=["hour"], set_=added)
        self._database.write_uncounted(lambda c: c.execute(upsert))


def keep_write_counts(writes: Writes, waiting: Path) -> None:
    """Add these counts, and those in the folder ``waiting``, to what is on record. Never raises
    LedgerUnavailable: what cannot be written now waits."""
    counts = writes.take()
    claimed = _claim(waiting)
    for path in claimed:
        counts += _read(path)
    if counts == WriteCounts():
        return
    try:
        writes.record(counts)
    except LedgerUnavailable:
        waiting.mkdir(parents=True, exist_ok=True)
        path = waiting / f"{uuid.uuid4()}.new"
        try:
            path.write_text(json.dumps(asdict(counts)), encoding="utf-8")
            path.rename(path.with_suffix(".json"))
        except OSError:
            path.unlink(missing_ok=True)  # the disk is full, for the counts too
            raise
    for path in claimed:
        path.unlink()


def _claim(waiting: Path) -> list[Path]:
    # Renaming is what only one of several processes can do: nothing is counted twice.
    claimed = []
    for path in waiting.glob("*.json"):
        with suppress(FileNotFoundError):
            claimed.append(path.rename(path.with_suffix(".claimed")))
    return claimed


def _read(path: Path) -> WriteCounts:
    return WriteCounts(**json.loads(path.read_text(encoding="utf-8")))
