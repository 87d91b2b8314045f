"""What of the record goes into a page: executions by columns, each text once, and their paths apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from beacon_pipeline.catalog.partitions import key_of, question_key
from beacon_pipeline.findings.packed import column, columns
from beacon_pipeline.findings.rows import PROVENANCE, TEXTS, answer_rows
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Cell, Job
from beacon_pipeline.ledger.status import AnswerKind
from beacon_pipeline.monitoring.alerts.causes import wording_of
from beacon_pipeline.monitoring.alerts.past import AlertSpan

Row = dict[str, Any]

_SHOWN = (
    *("execution", "job", "region", "model", "question", "arm", "block", "sample", "probe", "seed"),
    *("status", "finish_reason", "failure_code", "output_tokens", "usable", "out_of_block"),
    *("kind_version", "label", "label_method", "label_version"),
)
WITHOUT_TEXT = (AnswerKind.EMPTY.value, AnswerKind.UNFINISHED.value)
_ALSO_RAN = ("executed_region", "cold_start", "temperature", "top_p", "max_new_tokens")


class Texts:
    """Each distinct text once, in the order in which it first came."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def place(self, text: str | None) -> int | None:
        return None if text is None else self._places.setdefault(text, len(self._places))

    def __iter__(self) -> Any:
        return iter(self._places)


def packed_rows(ledger: Ledger, jobs: Sequence[Job]) -> tuple[list[Row], Texts]:
    """The rows of these jobs, with their texts' places among the texts.

    Answers to one question lie side by side there: they are alike, and alike texts pack small.
    """
    texts = Texts()
    rows = list(answer_rows(ledger, jobs))
    for row in sorted(rows, key=lambda row: (row["question"], row["model"], row["arm"])):
        for name in TEXTS:
            row[f"{name}_place"] = texts.place(row[name])
    return rows, texts


def record_of(rows: Sequence[Row], about: Mapping[str, Any]) -> Row:
    """What the page's script reads: `about` and the columns of the rows; of a text its place among all."""
    ran = [name for name in (*PROVENANCE, *_ALSO_RAN) if any(row[name] is not None for row in rows)]
    packed = columns(rows, (*_SHOWN, *ran))
    packed["kind"] = column(row["kind"] for row in rows)
    for name in TEXTS:
        packed[name] = column(row[f"{name}_place"] for row in rows)
    return {"about": {**about, "provenance": ran}, "columns": packed}


def paths_of(
    ledger: Ledger, jobs: Sequence[Job], rows: Sequence[Row], alerts: Iterable[AlertSpan] = ()
) -> Row:
    """How each execution came to its end: changes, attempts and alerts by the row's number, and the calls."""
    numbers = {row["execution"]: number for number, row in enumerate(rows)}
    calls: dict[str, int] = {}
    listed = []
    for call in _all(ledger.pages.calls, jobs):
        calls[call["id"]] = len(calls)
        listed.append(
            {
                "call": call["id"],
                "provider": call["provider"],
                "provider_call_id": call["provider_call_id"],
                "created_at": _milliseconds(call["created_at"]),
                "status": call["truth"],
            }
        )
    transitions: list[list[Any]] = [[] for _ in rows]
    for change in _all(ledger.pages.transitions, jobs):
        transitions[numbers[change["execution_id"]]].append(
            [
                _milliseconds(change["at"]),
                *(change[name] for name in ("from_status", "to_status", "cause", "actor", "detail")),
            ]
        )
    attempts: list[list[Any]] = [[] for _ in rows]
    for attempt in _all(ledger.pages.attempts, jobs):
        attempts[numbers[attempt["execution_id"]]].append(
            [attempt["number"], calls[attempt["call_id"]], attempt["failure_code"]]
        )
    return {
        "transitions": transitions,
        "attempts": attempts,
        "calls": listed,
        "alerts": _alerts(alerts, rows),
    }


def _alerts(alerts: Iterable[AlertSpan], rows: Sequence[Row]) -> dict[int, list[list[Any]]]:
    """Of the rows that were reported on: since when, until when, and what. A partition's are its rows';
    one of no job is about whatever had been asked by then; a finding about a model's answers to a question is
    about all that have no text."""
    of_partition: dict[str, list[AlertSpan]] = {}
    for alert in alerts:
        of_partition.setdefault(alert.subject, []).append(alert)
    found: dict[int, list[list[Any]]] = {}
    for number, row in enumerate(rows) if of_partition else ():
        cell = Cell(row["region"], row["model"], row["question"])
        about = [
            one
            for one in of_partition.get(key_of(cell), ())
            if one.job == row["job"] or (one.job is None and one.since >= row["queued_at"])
        ]
        if row["kind"] in WITHOUT_TEXT:
            about += of_partition.get(question_key(cell.model, cell.question), ())
        for one in about:
            what = wording_of(one.cause)
            found.setdefault(number, []).append(
                [_milliseconds(one.since), _milliseconds(one.until), f"{what.subject} {what.says}"]
            )
    return found


def _all(pages: Any, jobs: Iterable[Job]) -> Iterable[Row]:
    return (row for job in jobs for page in pages(job.id) for row in page)


def _milliseconds(moment: Any) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)
