"""Put a job on record, whole."""

from __future__ import annotations

from collections.abc import Collection

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.catalog.plan import DEFAULT_PLAN, Plan
from beacon_pipeline.jobs.specification import specification_of
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Cell, Job


def make_job(
    ledger: Ledger,
    catalog: Catalog,
    job_name: str,
    cells: Collection[Cell],
    *,
    source: str,
    actor: str,
    plan: Plan = DEFAULT_PLAN,
) -> Job:
    """The job of this name with all its executions on record, pending; made as far as they are not.

    What it was asked for is in its row from the first moment: whoever dies between the job and its
    executions leaves a job that shows what is missing. A job that is there keeps its plan.
    """
    job = ledger.jobs.ensure(
        job_name,
        source=source,
        catalog=catalog.name,
        catalog_digest=catalog.digest,
        specification=specification_of(cells),
        plan=plan.kept(),
        catalog_content=catalog.content,
    )
    ledger.executions.ensure(job.id, cells, actor=actor, slots_of=Plan.of(job.plan).executions_of)
    return job
