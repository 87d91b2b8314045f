"""One flat row for each execution, as frames, page and export show it. No pandas here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from beacon_pipeline.catalog import UnknownName
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import PROBE_ARM, Job
from inference.contract import Provenance

Row = dict[str, Any]

IDENTITY = ("job", "study", "version", "region", "model", "question", "arm", "block", "sample")
TEXTS = ("answer", "reasoning", "prompt", "system_prompt", "rendered_prompt", "failure_message")
MOMENTS = ("queued_at", "dispatched_at", "started_at", "completed_at")

# What provenance is called here, where a shorter name says it.
_SHORTER = {"model_revision": "revision", "device": "gpu", "libraries": "versions"}
_PROVENANCE = {name: f"provenance_{_SHORTER.get(name, name)}" for name in Provenance.model_fields}
PROVENANCE = (*_PROVENANCE.values(), "provenance_region", "provenance_cloud", "provenance_provider")

COLUMNS = (
    "execution",
    *IDENTITY,
    *("probe", "seed", "status", "kind", "kind_version", "answer", "reasoning", "finish_reason"),
    *("failure_code", "failure_message", "executed_region", "usable"),
    *("prompt", "system_prompt", "rendered_prompt", "prompt_tokens", "output_tokens", "output_token_sha256"),
    *("temperature", "top_p", "max_new_tokens"),
    *("call", "call_order", "cold_start", "attempts", "out_of_block"),
    *MOMENTS,
    *("label", "label_method", "label_version"),
    *PROVENANCE,
)
BY_RULES = ("substantive", "refusal")  # kinds that rules find; the others are facts
LABEL_ORDER = ("people", "judge", "rules")  # whose label stands for an answer that has several


def jobs_named(ledger: Ledger, jobs: Iterable[Job | str]) -> list[Job]:
    """The jobs themselves, each once, in the order given. Raises UnknownName, which names near ones."""
    found: dict[str, Job] = {}
    for named in jobs:
        job = named if isinstance(named, Job) else ledger.jobs.named(named)
        if job is None:
            raise UnknownName("job", str(named), [known.job_name for known in ledger.jobs.newest()])
        found.setdefault(job.id, job)
    return list(found.values())


def answer_rows(ledger: Ledger, jobs: Iterable[Job | str]) -> Iterator[Row]:
    """The executions of these jobs (or of the jobs of these names), in `COLUMNS`.

    Job by job in the order given, and in a job by region, model, question, arm, block and sample.
    Holds one page of the ledger at a time. Raises UnknownName.
    """
    for job in jobs_named(ledger, jobs):
        first_calls = ledger.pages.first_calls(job.id)
        for page in ledger.pages.executions(job.id):
            for stored in page:
                yield _row(job, stored, first_calls)


Block = tuple[str, str, int]  # region, model, block


def _row(
    job: Job,
    stored: Mapping[str, Any],
    first_calls: Mapping[Block, datetime],
) -> Row:
    call = stored["call"] or {}
    provenance = stored["provenance"] or {}
    parameters = stored["parameters"] or {}
    block = stored["region"], stored["model"], stored["block"]
    completed = stored["status"] == "completed"
    made = call.get("created_at")
    label = _label_of(stored["labels"])
    values = {
        "execution": stored["id"],
        "job": job.job_name,
        "study": job.study,
        "version": job.study_version,
        "probe": stored["arm"] == PROBE_ARM,
        "seed": parameters.get("seed") if stored["seed"] is None else stored["seed"],
        "kind": stored["answer_kind"],
        "usable": completed
        and stored["executed_region"] == stored["region"]
        and not provenance.get("other_model"),
        "temperature": parameters.get("temperature"),
        "top_p": parameters.get("top_p"),
        "max_new_tokens": parameters.get("max_new_tokens"),
        "call": call.get("id"),
        "call_order": made,
        "out_of_block": completed and made is not None and made > first_calls[block],
        "label": label.get("kind"),
        "label_method": label.get("method"),
        "label_version": label.get("version"),
        "provenance_region": call.get("reported_region"),
        "provenance_cloud": call.get("cloud"),
        "provenance_provider": call.get("provider"),
    }
    values |= {column: _flat(provenance.get(name)) for name, column in _PROVENANCE.items()}
    return {name: values[name] if name in values else stored[name] for name in COLUMNS}


def _label_of(labels: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The newest label by the method that counts most; empty where there is none."""
    by_method = {label["method"]: label for label in labels}  # oldest first: the newest stays
    return next((by_method[method] for method in LABEL_ORDER if method in by_method), {})


def _flat(value: Any) -> Any:
    """Maps as `name value` pairs by name, lists as JSON; all else as it is."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {value[name]}" for name in sorted(value))
    return json.dumps(value) if isinstance(value, list | tuple) else value
