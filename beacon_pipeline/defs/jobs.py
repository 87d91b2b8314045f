"""Jobs that ask by one press of *Launch Run* in the UI: everything, the control questions, one region.

A job on partitions makes a person pick them, and launches runs without our tags. These have no
partitions: they do what `beacon run` does, so the runs they launch are limited by region, started
by priority, and belong to one new job whose executions are all on record before the first starts.
"""

import re
from collections.abc import Sequence
from typing import Any

import dagster as dg

from beacon_pipeline.catalog import Catalog, Category
from beacon_pipeline.execution.resources import LedgerResource, ProvidersResource
from beacon_pipeline.jobs.launch import ask, check_can_ask
from beacon_pipeline.ledger.records import Cell


def ask_jobs(catalog: Catalog) -> list[dg.JobDefinition]:
    """The jobs `ask_everything`, `ask_control_questions`, and `ask_<region>` for each region."""
    control = [q.id for q in catalog.questions if q.category is Category.CONTROL]
    asked: dict[str, tuple[str, Sequence[Cell]]] = {
        "everything": ("every question of every model in every region", catalog.cells())
    }
    if control:
        asked["control_questions"] = (
            "the control questions of every model in every region",
            catalog.cells(questions=control),
        )
    for region in catalog.regions:
        if cells := catalog.cells(regions=[region.id]):
            asked[re.sub(r"\W", "_", region.id)] = (f"everything in {region.name}", cells)
    return [_job(catalog, f"ask_{name}", what, cells) for name, (what, cells) in asked.items()]


def _job(catalog: Catalog, name: str, what: str, cells: Sequence[Cell]) -> dg.JobDefinition:
    @dg.op(name=f"launch_{name}", description=f"Make a new job and launch the runs that ask {what}.")
    def launch(
        context: dg.OpExecutionContext,
        ledger: dg.ResourceParam[LedgerResource],
        providers: dg.ResourceParam[ProvidersResource],
    ) -> dict[str, Any]:
        with ledger.open() as opened:
            check_can_ask(opened, catalog, providers.open(catalog), cells, new_job=True)
            asked = ask(opened, context.instance, catalog, cells, new_job=True, actor=f"run:{context.run_id}")
        context.log.info(f"job {asked.job.job_name}: {len(cells)} executions in {len(asked.run_ids)} runs")
        return {"job": asked.job.job_name, "runs": list(asked.run_ids)}

    @dg.job(name=name, description=f"Ask {what}, in a new job.")
    def ask_by_one_press() -> None:
        launch()

    return ask_by_one_press
