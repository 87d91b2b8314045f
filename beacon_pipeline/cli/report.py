"""What a job's record says, as plain values: the same for the shell, for JSON and for Dagster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.catalog.partitions import key_of
from beacon_pipeline.execution.decide import on_record
from beacon_pipeline.labels.naming import versions_of
from beacon_pipeline.ledger.records import Execution, Job, Transition
from beacon_pipeline.ledger.status import AnswerKind, Status
from beacon_pipeline.reconciliation.consistency import (
    MaterializedState,
    Mismatch,
    by_cell,
    find_mismatch,
    mismatch_of_unknown,
    shown_of,
)


@dataclass(frozen=True)
class CellReport:
    """One execution, in brief."""

    region: str
    model: str
    question: str
    status: str
    answer_kind: str | None
    failure_code: str | None
    partition_key: str
    usable: bool
    arm: str
    block: int
    sample: int


@dataclass(frozen=True)
class MismatchReport:
    """One execution on which two truths differ."""

    partition_key: str
    found: str
    remedy: str


@dataclass(frozen=True)
class JobReport:
    """One job. The counts have every word of the vocabulary, absent ones as zero."""

    job: str
    created_at: datetime
    executions: int
    by_status: dict[str, int]
    by_answer_kind: dict[str, int]
    by_region: dict[str, int]
    refusal_rules: tuple[str | None, ...]  # versions of those that found its refusals; None: not on record
    mismatches: int
    mismatched: tuple[MismatchReport, ...]
    cells: tuple[CellReport, ...]
    plan: Mapping[str, object] | None = None  # as the job's row keeps it; None: each cell once

    @property
    def all_completed(self) -> bool:
        return self.by_status[Status.COMPLETED.value] == self.executions

    def to_json(self, executions: Sequence[Execution] = ()) -> dict[str, object]:
        """As JSON can hold it; each cell with the texts of its execution, where that is given."""
        texts = {_cell(execution): texts_of(execution) for execution in executions}
        cells = [asdict(cell) | texts.get(cell, {}) for cell in self.cells]
        return asdict(self) | {"created_at": self.created_at.isoformat(), "cells": cells}

    def in_brief(self) -> dict[str, object]:
        """The counts alone, as JSON can hold them."""
        return {key: value for key, value in self.to_json().items() if key not in ("cells", "mismatched")}


def texts_of(execution: Execution) -> dict[str, str | None]:
    """What was asked and answered, as JSON can hold it."""
    texts = {
        "system_prompt": execution.system_prompt,
        "prompt": execution.prompt,
        "answer": execution.answer,
        "reasoning": execution.reasoning,
    }
    # JSON has no lone surrogates, which a model's output may.
    return {name: text and text.encode("utf-8", "replace").decode() for name, text in texts.items()}


def record_of(job: Job, execution: Execution, transitions: Sequence[Transition] = ()) -> dict[str, object]:
    """An execution as JSON can hold it, with its path where that is given."""
    found: dict[str, object] = {
        "job": job.job_name,
        "execution": execution.id,
        **asdict(_cell(execution)),
        **texts_of(execution),
        "rendered_prompt": execution.rendered_prompt,
        "finish_reason": execution.finish_reason and execution.finish_reason.value,
        "failure_message": execution.failure_message,
        "executed_region": execution.executed_region,
        "prompt_tokens": execution.prompt_tokens,
        "output_tokens": execution.output_tokens,
        "output_token_sha256": execution.output_token_sha256,
        "seconds": execution.seconds,
        "parameters": execution.parameters,
        "seed": execution.seed,
        "provenance": execution.provenance and execution.provenance.model_dump(mode="json"),
        "attempts": len(execution.attempts),
    }
    if transitions:
        found["transitions"] = [
            {
                "at": change.at.isoformat(),
                "from": change.from_status and change.from_status.value,
                "to": change.to_status.value,
                "cause": change.cause.value,
                "actor": change.actor,
                "detail": change.detail,
            }
            for change in transitions
        ]
    return found


def report_on(
    job: Job,
    executions: Sequence[Execution],
    shown: Mapping[str, MaterializedState],
    catalog: Catalog,
    *,
    unknown: Mapping[str, MaterializedState],
) -> JobReport:
    """The report on a job, from its executions and what Dagster shows, by partition key.

    ``unknown``: partitions that show no execution, or one that is not on record.
    """
    budget = catalog.settings.attempt_budget
    own = {
        key_of(cell): found
        for cell, of_cell in by_cell(executions).items()
        for e in of_cell
        if (found := _mismatch(e, of_cell, shown, budget))
    }
    others = {key: _reported(key, mismatch_of_unknown(one)) for key, one in sorted(unknown.items())}
    mismatched = tuple((others | own).values())
    return JobReport(
        job=job.job_name,
        created_at=job.created_at,
        executions=len(executions),
        by_status=_counted(Status, (e.status for e in executions)),
        by_answer_kind=_counted(AnswerKind, (e.answer_kind for e in executions if e.answer_kind)),
        by_region={region.id: 0 for region in catalog.regions} | Counter(e.region for e in executions),
        refusal_rules=_refusal_rules(executions),
        mismatches=len(mismatched),
        mismatched=mismatched,
        cells=tuple(map(_cell, executions)),
        plan=job.plan,
    )


def _refusal_rules(executions: Sequence[Execution]) -> tuple[str | None, ...]:
    return versions_of(e.kind_version for e in executions if e.answer_kind is AnswerKind.REFUSAL)


def _counted(words: type[StrEnum], found: Iterable[StrEnum]) -> dict[str, int]:
    counts = Counter(found)
    return {word.value: counts[word] for word in words}


def _cell(execution: Execution) -> CellReport:
    return CellReport(
        region=execution.region,
        model=execution.model,
        question=execution.question,
        status=execution.status.value,
        answer_kind=execution.answer_kind.value if execution.answer_kind else None,
        failure_code=execution.failure_code.value if execution.failure_code else None,
        partition_key=key_of(execution.cell),
        usable=execution.usable,
        arm=execution.arm,
        block=execution.block,
        sample=execution.sample,
    )


def _mismatch(
    execution: Execution, of_cell: Sequence[Execution], shown: Mapping[str, MaterializedState], budget: int
) -> MismatchReport | None:
    key = key_of(execution.cell)
    of_it = shown_of(execution, of_cell, shown.get(key))
    found = find_mismatch(execution, of_it, on_record, budget=budget)
    return None if found is None else _reported(key, found)


def _reported(key: str, mismatch: Mismatch) -> MismatchReport:
    return MismatchReport(key, mismatch.found, mismatch.remedy)
