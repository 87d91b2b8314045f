"""Labelling what is on record: by rules, and by people on a drawn sample."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from beacon_pipeline.errors import BeaconError
from beacon_pipeline.labels.agreement import differing
from beacon_pipeline.labels.rules import VERSION, label
from beacon_pipeline.labels.sampling import Stratum, drawn
from beacon_pipeline.labels.sheets import Asked, BadSheet, Given
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.parts.labels import LabelsDiffer, difference
from beacon_pipeline.ledger.records import ADJUDICATION, PROBE_ARM, Drawn, Job, Label
from beacon_pipeline.ledger.status import AnswerKind, LabelKind, LabelMethod, Status
from inference.contract import FinishReason

RULES = "rules"  # the labeller of labels by rules
GUIDE_VERSION = "1"  # of what people are asked: docs/labels.md
FACTS = (AnswerKind.EMPTY.value, AnswerKind.UNFINISHED.value)  # counted, never judged


class DrawError(BeaconError):
    """A draw that is not on record, is already, or has nothing in it."""


def label_by_rules(ledger: Ledger, jobs: Sequence[Job]) -> Counter[LabelKind]:
    """Label the answers of these jobs by the rules, once per version; gives the counts of all of them."""
    counts: Counter[LabelKind] = Counter()
    for job in jobs:
        for page in ledger.pages.executions(job.id):
            judged = [row for row in page if _is_judged(row)]
            on_record = [kind for row in judged if (kind := _by_these_rules(row)) is not None]
            new = [found for row in judged if _by_these_rules(row) is None and (found := _labelled(row))]
            if new:
                ledger.labels.add(new)
            counts.update([*on_record, *(one.kind for one in new)])
    return counts


def _by_these_rules(row: dict[str, Any]) -> LabelKind | None:
    """The label that this version of the rules gave an answer, if it did."""
    kinds = [one["kind"] for one in row["labels"] if (one["method"], one["version"]) == (RULES, VERSION)]
    return LabelKind(kinds[-1]) if kinds else None


def _labelled(row: dict[str, Any]) -> Label | None:
    found = label(row["answer"], row["prompt"] or "")
    if found is None:
        return None
    return Label(row["id"], found.kind, LabelMethod.RULES, found.version, RULES, reason=found.rule)


def draw_answers(ledger: Ledger, jobs: Sequence[Job], size: int, *, name: str, seed: str) -> list[Drawn]:
    """Draw answers of these jobs for people to label, and keep the draw. Raises DrawError, SampleTooSmall.

    A stratum is a model × arm × region × label by the rules, which are put on record first.
    """
    label_by_rules(ledger, jobs)
    strata: dict[str, Stratum] = {}
    for job in jobs:
        for row in judged_rows(ledger, job):
            kind = _by_these_rules(row)
            if kind is not None:
                strata[row["id"]] = (row["model"], row["arm"], row["region"], kind.value)
    if not strata:
        raise DrawError("none of these jobs has an answer that can be judged: `beacon status` shows why")
    sample = drawn(strata, size, seed=seed)
    if not ledger.labels.add_draw(name, sample):
        raise DrawError(f"a draw {name!r} is on record: give another --name")
    return sample


def asked_of_draw(ledger: Ledger, name: str, *, only_differing: bool = False) -> list[Asked]:
    """What a rater is shown of a draw, in an order that says nothing. Raises DrawError.

    ``only_differing``: what two people labelled otherwise and no third one decided yet.
    """
    ids = ids_of_draw(ledger, name)
    if only_differing:
        ids = differing(people_of(ledger.labels.of_executions(ids)))
    executions = ledger.executions.with_ids(ids)
    asked = [Asked(one.id, one.prompt or one.question, one.answer or "") for one in executions]
    return sorted(asked, key=lambda one: hashlib.sha256(f"{name}|{one.execution_id}".encode()).digest())


def ids_of_draw(ledger: Ledger, name: str) -> list[str]:
    """The executions of a draw. Raises DrawError where it is not on record."""
    found = ledger.labels.draw(name)
    if not found:
        known = ledger.labels.draws()
        raise DrawError(
            f"no draw {name!r}: "
            + (f"there are {', '.join(known)}" if known else "`beacon label sample` draws")
        )
    return [one.execution_id for one in found]


def take_labels(ledger: Ledger, given: Sequence[Given], *, version: str, adjudication: bool) -> int:
    """Put people's labels on record, all or none; gives how many were new. Raises BadSheet."""
    ids = [one.execution_id for one in given]
    unknown = ledger.executions.unknown(ids)
    rows = {one.id: one for one in ledger.executions.with_ids(ids)}
    problems = []
    for one in given:
        if one.execution_id in unknown:
            problems.append(f"row {one.row}: no execution {one.execution_id!r} on this record")
        elif rows[one.execution_id].status is not Status.COMPLETED:
            problems.append(f"row {one.row}: execution {one.execution_id} has no answer to label")
    if problems:
        raise BadSheet(problems)
    chances = ledger.labels.chances(ids)
    labels = [
        Label(
            one.execution_id,
            one.kind,
            LabelMethod.PEOPLE,
            version,
            one.labeller,
            chance=chances.get(one.execution_id),
            reason=ADJUDICATION if adjudication else None,
        )
        for one in given
    ]
    try:
        return ledger.labels.add(labels)
    except LabelsDiffer as error:
        rows_of = {(one.execution_id, one.labeller): one.row for one in given}
        raise BadSheet(
            [
                f"row {rows_of[new.execution_id, new.labeller]}: {difference(old, new)}"
                for old, new in error.differing
            ]
        ) from None


def people_of(labels: Sequence[Label]) -> list[Label]:
    return [one for one in labels if one.method is LabelMethod.PEOPLE]


def judged_rows(ledger: Ledger, job: Job) -> Iterator[dict[str, Any]]:
    """The executions of a job whose answers can be judged, as `Pages.executions` has them."""
    for page in ledger.pages.executions(job.id):
        yield from (row for row in page if _is_judged(row))


def _is_judged(row: dict[str, Any]) -> bool:
    """Whether an execution has an answer that stands for its region and is a matter of judgement."""
    return (
        row["status"] == Status.COMPLETED.value
        and row["answer_kind"] not in FACTS
        and row["finish_reason"] != FinishReason.CONTENT_FILTER.value
        and row["executed_region"] == row["region"]
        and not (row["provenance"] or {}).get("other_model")
        and row["arm"] != PROBE_ARM
    )
