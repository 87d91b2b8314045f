"""The checks of the inference asset as Dagster runs them alone: over chosen partitions, asking no model."""

import asyncio
import warnings
from collections.abc import Iterable, Iterator, Sequence

import dagster as dg

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.catalog.partitions import cell_of, key_of, partitions_definition
from beacon_pipeline.execution.call_status import statuses_now
from beacon_pipeline.execution.decide import StatusOf
from beacon_pipeline.execution.providers import Providers
from beacon_pipeline.execution.resources import LedgerResource, ProvidersResource
from beacon_pipeline.instance.event_batches import in_one_batch
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Execution
from beacon_pipeline.names import INFERENCE
from beacon_pipeline.reconciliation.checks import CHECKS, CheckName
from beacon_pipeline.reconciliation.consistency import by_cell
from beacon_pipeline.reconciliation.view import (
    SEVERITIES,
    evaluations_of,
    newest_materializations,
    unknown_evaluation,
)


def inference_checks(catalog: Catalog) -> dg.AssetChecksDefinition:
    """The checks on every partition of ``inference``."""

    @dg.multi_asset_check(name="inference_checks", specs=_specs(catalog), can_subset=True)
    def checks(
        context: dg.AssetCheckExecutionContext,
        ledger: dg.ResourceParam[LedgerResource],
        providers: dg.ResourceParam[ProvidersResource],
    ) -> Iterator[dg.AssetCheckResult]:
        if INFERENCE in (context.run.asset_selection or ()):
            context.log.info("this run's inference reported its checks already, partition by partition")
            return
        chosen = [CheckName(key.name) for key in context.selected_asset_check_keys]
        keys = _partition_keys(context)
        context.log.info(f"{len(keys)} partitions are checked; no model is asked")
        with ledger.open() as opened, in_one_batch(context.instance):
            for evaluation in _evaluations(opened, context.instance, catalog, providers, keys, chosen):
                # It takes every user event; its annotation names only three.
                context.op_execution_context.log_event(evaluation)  # type: ignore[arg-type]
        yield from ()

    return checks


def _partition_keys(context: dg.AssetCheckExecutionContext) -> Sequence[str]:
    """The partitions of the run; of one without any (*Execute all* in the UI) all that are materialized."""
    op = context.op_execution_context
    if op.has_partition_key or op.has_partition_key_range:
        return op.partition_keys
    return sorted(context.instance.get_materialized_partitions(INFERENCE))


def _specs(catalog: Catalog) -> list[dg.AssetCheckSpec]:
    with warnings.catch_warnings():
        # Checks by partition are new in Dagster; the version is pinned, and tests would notice.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(
                name.value,
                asset=INFERENCE,
                partitions_def=partitions_definition(catalog),
                description=(CHECKS[name].__doc__ or "").strip(),
            )
            for name in SEVERITIES
        ]


def _evaluations(
    ledger: Ledger,
    instance: dg.DagsterInstance,
    catalog: Catalog,
    providers: ProvidersResource,
    keys: Sequence[str],
    chosen: Sequence[CheckName],
) -> Iterator[dg.AssetCheckEvaluation]:
    materialized = newest_materializations(instance, keys)
    shown_ids = [m.shown.execution_id for m in materialized.values() if m.shown.execution_id]
    executions = _of_cells(_with_siblings(ledger, ledger.executions.with_ids(shown_ids)))
    unknown = materialized.keys() - executions.keys()
    missing = [cell_of(key) for key in keys if key not in executions]
    executions |= _of_cells(ledger.executions.newest(missing))
    looked_at = [execution for of_cell in executions.values() for execution in of_cell]
    status_of = asyncio.run(_ask(providers.open(catalog), looked_at))
    jobs = ledger.jobs.names({execution.job_id for execution in looked_at})
    for key, of_cell in sorted(executions.items()):
        shown, job = materialized.get(key), jobs[of_cell[0].job_id]
        names = [name for name in chosen if key not in unknown or name is not CheckName.STATUS_CONSISTENCY]
        yield from evaluations_of(
            of_cell, status_of, shown, names, job=job, budget=catalog.settings.attempt_budget
        )
    if CheckName.STATUS_CONSISTENCY in chosen:
        for key in sorted(unknown):
            yield unknown_evaluation(key, materialized[key], next(iter(executions.get(key, ())), None))


def _of_cells(executions: Iterable[Execution]) -> dict[str, list[Execution]]:
    return {key_of(cell): of_cell for cell, of_cell in by_cell(executions).items()}


def _with_siblings(ledger: Ledger, executions: Sequence[Execution]) -> list[Execution]:
    """Those of jobs with a plan together with all others of their cells, in order."""
    siblings = ledger.executions.siblings(executions)
    others = [one.id for of_cell in siblings.values() for one in of_cell]
    alone = [e for e in executions if (e.job_id, e.cell) not in siblings]
    return [*alone, *(ledger.executions.with_ids(others) if others else ())]


async def _ask(providers: Providers, executions: Sequence[Execution]) -> StatusOf:
    async with providers:
        return await statuses_now(providers, executions)
