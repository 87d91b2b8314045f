"""The inference asset: one partition for each region × model × question.

Materializing a partition brings its execution to its true state; it turns green when there is an
answer on record, an empty one included.
"""

from collections.abc import Iterable, Iterator, Sequence

import dagster as dg

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.catalog.partitions import cell_of, key_of, partitions_definition
from beacon_pipeline.catalog.plan import Plan
from beacon_pipeline.defs.assets.partitions_shown import PartitionsShown
from beacon_pipeline.defs.where import code_and_guide
from beacon_pipeline.escaping import visible
from beacon_pipeline.execution.decide import Attendance
from beacon_pipeline.execution.event_bridge import stream
from beacon_pipeline.execution.resources import LedgerResource, ProvidersResource
from beacon_pipeline.execution.run import Materializer, OnSettled
from beacon_pipeline.jobs.cancel import cancel_cells
from beacon_pipeline.jobs.dagster_api import deployment_tags
from beacon_pipeline.jobs.job_of_run import asking_of_run, job_for
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Cell, Execution, Job
from beacon_pipeline.ledger.status import Status
from beacon_pipeline.names import (
    BLOCKS_TAG,
    GROUP,
    HEALING_TAG,
    INFERENCE,
    JOB_TAG,
    MODELS,
    OWNER,
    POOL,
    QUESTIONS,
    RECORDED_TAG,
    WITHOUT_ANSWER,
)

PARTITIONS_PER_RUN = 500
NAMED_FAILURES = 10  # partitions spelled out in the summary of a failed run

Events = Iterator[dg.AssetMaterialization]


def inference_asset(catalog: Catalog) -> dg.AssetsDefinition:
    """The asset ``inference``, partitioned as the catalog says."""
    partitions = partitions_definition(catalog)

    @dg.multi_asset(
        name="inference",
        specs=[
            dg.AssetSpec(
                INFERENCE,
                deps=[QUESTIONS, MODELS],
                partitions_def=partitions,
                skippable=True,  # a partition without an answer is not materialized
                group_name=GROUP,
                kinds={"llm"},
                owners=[OWNER],
                description="The answer of each model to each question from each region.\n\n"
                "A partition is green when there is an answer on record, an empty one included; its newest "
                "materialization shows question, system prompt, answer, and what other regions answered. "
                "The README explains the terms, `docs/looking.md` the checks.",
                metadata=code_and_guide(inference_asset, "looking.md"),
            )
        ],
        partitions_def=partitions,
        can_subset=True,
        pool=POOL,
        backfill_policy=dg.BackfillPolicy.multi_run(PARTITIONS_PER_RUN),
    )
    def inference(
        context: dg.AssetExecutionContext,
        ledger: dg.ResourceParam[LedgerResource],
        providers: dg.ResourceParam[ProvidersResource],
    ) -> Events:
        cells = [cell_of(key) for key in context.partition_keys]
        with ledger.open() as opened:
            yield from _bring_to_true_state(context, opened, catalog, providers, cells)

    return inference


def _bring_to_true_state(
    context: dg.AssetExecutionContext,
    ledger: Ledger,
    catalog: Catalog,
    providers: ProvidersResource,
    cells: Sequence[Cell],
) -> Events:
    actor = f"run:{context.run.run_id}"
    job, asked = job_for(ledger, catalog, asking_of_run(context.run), cells, actor=actor)
    if not_asked := len(cells) - len(asked):
        context.log.info(f"{not_asked} partitions came into the catalog after job {job.job_name}: not asked")
    cells = asked
    plan = Plan.of(job.plan)
    context.instance.add_run_tags(context.run.run_id, _told_tags(job, cells, len(plan.blocks)))
    asked_in_all = len(cells) * plan.executions_of_a_cell
    context.log.info(f"job {job.job_name}: {asked_in_all} executions")

    attended_by = Attendance.REPAIR_RUN if HEALING_TAG in context.run.tags else Attendance.RUN

    async def work(emit: OnSettled) -> None:
        async with providers.open(catalog) as opened:
            work_on = Materializer(ledger, catalog, opened, actor=actor, attended_by=attended_by)
            await work_on.materialize(job.id, cells, emit, plan)

    unsuccessful: list[Execution] = []
    ended = EndedCells(plan.executions_of_a_cell)
    shown = PartitionsShown(context, ledger, catalog, job)
    try:
        for settled in stream(work):
            unsuccessful += [e for e in settled if e.status is not Status.COMPLETED]
            yield from shown.show(*ended.after(settled))
    except dg.DagsterExecutionInterruptedError:
        context.log.info("terminated: stopping the provider's calls")
        cancel_cells(ledger, catalog, providers, job, cells, actor=actor)
        raise
    if unsuccessful:
        raise dg.Failure(
            _summary(unsuccessful, asked_in_all),
            metadata={WITHOUT_ANSWER: len(unsuccessful)},
            allow_retries=False,
        )


def _told_tags(job: Job, cells: Sequence[Cell], blocks: int) -> dict[str, str]:
    """What a run launched in the UI does not say of itself before it starts: the job it works for, on record
    now; how many blocks that has, for each may take as long as a run without; and its deployment where
    it has one, so that the limits of the run queue count it."""
    deployments = {cell.deployment for cell in cells}
    tags = {JOB_TAG: job.job_name, RECORDED_TAG: "yes"} | ({BLOCKS_TAG: str(blocks)} if blocks > 1 else {})
    return tags | deployment_tags(deployments.pop()) if len(deployments) == 1 else tags


class EndedCells:
    """Gathers executions until all ``of_a_cell`` of a partition have ended, and it can be shown."""

    def __init__(self, of_a_cell: int) -> None:
        self._of_a_cell = of_a_cell
        self._found: dict[Cell, list[Execution]] = {}

    def after(self, settled: Iterable[Execution]) -> tuple[list[Execution], list[Execution]]:
        """With these ones: the executions, in order, of the cells of which now all are completed, and of
        those that ended without some answer."""
        touched: dict[Cell, None] = {}
        for execution in settled:
            self._found.setdefault(execution.cell, []).append(execution)
            touched[execution.cell] = None
        whole: list[Execution] = []
        without_answer: list[Execution] = []
        for cell in touched:
            if len(self._found[cell]) >= self._of_a_cell:
                found = self._found.pop(cell)
                completed = all(e.status is Status.COMPLETED for e in found)
                (whole if completed else without_answer).extend(found)
        return sorted(whole, key=_in_order), sorted(without_answer, key=_in_order)


def _in_order(execution: Execution) -> tuple[Cell, str, int, int]:
    return execution.cell, execution.arm, execution.block, execution.sample


def _summary(unsuccessful: Sequence[Execution], asked: int) -> str:
    lines = [
        f"{key_of(e.cell)}: {e.status.value}"
        + (f" ({e.failure_code.value})" if e.failure_code and e.failure_code.value != e.status.value else "")
        # Messages of providers are untrusted and may be long; the ledger has them whole.
        + (f": {visible(e.failure_message)[:200]}" if e.failure_message else "")
        for e in unsuccessful[:NAMED_FAILURES]
    ]
    more = len(unsuccessful) - len(lines)
    lines += [f"and {more} more"] if more else []
    return f"{len(unsuccessful)} of {asked} executions have no answer:\n" + "\n".join(lines)
