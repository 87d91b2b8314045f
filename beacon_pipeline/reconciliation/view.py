"""What Dagster has on record of inference partitions, and what is reported to it about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import dagster as dg

# Without it the UI silently leaves a partition's check out, and Dagster has no public name for it.
from dagster._core.definitions.asset_checks.asset_check_evaluation import (  # noqa: TID251
    AssetCheckEvaluationTargetMaterializationData as TargetMaterialization,
)

from beacon_pipeline.catalog.partitions import key_of
from beacon_pipeline.escaping import visible
from beacon_pipeline.execution.decide import StatusOf
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Execution, Job
from beacon_pipeline.names import INFERENCE
from beacon_pipeline.reconciliation.checks import CHECKS, CheckInput, CheckName, CheckOutcome, of_cell
from beacon_pipeline.reconciliation.consistency import MaterializedState, mismatch_of_unknown, shown_of
from beacon_pipeline.reconciliation.metadata import (
    NO_NEIGHBOURS,
    Neighbours,
    materialization_metadata,
    other_regions,
    shown_by,
    summary_metadata,
)

FETCHED_AT_ONCE = 500
JOB_METADATA = "job"  # of a failing check evaluation: the job of the execution it looked at

SEVERITIES: Mapping[CheckName, dg.AssetCheckSeverity] = {
    CheckName.NON_EMPTY_OUTPUT: dg.AssetCheckSeverity.WARN,
    CheckName.STATUS_CONSISTENCY: dg.AssetCheckSeverity.ERROR,
    CheckName.EXECUTED_REGION: dg.AssetCheckSeverity.ERROR,
}


@dataclass(frozen=True)
class Materialization:
    """The newest materialization of a partition."""

    shown: MaterializedState
    target: TargetMaterialization


Known = dict[int, tuple[str, Materialization]]
"""Materializations that were read before, each with its partition's key, by the id of the event."""


def materialization_of(
    executions: Sequence[Execution], job: Job, neighbours: Neighbours = NO_NEIGHBOURS
) -> dg.AssetMaterialization:
    """The event that makes a partition green: all its executions in a job are completed."""
    first, *others = executions
    metadata = (
        summary_metadata(executions, job, neighbours)
        if others
        else materialization_metadata(first, job, neighbours)
    )
    return dg.AssetMaterialization(INFERENCE, partition=key_of(first.cell), metadata=metadata)


def observation_of_neighbours(
    executions: Sequence[Execution], job: Job, neighbours: Neighbours
) -> dg.AssetObservation:
    """The event by which Dagster shows, with a partition's newest materialization, what other regions have
    answered since; it takes the place of the table there."""
    metadata = other_regions(executions, job, neighbours)
    return dg.AssetObservation(INFERENCE, partition=key_of(executions[0].cell), metadata=metadata)


def shown_of_unknown(
    ledger: Ledger, materialized: Mapping[str, Materialization]
) -> dict[str, Materialization]:
    """Of these partitions those that show no execution, or one which the ledger does not have, by key."""
    ids = {m.shown.execution_id for m in materialized.values() if m.shown.execution_id}
    unknown = {None, *ledger.executions.unknown(ids)}
    return {key: m for key, m in materialized.items() if m.shown.execution_id in unknown}


def shown_without_record(ledger: Ledger, instance: dg.DagsterInstance) -> str | None:
    """That Dagster shows answers which this ledger, which has no job, lacks; None where it shows none."""
    shown = len(instance.get_materialized_partitions(INFERENCE))
    if not shown:
        return None
    partitions = "1 partition" if shown == 1 else f"{shown} partitions"
    return (
        f"no job is on record in {ledger.place}, but Dagster shows {partitions}: was the ledger replaced? "
        "docs/backup.md says how a backup is put back"
    )


def newest_materializations(
    instance: dg.DagsterInstance, partition_keys: Sequence[str], known: Known | None = None
) -> dict[str, Materialization]:
    """The newest materialization of each of these partitions that has one, by partition key.

    What is ``known`` is not read again, for an event never changes; what is read is known from then on.
    """
    if not partition_keys:
        return {}  # Dagster reads an empty choice as all partitions
    return _fetched(instance, _newest_ids(instance, set(partition_keys)), known)


def materializations_since(
    instance: dg.DagsterInstance, since: datetime, known: Known | None = None
) -> dict[str, Materialization]:
    """The newest materialization of each partition that has had one since then, by partition key."""
    wanted = dg.AssetRecordsFilter(asset_key=INFERENCE, after_timestamp=since.timestamp())
    first = instance.fetch_materializations(wanted, limit=1, ascending=True).records
    if not first:
        return {}
    # Older ones of the same partitions are many where questions are asked again each hour: not read.
    return _fetched(instance, [n for n in _newest_ids(instance) if n >= first[0].storage_id], known)


