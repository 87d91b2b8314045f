"""What a run of ``inference`` reports to Dagster about the executions that end in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import dagster as dg

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.catalog.partitions import key_of
from beacon_pipeline.execution.decide import on_record
from beacon_pipeline.instance.event_batches import in_one_batch
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Cell, Execution, Job
from beacon_pipeline.reconciliation.consistency import by_cell
from beacon_pipeline.reconciliation.metadata import Neighbours
from beacon_pipeline.reconciliation.view import (
    Known,
    evaluations_of,
    known_from,
    materialization_of,
    newest_materializations,
    observation_of_neighbours,
)

Asked = tuple[str, str]  # a model and a question


class PartitionsShown:
    """Shows a job's partitions: what came, what the checks find, what other regions answered."""

    def __init__(self, context: dg.AssetExecutionContext, ledger: Ledger, catalog: Catalog, job: Job) -> None:
        self._context, self._ledger, self._catalog, self._job = context, ledger, catalog, job
        self._known: Known = {}  # materializations that it wrote or read

    def show(
        self, whole: Sequence[Execution], without_answer: Sequence[Execution]
    ) -> Iterator[dg.AssetMaterialization]:
        """Show what has just ended: all executions of partitions that are ``whole``, and of others that ended
        without some answer. Then show what that means for earlier partitions: the answers of other regions.
        """
        completed = self._newest(whole)
        before = self._alike(completed)
        yield from self._materialize(by_cell(completed), before)
        self._show_to_neighbours([*completed, *without_answer], before)

    def _newest(self, completed: Sequence[Execution]) -> list[Execution]:
        """Those that no newer job has asked again: a partition shows its newest execution."""
        newest = {e.id for e in self._ledger.executions.newest([e.cell for e in completed])}
        older = sum(e.id not in newest for e in completed)
        if older:
            note = f"{older} executions are on record, and not shown: a newer job asked the same"
            self._context.log.info(note)
        return [e for e in completed if e.id in newest]

    def _alike(self, executions: Sequence[Execution]) -> dict[Asked, list[Execution]]:
        """The executions in every region, by the models and questions of these ones: the job's, and of
        regions that it does not ask the newest job's that did."""
        wanted = {_asked(e.cell) for e in executions}
        cells = {Cell(region.id, *asked) for region in self._catalog.regions for asked in wanted}
        own = self._ledger.executions.of_job(self._job.id, sorted(cells)) if wanted else []
        elsewhere = cells - {e.cell for e in own}
        others = self._ledger.executions.newest(sorted(elsewhere)) if elsewhere else ()
        found: dict[Asked, list[Execution]] = {}
        for execution in [*own, *others]:
            found.setdefault(_asked(execution.cell), []).append(execution)
        return found

    def _materialize(
        self, cells: Mapping[Cell, Sequence[Execution]], alike: Mapping[Asked, Sequence[Execution]]
    ) -> Iterator[dg.AssetMaterialization]:
        jobs, instance = self._names(alike), self._context.instance
        with in_one_batch(instance) as written:
            for cell, of_cell in cells.items():
                yield materialization_of(of_cell, self._job, _neighbours(cell, alike, jobs))
        self._known |= known_from(written)
        materialized = newest_materializations(instance, [key_of(cell) for cell in cells], self._known)
        budget = self._catalog.settings.attempt_budget
        with in_one_batch(instance):
            for cell, of_cell in cells.items():
                shown, job = materialized.get(key_of(cell)), self._job.job_name
                for evaluation in evaluations_of(of_cell, on_record, shown, job=job, budget=budget):
                    self._context.log_event(evaluation)

    def _show_to_neighbours(
        self, ended: Sequence[Execution], before: Mapping[Asked, Sequence[Execution]]
    ) -> None:
        """Of questions that have ended in all regions of the job by now, what each region's partition shows
        of the others: one that was shown ``before`` could not know.

        Reads once more, after its own were materialized: of two runs that end at once the later sees both.
        """
        own = self._job.id
        alike = self._alike(ended)
        known = {e.cell for e in ended if _asked(e.cell) in before and _over(before[_asked(e.cell)], own)}
        over = [e for executions in alike.values() if _over(executions, own) for e in executions]
        cells = by_cell(e for e in over if e.job_id == own and e.cell not in known)
        jobs = self._names(alike)
        instance = self._context.instance
        materialized = newest_materializations(instance, [key_of(cell) for cell in cells], self._known)
        with in_one_batch(instance):
            for cell, of_cell in cells.items():
                newest = materialized.get(key_of(cell))
                if newest is not None and newest.shown.execution_id in {e.id for e in of_cell}:
                    neighbours = _neighbours(cell, alike, jobs)
                    self._context.log_event(observation_of_neighbours(of_cell, self._job, neighbours))

    def _names(self, alike: Mapping[Asked, Sequence[Execution]]) -> dict[str, str]:
        others = {e.job_id for executions in alike.values() for e in executions} - {self._job.id}
        return self._ledger.jobs.names(others) if others else {}


def _asked(cell: Cell) -> Asked:
    return cell.model, cell.question


def _neighbours(
    cell: Cell, alike: Mapping[Asked, Sequence[Execution]], jobs: Mapping[str, str]
) -> Neighbours:
    return Neighbours([e for e in alike.get(_asked(cell), ()) if e.cell != cell], jobs)


def _over(executions: Sequence[Execution], job_id: str) -> bool:
    """Whether all that the job asked of a question has ended."""
    return all(e.status.is_terminal for e in executions if e.job_id == job_id)
