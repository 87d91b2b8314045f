"""The record as pandas data frames, for statistics and for notebooks.

    from beacon_pipeline.findings.frames import answers
    from beacon_pipeline.ledger import Ledger

    frame = answers(Ledger("sqlite:///instance/ledger.db"), ["launch-2026-11-25"])

This module imports pandas: import it where a frame is made, and not from what every command loads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import pandas as pd

from beacon_pipeline.findings.rows import COLUMNS, MOMENTS, TEXTS, answer_rows, jobs_named
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Job

BATCH = 5000  # rows that are plain Python values at a time, while a frame is made

_MOMENT = "datetime64[us, UTC]"
ANSWER_TYPES: dict[str, str] = (
    dict.fromkeys(COLUMNS, "str")
    # A text may hold what no UTF-8 can, a lone surrogate: kept as the Python string that it is.
    | dict.fromkeys(TEXTS, "object")
    | dict.fromkeys((*MOMENTS, "call_order"), _MOMENT)
    | dict.fromkeys(("block", "sample", "attempts"), "int64")
    | dict.fromkeys(
        ("version", "seed", "prompt_tokens", "output_tokens", "max_new_tokens", "provenance_batch_size"),
        "Int64",
    )
    | dict.fromkeys(("temperature", "top_p"), "float64")
    | dict.fromkeys(("probe", "usable", "out_of_block"), "bool")
    | dict.fromkeys(("cold_start", "provenance_other_model", "provenance_refusal_field"), "boolean")
)
TRANSITION_TYPES: dict[str, str] = {
    "job": "str",
    "execution": "str",
    "from_status": "str",
    "to_status": "str",
    "at": _MOMENT,
    "cause": "str",
    "actor": "str",
    "detail": "object",
}
LABEL_TYPES: dict[str, str] = {
    "job": "str",
    "execution": "str",
    "kind": "str",
    "method": "str",
    "labeller": "str",
    "version": "str",
    "chance": "float64",
    "at": _MOMENT,
}
CALL_TYPES: dict[str, str] = {
    "job": "str",
    "call": "str",
    "region": "str",
    "model": "str",
    "provider": "str",
    "provider_call_id": "str",
    "workspace": "str",
    "environment": "str",
    "created_at": _MOMENT,
    "accepted_at": _MOMENT,
    "settled_at": _MOMENT,
    "started_at": _MOMENT,
    "finished_at": _MOMENT,
    "provider_status": "str",
    "failure_code": "str",
    "failure_message": "object",
    "reported_region": "str",
    "cloud": "str",
    "task_id": "str",
    "cold_start": "boolean",
}


def answers(ledger: Ledger, jobs: Iterable[Job | str]) -> pd.DataFrame:
    """One row for each execution of these jobs (`Job`, or a job's name), columns as in `ANSWER_TYPES`.

    A completed execution has ``answer`` (an empty text is one), ``kind`` (by rules: substantive, refusal,
    empty, unfinished), ``kind_version`` (of the rules, None for a fact and for what was found before it
    was kept) and its provenance; any other has ``failure_code`` or is under way. ``usable``: of the
    model and in the region asked for. ``out_of_block``: answered by a later call than the first of its
    region, model and block. ``call_order`` is when that call was made. ``label`` is the newest label by
    people, else by a judge, else by rules; missing where none is on record. All times are UTC.

    Rows come job by job, in each by region, model, question, arm, block, sample. Raises UnknownName and
    LedgerUnavailable.
    """
    return framed(answer_rows(ledger, jobs), ANSWER_TYPES)


def transitions(ledger: Ledger, jobs: Iterable[Job | str]) -> pd.DataFrame:
    """Every status change of the executions of these jobs, oldest first in each; `TRANSITION_TYPES`."""
    return framed(transition_rows(ledger, jobs), TRANSITION_TYPES)


def calls(ledger: Ledger, jobs: Iterable[Job | str]) -> pd.DataFrame:
    """Every call of these jobs, oldest first in each; columns as in `CALL_TYPES`."""
    return framed(call_rows(ledger, jobs), CALL_TYPES)


def labels(ledger: Ledger, jobs: Iterable[Job | str]) -> pd.DataFrame:
    """Every label of the executions of these jobs, oldest first for each; columns as in `LABEL_TYPES`."""
    return framed(label_rows(ledger, jobs), LABEL_TYPES)


def label_rows(ledger: Ledger, jobs: Iterable[Job | str]) -> Iterator[dict[str, Any]]:
    """The rows of `labels` as plain values, one page of the ledger at a time."""
    for job in jobs_named(ledger, jobs):
        for page in ledger.pages.executions(job.id):
            for stored in page:
                for label in stored["labels"]:
                    yield {name: label.get(name) for name in LABEL_TYPES} | {
                        "job": job.job_name,
                        "execution": stored["id"],
                    }


def transition_rows(ledger: Ledger, jobs: Iterable[Job | str]) -> Iterator[dict[str, Any]]:
    """The rows of `transitions` as plain values, one page of the ledger at a time."""
    for job in jobs_named(ledger, jobs):
        for page in ledger.pages.transitions(job.id):
            for stored in page:
                yield stored | {"job": job.job_name, "execution": stored["execution_id"]}


def call_rows(ledger: Ledger, jobs: Iterable[Job | str]) -> Iterator[dict[str, Any]]:
    """The rows of `calls` as plain values, one page of the ledger at a time."""
    for job in jobs_named(ledger, jobs):
        for page in ledger.pages.calls(job.id):
            for stored in page:
                yield stored | {
                    "job": job.job_name,
                    "call": stored["id"],
                    "provider_status": stored["truth"],
                }


def framed(rows: Iterable[dict[str, Any]], types: dict[str, str]) -> pd.DataFrame:
    """A frame with exactly these columns and types, made batch by batch."""
    parts = []
    waiting = iter(rows)
    while batch := list(islice(waiting, BATCH)):
        parts.append(_typed(batch, types))
    return pd.concat(parts, ignore_index=True) if parts else _typed([], types)


def _typed(rows: list[dict[str, Any]], types: dict[str, str]) -> pd.DataFrame:
    columns = {name: pd.Series([row[name] for row in rows], dtype=kind) for name, kind in types.items()}
    return pd.DataFrame(columns)
