"""What a partition shows of its execution in Dagster. Model output is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg

from beacon_pipeline.catalog.partitions import key_of
from beacon_pipeline.catalog.plan import Plan
from beacon_pipeline.escaping import escape_markdown, visible
from beacon_pipeline.ledger.records import Execution, Job
from beacon_pipeline.links import asset_path
from beacon_pipeline.reconciliation.consistency import MaterializedState, by_cell, summary_of_kinds

EXECUTION = "execution"
STATUS = "status"
ANSWER_KIND = "answer_kind"
UNSAID = "not reported"


NEIGHBOUR_CHARACTERS = 300  # of another region's answer, in the table of all


@dataclass(frozen=True)
class Neighbours:
    """The same question's executions of the same model in other regions, each region's of one job.

    ``jobs``: the names of other jobs than that of the partition, by their ids.
    """

    executions: Sequence[Execution] = ()
    jobs: Mapping[str, str] = field(default_factory=dict)

    def where(self, execution: Execution, job: Job) -> str:
        """Which other job than this one asked an execution."""
        return "" if execution.job_id == job.id else f", in job {_in_a_row(self.jobs[execution.job_id])}"


NO_NEIGHBOURS = Neighbours()


def materialization_metadata(
    execution: Execution, job: Job, neighbours: Neighbours = NO_NEIGHBOURS
) -> dict[str, dg.MetadataValue]:
    """The metadata of a completed execution's partition."""
    call, provenance = execution.newest_call, execution.provenance
    text = dg.MetadataValue.text
    return {
        STATUS: text(execution.status.value),
        ANSWER_KIND: text(execution.answer_kind.value if execution.answer_kind else UNSAID),
        "answer": dg.MetadataValue.md(escape_markdown(execution.answer or "")),
        "question": dg.MetadataValue.md(escape_markdown(execution.prompt or UNSAID)),
        "system_prompt": dg.MetadataValue.md(escape_markdown(execution.system_prompt or "none")),
        **other_regions([execution], job, neighbours),
        "finish_reason": text(execution.finish_reason.value if execution.finish_reason else UNSAID),
        "latency_seconds": dg.MetadataValue.float(round(execution.seconds or 0.0, 3)),
        "prompt_tokens": _count(execution.prompt_tokens),
        "output_tokens": _count(execution.output_tokens),
        "requested_region": text(execution.region),
        "executed_region": text(visible(execution.executed_region or UNSAID)),
        "rendering": text(provenance.rendering.value if provenance and provenance.rendering else UNSAID),
        "rendered_prompt_sha256": text((provenance and provenance.rendered_prompt_sha256) or UNSAID),
        "model_revision": text((provenance and provenance.model_revision) or UNSAID),
        "attempts": dg.MetadataValue.int(len(execution.attempts)),
        "provider": text(call.provider if call else UNSAID),
        "provider_call_id": text((call and call.provider_call_id) or UNSAID),
        "job": text(job.job_name),
        EXECUTION: text(execution.id),
    }


def summary_metadata(
    executions: Sequence[Execution], job: Job, neighbours: Neighbours = NO_NEIGHBOURS
) -> dict[str, dg.MetadataValue]:
    """The metadata of a partition with several executions, all completed: numbers and a first text of each
    arm, few bytes, for Dagster keeps them twice. `beacon show PARTITION` has all texts."""
    first = executions[0]
    provenances = [e.provenance for e in executions if e.provenance]
    text = dg.MetadataValue.text
    return {
        STATUS: text(first.status.value),
        ANSWER_KIND: text(summary_of_kinds(executions) or UNSAID),
        "executions": dg.MetadataValue.int(len(executions)),
        "distinct_answers": dg.MetadataValue.int(len({e.answer for e in executions})),
        "question": dg.MetadataValue.md(escape_markdown(first.prompt or UNSAID)),
        "answers": dg.MetadataValue.md(_by_arm(executions)),
        **other_regions(executions, job, neighbours),
        "plan": text(str(Plan.of(job.plan))),
        "requested_region": text(first.region),
        "executed_region": text(_all_of(e.executed_region for e in executions)),
        "model_revision": text(_all_of(provenance.model_revision for provenance in provenances)),
        "finish_reason": text(_all_of(e.finish_reason and e.finish_reason.value for e in executions)),
        "attempts": dg.MetadataValue.int(sum(len(e.attempts) for e in executions)),
        "calls": dg.MetadataValue.int(len({e.newest_call.id for e in executions if e.newest_call})),
        "job": text(job.job_name),
        EXECUTION: text(first.id),
    }


def _by_arm(executions: Sequence[Execution]) -> str:
    rows = ["| arm | system prompt | answers | distinct | kinds | first |", "|---|---|---|---|---|---|"]
    for arm in dict.fromkeys(e.arm for e in executions):
        some = [e for e in executions if e.arm == arm]
        cells = (
            arm,
            _in_a_row(some[0].system_prompt or "none"),
            str(len(some)),
            str(len({e.answer for e in some})),
            summary_of_kinds(some) or UNSAID,
            _in_a_row(some[0].answer or ""),
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def other_regions(
    executions: Sequence[Execution], job: Job, neighbours: Neighbours
) -> dict[str, dg.MetadataValue]:
    """What a partition with these executions shows of other regions: a table, or nothing without any."""
    if not neighbours.executions:
        return {}
    table = _side_by_side if len(executions) == 1 else _kinds_by_region
    return {"other_regions": dg.MetadataValue.md(table(neighbours, job))}


def _kinds_by_region(neighbours: Neighbours, job: Job) -> str:
    rows = ["| region | answers |", "|---|---|"]
    for cell, some in sorted(by_cell(neighbours.executions).items()):
        link = f"[{cell.region}]({asset_path('inference', key_of(cell))})"
        open_ones = sum(e.answer_kind is None for e in some)
        kinds = [summary_of_kinds(some), f"{open_ones} without an answer" if open_ones else None]
        rows.append(f"| {link} | {', '.join(filter(None, kinds))}{neighbours.where(some[0], job)} |")
    return "\n".join(rows)


def _in_a_row(text: str) -> str:
    escaped = escape_markdown(" ".join(text.split()), NEIGHBOUR_CHARACTERS)
    return escaped.replace("\n", " ")


def _all_of(values: Iterable[str | None]) -> str:
    return ", ".join(visible(value) for value in sorted({value or UNSAID for value in values}))


def shown_by(metadata: Mapping[str, dg.MetadataValue]) -> MaterializedState:
    """What a materialization's metadata says of its execution."""

    def text_of(key: str) -> str | None:
        value = metadata[key].value if key in metadata else None
        return value if isinstance(value, str) else None

    return MaterializedState(
        execution_id=text_of(EXECUTION), status=text_of(STATUS), answer_kind=text_of(ANSWER_KIND)
    )


def _side_by_side(neighbours: Neighbours, job: Job) -> str:
    """A table of other regions' answers as they are now, each with a link to its own partition."""
    rows = ["| region | status | answer |", "|---|---|---|"]
    for other in sorted(neighbours.executions, key=lambda e: e.region):
        kind = f" ({other.answer_kind.value})" if other.answer_kind else ""
        answer = _in_a_row(other.answer or "")
        link = f"[{other.region}]({asset_path('inference', key_of(other.cell))})"
        rows.append(f"| {link} | {other.status.value}{kind}{neighbours.where(other, job)} | {answer} |")
    return "\n".join(rows)


def _count(number: int | None) -> dg.MetadataValue:
    return dg.MetadataValue.text(UNSAID) if number is None else dg.MetadataValue.int(number)
