"""From rows to records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, TypeVar

import sqlalchemy as sa

from beacon_pipeline.ledger.records import (
    Attempt,
    Call,
    Cell,
    Execution,
    ExecutionSummary,
    Job,
    Sibling,
    Transition,
)
from beacon_pipeline.ledger.schema import Base
from beacon_pipeline.ledger.status import AnswerKind, Cause, Status
from inference.contract import CallStatus, FailureCode, FinishReason, Provenance, Request

CHUNK = 400  # rows or bound groups in one statement; SQLite's limit on parameters is far above

Item = TypeVar("Item")
Word = TypeVar("Word", bound=StrEnum)

executions_table = Base.metadata.tables["executions"]
calls_table = Base.metadata.tables["calls"]
attempts_table = Base.metadata.tables["attempts"]
jobs_table = Base.metadata.tables["jobs"]
transitions_table = Base.metadata.tables["transitions"]
labels_table = Base.metadata.tables["labels"]
write_counts_table = Base.metadata.tables["write_counts"]
catalogs_table = Base.metadata.tables["catalogs"]

UNSETTLED = [status.value for status in Status if not status.is_terminal]
IN_ORDER = [executions_table.c[name] for name in ("region", "model", "question", "arm", "block", "sample")]


def chunks(items: Sequence[Item], size: int = CHUNK) -> Iterable[Sequence[Item]]:
    """Consecutive parts of at most ``size`` items."""
    return (items[start : start + size] for start in range(0, len(items), size))


def job_from(row: sa.RowMapping | dict[str, Any]) -> Job:
    values = dict(row)
    return Job(job_name=values.pop("jobspec_id"), **values)  # the column keeps the name that it was made with


def call_from(row: sa.RowMapping | dict[str, Any]) -> Call:
    values = dict(row)
    status = values.pop("truth")  # the column keeps the name that it was made with
    return Call(
        **values
        | {
            "request": Request.model_validate_json(values["request"]),
            "status": None if status is None else CallStatus(status),
        }
    )


def transition_from(row: sa.RowMapping) -> Transition:
    return Transition(
        execution_id=row["execution_id"],
        from_status=None if row["from_status"] is None else Status(row["from_status"]),
        to_status=Status(row["to_status"]),
        at=row["at"],
        cause=Cause(row["cause"]),
        actor=row["actor"],
        detail=row["detail"],
    )


def standing_from(row: sa.RowMapping) -> ExecutionSummary:
    values = dict(row)
    cell = Cell(values.pop("region"), values.pop("model"), values.pop("question"))
    return ExecutionSummary(**values | {"cell": cell, "status": Status(values["status"])})


def sibling_from(row: sa.RowMapping) -> Sibling:
    kind = row["answer_kind"]
    return Sibling(
        row["id"],
        Cell(row["region"], row["model"], row["question"]),
        Status(row["status"]),
        None if kind is None else AnswerKind(kind),
    )


def _execution_from(row: sa.RowMapping, attempts: tuple[Attempt, ...]) -> Execution:
    def word(kind: type[Word], column: str) -> Word | None:
        return None if row[column] is None else kind(row[column])

    provenance = row["provenance"]
    return Execution(
        **dict(row)
        | {
            "status": Status(row["status"]),
            "answer_kind": word(AnswerKind, "answer_kind"),
            "finish_reason": word(FinishReason, "finish_reason"),
            "failure_code": word(FailureCode, "failure_code"),
            "provenance": None if provenance is None else Provenance.model_validate(provenance),
            "attempts": attempts,
        }
    )


def read_executions(connection: sa.Connection, *conditions: sa.ColumnElement[bool]) -> list[Execution]:
    """Executions with their attempts and calls, in three statements however many there are."""
    rows = (
        connection.execute(sa.select(executions_table).where(*conditions).order_by(*IN_ORDER))
        .mappings()
        .all()
    )
    wanted = sa.select(executions_table.c.id).where(*conditions)
    attempt_rows = (
        connection.execute(
            sa.select(attempts_table)
            .where(attempts_table.c.execution_id.in_(wanted))
            .order_by(attempts_table.c.number)
        )
        .mappings()
        .all()
    )
    call_ids = sa.select(attempts_table.c.call_id).where(attempts_table.c.execution_id.in_(wanted))
    calls = {
        row["id"]: call_from(row)
        for row in connection.execute(sa.select(calls_table).where(calls_table.c.id.in_(call_ids))).mappings()
    }
    attempts: dict[str, list[Attempt]] = {}
    for row in attempt_rows:
        values = dict(row)
        call = calls[values.pop("call_id")]
        attempts.setdefault(row["execution_id"], []).append(Attempt(**values, call=call))
    return [_execution_from(row, tuple(attempts.get(row["id"], ()))) for row in rows]


def executions_on(connection: sa.Connection, call_id: str) -> list[Execution]:
    """The executions that a call carries."""
    on_call = sa.select(attempts_table.c.execution_id).where(attempts_table.c.call_id == call_id)
    return read_executions(connection, executions_table.c.id.in_(on_call))


def in_cells(cells: Sequence[Cell]) -> sa.ColumnElement[bool]:
    """The condition that an execution is in one of these places."""
    place = sa.tuple_(executions_table.c.region, executions_table.c.model, executions_table.c.question)
    return place.in_([(cell.region, cell.model, cell.question) for cell in cells])


def read_call(connection: sa.Connection, call_id: str) -> sa.RowMapping:
    """The row of a call. Raises LookupError."""
    row = (
        connection.execute(sa.select(calls_table).where(calls_table.c.id == call_id)).mappings().one_or_none()
    )
    if row is None:
        raise LookupError(f"no call {call_id}")
    return row


def with_plan(connection: sa.Connection, job_ids: Sequence[str]) -> list[str]:
    """Those of these jobs that ask more of a cell than one answer under the region's own prompt."""
    found: list[str] = []
    for some in chunks(job_ids):
        query = sa.select(jobs_table.c.id).where(jobs_table.c.id.in_(some), jobs_table.c.plan.is_not(None))
        found += connection.scalars(query.order_by(jobs_table.c.id))
    return found
