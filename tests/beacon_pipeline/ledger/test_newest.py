"""The newest job of a cell, wherever in the past it is, on both databases."""

import random
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial

from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.newest import FIRST_JOBS
from beacon_pipeline.ledger.records import Cell, Slot

JOBS = 5 * FIRST_JOBS
CELLS = [Cell(region, "tiny", f"q{n}") for region in ("eu", "us") for n in range(9)]


def slots_of(samples: int, cell: Cell) -> list[Slot]:
    return [Slot(cell, sample=sample) for sample in range(1, samples + 1)]


def test_each_cells_newest_job_is_found_with_all_its_executions(database_url: str) -> None:
    moments = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=n) for n in range(10 * JOBS))
    random.seed(7)
    expected: dict[Cell, set[str]] = {}
    with closing(Ledger(database_url, clock=lambda: next(moments))) as ledger:
        ledger.migrate()
        for number in range(JOBS):
            job = ledger.jobs.ensure(f"job-{number}", source="launch", catalog="c", catalog_digest="d")
            # The first asks all but two cells, of which nothing is ever known; later ones a few.
            cells = CELLS[2:] if number == 0 else random.sample(CELLS[3:], 2)
            samples = random.choice((1, 3))
            ledger.executions.ensure(job.id, cells, actor="test", slots_of=partial(slots_of, samples))
            for cell in cells:
                expected[cell] = {e.id for e in ledger.executions.of_job(job.id, [cell])}
        found: dict[Cell, set[str]] = {}
        for execution in ledger.executions.newest(CELLS):
            found.setdefault(execution.cell, set()).add(execution.id)
    assert found == expected
    assert CELLS[0] not in found
