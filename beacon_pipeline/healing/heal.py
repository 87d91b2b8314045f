"""Heal the whole record now, and wait until it is done: what `beacon reconcile` does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import dagster as dg

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.healing.runs import HEALING_RUNS, HealingRun
from beacon_pipeline.healing.tick import Cursor, Reconciliation, Tick
from beacon_pipeline.launch import launch_runs
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.resources import ProvidersResource

Wait = Callable[[Sequence[str]], None]
"""Returns when all of these runs have ended."""


@dataclass(frozen=True)
class Pass:
    """One look at the whole record."""

    runs: tuple[HealingRun, ...]
    waiting: int
    gave_up: int
    unknown: int  # partitions that Dagster shows and the ledger knows nothing of

    @property
    def by_healing(self) -> dict[str, int]:
        """How many executions have a run requested, by what heals them."""
        counts: Counter[str] = Counter()
        for run in self.runs:
            counts[run.healing.value] += len(run.executions)
        return dict(sorted(counts.items()))


def look(
    ledger: Ledger,
    instance: dg.DagsterInstance,
    catalog: Catalog,
    providers: ProvidersResource,
    *,
    untouched_for: timedelta,
) -> Pass:
    """Look at everything on record once, settling what a write can settle."""
    ticks: list[Tick] = []
    requested: dict[str, HealingRun] = {}
    cursor = Cursor()
    while not ticks or not cursor.is_at_start:
        looking = Reconciliation(
            ledger, instance, catalog, providers, deadline=untouched_for, runs_a_tick=None
        )
        tick = looking.tick(cursor)
        ticks.append(tick)
        requested |= {run.wrong: run for run in tick.runs}
        cursor = tick.cursor
    waiting, gave_up = sum(t.waiting for t in ticks), sum(t.gave_up for t in ticks)
    unknown = {key for tick in ticks for key in tick.unknown}
    return Pass(tuple(requested.values()), waiting, gave_up, len(unknown))


def heal(
    ledger: Ledger,
    instance: dg.DagsterInstance,
    catalog: Catalog,
    providers: ProvidersResource,
    *,
    untouched_for: timedelta,
    wait: Wait,
) -> list[Pass]:
    """Look, launch the runs that heal, wait for them, and look again until a look finds nothing.

    Returns every look; the last one tells what could not be healed. Raises LaunchError.
    """
    passes: list[Pass] = []
    for _ in range(HEALING_RUNS + 1):
        seen = look(ledger, instance, catalog, providers, untouched_for=untouched_for)
        passes.append(seen)
        if not seen.runs:
            break
        wait(launch_runs([run.launch(catalog) for run in seen.runs]))
    return passes
