"""Executions: made once for each place in a job, and read with their attempts and calls."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime

import sqlalchemy as sa

from beacon_pipeline.ledger import newest, rows
from beacon_pipeline.ledger.parts.part import Part, new_id
from beacon_pipeline.ledger.records import (
    Cell,
    Execution,
    ExecutionSummary,
    Sibling,
    Slot,
    Transition,
    one_slot,
)
from beacon_pipeline.ledger.rows import UNSETTLED, chunks, executions_table, jobs_table, transitions_table
from beacon_pipeline.ledger.status import Cause, Status


class Executions(Part):
    """The executions on record, and their status changes."""

    def ensure(
        self,
        job_id: str,
        cells: Iterable[Cell],
        *,
        actor: str,
        slots_of: Callable[[Cell], Iterable[Slot]] = one_slot,
    ) -> None:
        """Make the executions of a job that do not exist yet, as pending: those of each cell."""
        now = self._clock()
        rows = [
            {
                "id": new_id(),
                "job_id": job_id,
                "region": slot.cell.region,
                "model": slot.cell.model,
                "question": slot.cell.question,
                "arm": slot.arm,
                "block": slot.block,
                "sample": slot.sample,
                "seed": slot.seed,
                "status": Status.PENDING.value,
                "queued_at": now,
                "updated_at": now,
            }
            for cell in sorted(set(cells))
            for slot in slots_of(cell)
        ]

        def ensure(connection: sa.Connection) -> None:
            for some in chunks(rows):
                self._database.insert_missing(connection, executions_table, some)
                ids = [row["id"] for row in some]
                made = connection.scalars(
                    sa.select(executions_table.c.id).where(executions_table.c.id.in_(ids))
                ).all()
                if made:
                    connection.execute(
                        sa.insert(transitions_table),
                        [
                            {
                                "execution_id": execution_id,
                                "from_status": None,
                                "to_status": Status.PENDING.value,
                                "at": now,
                                "cause": Cause.ASKED.value,
                                "actor": actor,
                            }
                            for execution_id in made
                        ],
                    )

        self._database.write(ensure)

    def of_job(
        self, job_id: str, cells: Sequence[Cell] | None = None, *, block: int | None = None
    ) -> list[Execution]:
        """Executions of a job, of these cells or all, of one block or all, in `rows.IN_ORDER`."""
        wanted = [executions_table.c.job_id == job_id]
        wanted += [] if block is None else [executions_table.c.block == block]
        if cells is None:
            return self._database.read(lambda c: rows.read_executions(c, *wanted))

        def read(connection: sa.Connection) -> list[Execution]:
            found: list[Execution] = []
            for some in chunks(sorted(set(cells))):
                found += rows.read_executions(connection, *wanted, rows.in_cells(some))
            return found

        return self._database.read(read)

    def with_ids(self, execution_ids: Sequence[str]) -> list[Execution]:
        """The executions with these ids that exist, of whatever job."""

        def read(connection: sa.Connection) -> list[Execution]:
            found: list[Execution] = []
            for some in chunks(sorted(set(execution_ids))):
                found += rows.read_executions(connection, executions_table.c.id.in_(some))
            return found

        return self._database.read(read)

    def on_call(self, call_id: str) -> list[Execution]:
        """The executions that a call carries."""
        return self._database.read(lambda c: rows.executions_on(c, call_id))

    def newest(self, cells: Sequence[Cell]) -> list[Execution]:
        """For each of these cells that was ever asked, its executions in the newest job."""

        def read(connection: sa.Connection) -> list[Execution]:
            found: list[Execution] = []
            for some in chunks(sorted(newest.ids_in_newest_job(connection, cells))):
                found += rows.read_executions(connection, executions_table.c.id.in_(some))
            return found

        return self._database.read(read)

    def siblings(self, executions: Sequence[Execution]) -> dict[tuple[str, Cell], list[Sibling]]:
        """By job and cell, how all executions of their cells stand, for those of jobs that have a plan."""
        table = executions_table
        cells: dict[str, set[Cell]] = {}
        for execution in executions:
            cells.setdefault(execution.job_id, set()).add(execution.cell)

        def read(connection: sa.Connection) -> dict[tuple[str, Cell], list[Sibling]]:
            found: dict[tuple[str, Cell], list[Sibling]] = {}
            for job_id in rows.with_plan(connection, sorted(cells)):
                for some in chunks(sorted(cells[job_id])):
                    query = sa.select(table).with_only_columns(
                        *(table.c.id, table.c.region, table.c.model, table.c.question),
                        *(table.c.status, table.c.answer_kind),
                    )
                    query = query.where(table.c.job_id == job_id, rows.in_cells(some)).order_by(
                        *rows.IN_ORDER
                    )
                    for row in connection.execute(query).mappings():
                        sibling = rows.sibling_from(row)
                        found.setdefault((job_id, sibling.cell), []).append(sibling)
            return found

        return self._database.read(read)

    def unknown(self, execution_ids: Collection[str]) -> set[str]:
        """Those of these ids that no execution on record has."""
        table = executions_table

        def read(connection: sa.Connection) -> set[str]:
            known: set[str] = set()
            for some in chunks(sorted(set(execution_ids))):
                known.update(connection.scalars(sa.select(table.c.id).where(table.c.id.in_(some))))
            return set(execution_ids) - known

        return self._database.read(read)

    def with_status(
        self, statuses: Iterable[Status], *, since: datetime, until: datetime, limit: int
    ) -> list[ExecutionSummary]:
        """Executions that took one of these statuses in this time and have it still, oldest first."""
        table = executions_table
        query = (
            sa.select(
                jobs_table.c.jobspec_id.label("job_name"),
                *(table.c.region, table.c.model, table.c.question, table.c.status, table.c.updated_at),
                *(table.c.failure_code, table.c.failure_message, table.c.dead_lettered_at),
            )
            .join(jobs_table, jobs_table.c.id == table.c.job_id)
            .where(table.c.status.in_([status.value for status in statuses]))
            .where(table.c.updated_at >= since, table.c.updated_at <= until)
            .order_by(table.c.updated_at, table.c.id)
            .limit(limit)
        )
        return self._database.read(lambda c: [rows.standing_from(row) for row in c.execute(query).mappings()])

    def transitions(self, execution_id: str) -> list[Transition]:
        """Every status change of an execution, oldest first."""
        query = (
            sa.select(transitions_table)
            .where(transitions_table.c.execution_id == execution_id)
            .order_by(transitions_table.c.id)
        )
        return self._database.read(
            lambda c: [rows.transition_from(row) for row in c.execute(query).mappings()]
        )

    def newest_transition(self) -> int:
        """The id of the newest status change, 0 where there is none: it grows with every change."""
        query = sa.select(sa.func.max(transitions_table.c.id))
        return self._database.read(lambda c: c.scalar(query) or 0)

    def count_unsettled(self) -> int:
        """How many executions are pending or dispatched."""
        query = sa.select(sa.func.count()).where(executions_table.c.status.in_(UNSETTLED))
        return self._database.read(lambda c: c.scalar(query) or 0)

    def cells_since(self, since: datetime) -> set[Cell]:
        """The cells of the executions queued since then."""
        return self._cells(executions_table.c.queued_at >= since)

    def cells_of(self, job_id: str) -> set[Cell]:
        """The cells of a job's executions."""
        return self._cells(executions_table.c.job_id == job_id)

    def _cells(self, condition: sa.ColumnElement[bool]) -> set[Cell]:
        table = executions_table
        query = sa.select(table.c.region, table.c.model, table.c.question).where(condition).distinct()
        return self._database.read(lambda c: {Cell(*row) for row in c.execute(query)})
