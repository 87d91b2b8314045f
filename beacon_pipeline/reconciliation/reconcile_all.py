"""Heal the whole record now, and wait until it is done: what `beacon reconcile` does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import dagster as dg

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.execution.resources import ProvidersResource
from beacon_pipeline.instance.dead_runs import end_dead_runs
from beacon_pipeline.jobs.dagster_api import Launch, launch_runs
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.reconciliation.repair_runs import HEALING_RUNS, HealingRun
from beacon_pipeline.reconciliation.request_again import failed_runs_to_repeat
from beacon_pipeline.reconciliation.tick import Cursor, Reconciliation, Tick
from beacon_pipeline.reconciliation.unchecked import check_runs

Wait = Callable[[Sequence[str]], None]
"""Returns when all of these runs have ended."""


@dataclass(frozen=True)
class Pass:
    """One look at the whole record."""

    runs: tuple[HealingRun, ...]
    waiting: int
    gave_up: int
    unknown: int  # partitions that Dagster shows and the ledger knows nothing of
    settled: int = 0  # executions that left the catalog, by what their provider has
    checks: tuple[Launch, ...] = ()  # runs that ask no model: checks that a dead run owes, what failed before

    @property
    def by_healing(self) -> dict[str, int]:
        """How many executions have a run requested, by what heals them."""
        counts: Counter[str] = Counter()
        for run in self.runs:
            counts[run.repair.value] += len(run.executions)
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
    end_dead_runs(instance)  # or what they worked on would pass for being under way
    ticks: list[Tick] = []
    requested: dict[str, HealingRun] = {}
    unchecked: dict[str, int] = {}
    cursor, through = Cursor(), Through()
    while not through.all:
        looking = Reconciliation(
            ledger, instance, catalog, providers, deadline=untouched_for, runs_a_tick=None
        )
        tick = looking.tick(cursor)
        ticks.append(tick)
        requested |= {run.fingerprint: run for run in tick.runs}
        unchecked |= tick.unchecked
        through = through.after(cursor, tick.cursor)
        cursor = tick.cursor
    return Pass(
        tuple(requested.values()),
        waiting=len(set[str]().union(*(tick.waiting for tick in ticks))),
        gave_up=len(set[str]().union(*(tick.gave_up for tick in ticks))),
        unknown=len({key for tick in ticks for key in tick.unknown}),
        settled=len(set[str]().union(*(tick.settled for tick in ticks))),
        checks=(*check_runs(catalog, unchecked), *failed_runs_to_repeat(instance).values()),
    )


@dataclass(frozen=True)
class Through:
    """Which walks have come to the end of the record: each begins again by itself, at its own time."""

    overdue: bool = False
    unconfirmed: bool = False
    swept: bool = False
    ended_runs: bool = False

    @property
    def all(self) -> bool:
        return self.overdue and self.unconfirmed and self.swept and self.ended_runs

    def after(self, before: Cursor, cursor: Cursor) -> Through:
        """What is through after a tick that moved the walks from ``before`` to ``cursor``."""
        return Through(
            self.overdue or cursor.overdue is None,
            self.unconfirmed or cursor.unconfirmed is None,
            self.swept or cursor.swept == 0,
            self.ended_runs or cursor.ended_runs == before.ended_runs,
        )


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

    Returns every look; the last one has what could not be healed. Raises LaunchError.
    """
    passes: list[Pass] = []
    for _ in range(HEALING_RUNS + 1):
        seen = look(ledger, instance, catalog, providers, untouched_for=untouched_for)
        passes.append(seen)
        launches = [*(run.launch(catalog) for run in seen.runs), *seen.checks]
        if not launches:
            break
        wait(launch_runs(instance, launches))
    return passes