def _newest_ids(instance: dg.DagsterInstance, partition_keys: set[str] | None = None) -> list[int]:
    newest = instance.get_latest_storage_id_by_partition(
        INFERENCE, dg.DagsterEventType.ASSET_MATERIALIZATION, partition_keys
    )
    return sorted(newest.values())


def _fetched(
    instance: dg.DagsterInstance, storage_ids: Sequence[int], known: Known | None
) -> dict[str, Materialization]:
    known = {} if known is None else known
    unread = [n for n in storage_ids if n not in known]
    for start in range(0, len(unread), FETCHED_AT_ONCE):
        some = unread[start : start + FETCHED_AT_ONCE]
        wanted = dg.AssetRecordsFilter(asset_key=INFERENCE, storage_ids=some)
        known |= known_from(instance.fetch_materializations(wanted, limit=len(some)).records)
    return dict(known[n] for n in storage_ids if n in known)


def known_from(records: Iterable[dg.EventLogRecord]) -> Known:
    """The materializations of partitions among these records."""
    return {
        record.storage_id: (
            record.partition_key,
            Materialization(
                shown=shown_by(record.asset_materialization.metadata),
                target=TargetMaterialization(
                    storage_id=record.storage_id, run_id=record.run_id, timestamp=record.timestamp
                ),
            ),
        )
        for record in records
        if record.partition_key is not None and record.asset_materialization is not None
    }


def evaluations_of(
    executions: Sequence[Execution],
    status_of: StatusOf,
    newest: Materialization | None,
    names: Iterable[CheckName] = CheckName,
    *,
    job: str,
    budget: int,
) -> Iterator[dg.AssetCheckEvaluation]:
    """The chosen checks of a partition, from all its executions in a job, as the events that Dagster shows.

    ``status_of`` gives what the provider says of a call; ``newest`` is its partition's materialization.
    """
    shown = newest.shown if newest else None
    looked_at = [CheckInput(e, status_of, shown_of(e, executions, shown), budget) for e in executions]
    for name in names:
        outcome = of_cell([CHECKS[name](one) for one in looked_at])
        yield dg.AssetCheckEvaluation(
            asset_key=INFERENCE,
            check_name=name.value,
            passed=outcome.passed,
            partition=key_of(executions[0].cell),
            severity=SEVERITIES[name],
            metadata=_check_metadata(looked_at, shown, outcome, job),
            target_materialization_data=newest.target if newest else None,
        )


def unknown_evaluation(
    partition_key: str, newest: Materialization, execution: Execution | None
) -> dg.AssetCheckEvaluation:
    """The failing check of a partition that Dagster shows from what the ledger does not have.

    ``execution``: what the ledger has of the partition instead, if anything.
    """
    mismatch = mismatch_of_unknown(newest.shown)
    return dg.AssetCheckEvaluation(
        asset_key=INFERENCE,
        check_name=CheckName.STATUS_CONSISTENCY.value,
        passed=False,
        partition=partition_key,
        severity=SEVERITIES[CheckName.STATUS_CONSISTENCY],
        metadata={
            "seen": mismatch.found,
            "what_to_do": mismatch.remedy,
            "ledger": execution.status.value if execution else "nothing",
            "dagster": newest.shown.status or "materialized without a status",
        },
        target_materialization_data=newest.target,
    )


def _check_metadata(
    looked_at: Sequence[CheckInput], shown: MaterializedState | None, outcome: CheckOutcome, job: str
) -> dict[str, str]:
    """What a check saw. Of one that passed no more, for Dagster stores each three times: execution and job
    are in the metadata of the partition."""
    if outcome.passed:
        return {"seen": visible(outcome.seen)}
    first = looked_at[0]
    statuses = Counter(one.execution.status.value for one in looked_at)
    reported = Counter(one.call_status.value if one.call_status else "no call" for one in looked_at)
    return {
        "seen": visible(outcome.seen),
        "what_to_do": outcome.remedy,
        "execution": first.execution.id,
        "ledger": _counted(statuses),
        "provider": _counted(reported),
        "dagster": (shown and shown.status) or "not materialized",
        JOB_METADATA: job,
    }


def _counted(words: Counter[str]) -> str:
    """`completed`, or of several executions `9 completed, 1 failed`."""
    if words.total() == 1:
        return next(iter(words))
    return ", ".join(f"{number} {word}" for word, number in words.most_common())
