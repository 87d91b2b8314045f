"""What a partition shows of its execution in Dagster. Model output is escaped here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dagster as dg

from beacon_pipeline.catalog.partitions import key_of
from beacon_pipeline.escaping import escape_markdown, visible
from beacon_pipeline.ledger.records import Execution, Job
from beacon_pipeline.links import asset_path
from beacon_pipeline.reconciliation.consistency import Shown

EXECUTION = "execution"
STATUS = "status"
ANSWER_KIND = "answer_kind"
UNSAID = "not reported"


NEIGHBOUR_CHARACTERS = 300  # of another region's answer, in the table of all


def materialization_metadata(
    execution: Execution, job: Job, neighbours: Sequence[Execution] = ()
) -> dict[str, dg.MetadataValue]:
    """The metadata of a completed execution's partition.

    ``neighbours`` are the same question's executions of the same model in other regions, in this job.
    """
    call, provenance = execution.newest_call, execution.provenance
    text = dg.MetadataValue.text
    return {
        STATUS: text(execution.status.value),
        ANSWER_KIND: text(execution.answer_kind.value if execution.answer_kind else UNSAID),
        "answer": dg.MetadataValue.md(escape_markdown(execution.answer or "")),
        "question": dg.MetadataValue.md(escape_markdown(execution.prompt or UNSAID)),
        "system_prompt": dg.MetadataValue.md(escape_markdown(execution.system_prompt or "none")),
        **({"other_regions": dg.MetadataValue.md(_side_by_side(neighbours))} if neighbours else {}),
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
        "job": text(job.jobspec_id),
        EXECUTION: text(execution.id),
    }


def shown_by(metadata: Mapping[str, dg.MetadataValue]) -> Shown:
    """What a materialization's metadata says of its execution."""

    def said(key: str) -> str | None:
        value = metadata[key].value if key in metadata else None
        return value if isinstance(value, str) else None

    return Shown(execution_id=said(EXECUTION), status=said(STATUS), answer_kind=said(ANSWER_KIND))


def _side_by_side(neighbours: Sequence[Execution]) -> str:
    """A table of other regions' answers as they are now, each with a link to its own partition."""
    rows = ["| region | status | answer |", "|---|---|---|"]
    for other in sorted(neighbours, key=lambda e: e.region):
        kind = f" ({other.answer_kind.value})" if other.answer_kind else ""
        answer = escape_markdown(" ".join((other.answer or "").split()), NEIGHBOUR_CHARACTERS)
        link = f"[{other.region}]({asset_path('inference', key_of(other.cell))})"
        rows.append(f"| {link} | {other.status.value}{kind} | {answer.replace(chr(10), ' ')} |")
    return "\n".join(rows)


def _count(number: int | None) -> dg.MetadataValue:
    return dg.MetadataValue.text(UNSAID) if number is None else dg.MetadataValue.int(number)
