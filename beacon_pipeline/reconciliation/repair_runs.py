"""The runs that heal: as few as there can be, each with a fingerprint of what it is for."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import dagster as dg

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.catalog.partitions import KeyRange, cells_between, key_ranges, rectangle
from beacon_pipeline.jobs.dagster_api import INFERENCE_JOB, Launch, run_tags
from beacon_pipeline.ledger.records import Cell, Execution
from beacon_pipeline.names import HEALING_REASON_TAG, HEALING_TAG, JOB_TAG, WRONG_TAG
from beacon_pipeline.reconciliation.inspect import Inspection
from beacon_pipeline.reconciliation.reconcile import Repair

HEALING_RUNS = 3  # for one fingerprint; if they change nothing, a fourth would not either

# Why a run is there, for a person, by the repair that needs one.
REASONS: Mapping[Repair, str] = {
    Repair.ATTACH: "the provider has a call for these executions that no run reads: "
    "its answer is read, no model is asked again",
    Repair.REDISPATCH: "these executions have no answer and no call that could still bring one: "
    "they are asked again, within the attempt budget",
    Repair.CORRECT_DAGSTER: "Dagster does not show the answer on record: "
    "the partition is materialized from the ledger, no model is asked",
}


@dataclass(frozen=True)
class HealingRun:
    """A run that heals: one job, one range of keys, one repair.

    ``tries`` counts the runs that were launched before for the same fingerprint.
    """

    job_name: str
    repair: Repair
    keys: KeyRange
    executions: tuple[Execution, ...]
    tries: int = 0

    @property
    def run_key(self) -> str:
        """Dagster launches one run for each key, ever: so it has the fingerprint and the try in it."""
        return f"{self.fingerprint}:{self.tries}"

    @property
    def fingerprint(self) -> str:
        """Names what is wrong, as it is now: when anything about it changes, so does the name."""
        seen = [
            f"{e.id} {e.status.value} {len(e.attempts)} {e.updated_at.isoformat()} {self.repair.value}"
            for e in self.executions
        ]
        return hashlib.sha256("\n".join(seen).encode()).hexdigest()[:16]

    @property
    def oldest(self) -> datetime:
        return min(execution.updated_at for execution in self.executions)

    def launch(self, catalog: Catalog) -> Launch:
        """The run, with tags that say why it is there."""
        tags = run_tags(catalog, self.job_name, self.keys)
        why = {
            HEALING_TAG: self.repair.value,
            HEALING_REASON_TAG: REASONS[self.repair],
            WRONG_TAG: self.fingerprint,
        }
        return Launch(INFERENCE_JOB, tags | why)


def healing_runs(
    catalog: Catalog,
    job_names: Mapping[str, str],
    examined: Iterable[Inspection],
    *,
    with_plan: Collection[str] = (),
) -> list[HealingRun]:
    """The fewest runs that heal these, oldest first. Pure. ``job_names`` is by the job's id.

    Of a job that is among those ``with_plan`` one run does all that there is to do, block by block in all
    regions, as its first did; it is named by the repair that comes first.
    """
    groups: dict[tuple[str, Repair], dict[Cell, list[Execution]]] = {}
    for one in examined:
        if one.repair.needs_run:
            group = groups.setdefault((one.execution.job_id, one.repair), {})
            group.setdefault(one.execution.cell, []).append(one.execution)
    runs = []
    for (job_id, repair), executions in groups.items():
        ranges = key_ranges(catalog, executions)
        if job_id in with_plan:
            if any((job_id, earlier) in groups for earlier in _ORDER[: _ORDER.index(repair)]):
                continue
            wrong = [group for (job, _), group in groups.items() if job == job_id]
            ranges = [rectangle(catalog, set[Cell]().union(*wrong))]
        for keys in ranges:
            cells = cells_between(catalog, keys.start, keys.end)
            found = tuple(execution for cell in cells for execution in executions.get(cell, ()))
            runs.append(HealingRun(job_names[job_id], repair, keys, found))
    return sorted(runs, key=lambda run: run.oldest)


_ORDER = (Repair.ATTACH, Repair.REDISPATCH, Repair.CORRECT_DAGSTER)  # of the repairs of one job with a plan


def tries_so_far(instance: dg.DagsterInstance, run: HealingRun) -> int:
    """How many runs have been launched for exactly this fingerprint."""
    return instance.get_runs_count(dg.RunsFilter(tags={WRONG_TAG: run.fingerprint, JOB_TAG: run.job_name}))
