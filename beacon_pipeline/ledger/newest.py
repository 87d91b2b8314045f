"""The newest job of each cell: looked for from the newest job backwards, for most cells are in the last few.

For those it costs the same however long the record is. One that was never asked is looked for in every job.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from beacon_pipeline.ledger import rows
from beacon_pipeline.ledger.records import Cell
from beacon_pipeline.ledger.rows import chunks, executions_table, jobs_table

FIRST_JOBS, MOST_JOBS = 8, 256  # looked at together: more and more, as long as cells are left


def ids_in_newest_job(connection: sa.Connection, cells: Iterable[Cell]) -> list[str]:
    """The ids of the executions that each of these cells has in the newest job that asks it."""
    newest_first = (jobs_table.c.created_at.desc(), jobs_table.c.id.desc())
    jobs = list(connection.execute(sa.select(jobs_table.c.id).order_by(*newest_first)).scalars())
    left, found = set(cells), []
    start, size = 0, FIRST_JOBS
    while left and start < len(jobs):
        some_jobs = jobs[start : start + size]
        for some_cells in chunks(sorted(left)):
            newest = _newest_of(connection, some_jobs, some_cells)
            found += [execution_id for ids in newest.values() for execution_id in ids]
            left -= newest.keys()
        start, size = start + size, min(2 * size, MOST_JOBS)
    return found


def _newest_of(
    connection: sa.Connection, jobs: Sequence[str], cells: Sequence[Cell]
) -> dict[Cell, list[str]]:
    """The executions of these cells in the first of these jobs that asks them."""
    table, order = executions_table, {job: position for position, job in enumerate(jobs)}
    query = sa.select(table.c.job_id, table.c.region, table.c.model, table.c.question, table.c.id).where(
        table.c.job_id.in_(jobs), rows.in_cells(cells)
    )
    found: dict[Cell, tuple[int, list[str]]] = {}
    for job, region, model, question, execution_id in connection.execute(query):
        cell, position = Cell(region, model, question), order[job]
        best = found.get(cell)
        if best is None or position < best[0]:
            found[cell] = (position, [execution_id])
        elif position == best[0]:
            best[1].append(execution_id)
    return {cell: ids for cell, (_, ids) in found.items()}
