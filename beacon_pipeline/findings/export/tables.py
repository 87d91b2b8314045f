"""The export's tables: their files, columns and types, and what each column means."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pyarrow as pa

from beacon_pipeline.findings.frames import ANSWER_TYPES, LABEL_TYPES, TRANSITION_TYPES

PROVENANCE = "provenance_"  # begins the columns that say what ran
LATER = ("kind_version",)  # columns that an export of an earlier version does not have

_ARROW = {
    "str": pa.string(),
    "object": pa.string(),
    "int64": pa.int64(),
    "Int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "boolean": pa.bool_(),
    "datetime64[us, UTC]": pa.timestamp("us", tz="UTC"),
}


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the export: ``types`` are pandas' names of the columns' types."""

    name: str
    about: str
    types: dict[str, str]
    parquet: bool = False
    csv: bool = True

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(f"{self.name}.{kind}" for kind in ("parquet", "csv") if getattr(self, kind))

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([(name, _ARROW[kind]) for name, kind in self.types.items()])


def as_written(table: Table, schema: pa.Schema) -> Table | None:
    """The table with the columns that a file has; None for a file that is no such table.

    Versions of Beacon differ in what they keep of provenance, and in `LATER`.
    """
    fixed = [field for field in table.schema if not field.name.startswith(PROVENANCE)]
    if any(not schema.field(field.name).equals(field) for field in fixed if field.name in schema.names):
        return None
    names = set(schema.names)
    unknown = {name for name in names - set(table.types) if not name.startswith(PROVENANCE)}
    if unknown or not {field.name for field in fixed} - set(LATER) <= names:
        return None
    return replace(table, types={name: table.types.get(name, "str") for name in schema.names})


ANSWERS = Table("answers", "One row for each answer that was asked for.", ANSWER_TYPES, parquet=True)
TRANSITIONS = Table(
    "transitions", "Every change of an execution's status.", TRANSITION_TYPES, parquet=True, csv=False
)
LABELS = Table("labels", "Every judgement on an answer; added, never changed.", LABEL_TYPES, parquet=True)
QUESTIONS = Table(
    "questions",
    "What was asked.",
    {"question": "str", "prompt": "object", "category": "str", "sensitivity": "str"},
)
MODELS = Table(
    "models",
    "What was asked, and what answered.",
    {
        "model": "str",
        "name": "str",
        "repository": "str",
        "revisions": "str",
        "weights": "str",
        "engines": "str",
    },
)
REGIONS = Table("regions", "Where it was asked.", {"region": "str", "name": "str", "system_prompt": "object"})
RATES = Table(
    "rates",
    "Answers by kind of each model, region and prompt, recomputed by `beacon verify`.",
    {
        **dict.fromkeys(("model", "region", "arm"), "str"),
        **dict.fromkeys(("asked", "answered", "lost", "unusable", "texts", "refusals"), "int64"),
        **dict.fromkeys(("refusal_rate", "low", "high"), "float64"),
    },
)
COMPARISONS = Table(
    "comparisons",
    "The findings of the study, recomputed by `beacon verify`; no rows without a study.",
    {
        "study": "str",
        "version": "int64",
        **dict.fromkeys(
            ("claim", "contrast", "outcome", "model", "side_a", "side_b", "population", "units"), "str"
        ),
        **dict.fromkeys(("n_a", "n_b", "missing_a", "missing_b"), "int64"),
        **dict.fromkeys(
            ("rate_a", "rate_b", "effect", "low", "high", "interval_level", "p", "p_adjusted"), "float64"
        ),
        **dict.fromkeys(("verdict", "qualifiers", "attribution", "reason", "test"), "str"),
        "seed": "int64",
    },
)
TABLES = (ANSWERS, TRANSITIONS, LABELS, QUESTIONS, MODELS, REGIONS, RATES, COMPARISONS)

MEANINGS: dict[str, str] = {
    "execution": "Id in the ledger: one for each job, region, model, question, arm, block, sample.",
    "job": "The round of asking.",
    "study": "The study that planned it; empty without one.",
    "version": "Version of the study; of a label: of the rules or the rubric.",
    "region": "Region that was asked for.",
    "model": "Id of the model in the catalog.",
    "question": "Id of the question in the catalog.",
    "arm": "Name of the system prompt; `regional`: each region's own; `probe`: not for comparing answers.",
    "block": "Round close in time in which every region was asked the same items.",
    "sample": "Number of the answer in its cell, arm and block.",
    "probe": "Whether it serves only the question whether the same is computed.",
    "seed": "Of an answer: the seed it was generated with. Of a comparison: the seed of its random draws.",
    "status": "pending, dispatched, completed, failed, timed_out or cancelled.",
    "kind": "By rules: substantive, refusal, empty, unfinished. Of a label: complete, evasive, refusal.",
    "kind_version": "Version of the rules that found the kind; empty: no rule did, or it was not kept yet.",
    "answer": "The model's answer; an empty text is an answer. Lone surrogates are written as \\uXXXX.",
    "reasoning": "The model's thoughts, no part of the answer and never judged.",
    "finish_reason": "Why the output ended: stop, length, content_filter, unreported.",
    "failure_code": "Of what has no answer: the kind of failure.",
    "failure_message": "Of what has no answer: what was reported.",
    "executed_region": "Region that the runtime reports.",
    "usable": "Whether the answer is of the model and in the region asked for.",
    "prompt": "The question as it was asked.",
    "system_prompt": "The system prompt as it was sent.",
    "rendered_prompt": "All that the model got, after the chat template, where the provider reports it.",
    "prompt_tokens": "Tokens of the rendered prompt.",
    "output_tokens": "Tokens of the output.",
    "output_token_sha256": "sha256 over the output's token ids: equal digests, equal outputs.",
    "temperature": "Sampling temperature; 0 is greedy.",
    "top_p": "Nucleus sampling's share of probability.",
    "max_new_tokens": "Limit of the output in tokens.",
    "call": "Id of the call that answered, or of the newest.",
    "call_order": "When that call was made (UTC).",
    "cold_start": "Whether the model was loaded for that call.",
    "attempts": "How many attempts it took.",
    "out_of_block": "Whether a later call than its block's first answered.",
    "queued_at": "When it was asked for (UTC).",
    "dispatched_at": "When its newest attempt was written (UTC).",
    "started_at": "When generating began, as the runtime reports (UTC).",
    "completed_at": "When generating ended, or the failure was recorded (UTC).",
    "label": "Newest label by people, else by a judge, else by rules.",
    "label_method": "How that label came about: people, judge, rules.",
    "label_version": "Version of the rules or the rubric of that label.",
    "from_status": "Status before the change; empty: it came into being.",
    "to_status": "Status after the change.",
    "at": "When (UTC).",
    "cause": "Why the status changed.",
    "actor": "Who or what changed it.",
    "detail": "What was reported with it.",
    "method": "How the label came about: people, judge, rules.",
    "labeller": "Who labelled.",
    "chance": "Of people's labels: the chance with which the answer was drawn.",
    "category": "Kind of question in the catalog.",
    "sensitivity": "How sensitive the catalog holds it.",
    "name": "Name for people.",
    "repository": "Repository or folder of the weights in the catalog.",
    "revisions": "Revisions that answered, as the runtime reports.",
    "weights": "sha256 of the weights that answered.",
    "engines": "What generated: engine and library versions.",
    "asked": "Answers asked for, without probes.",
    "answered": "Usable answers.",
    "lost": "Failed, timed out or cancelled.",
    "unusable": "Answered by another model or in another region.",
    "texts": "Distinct texts.",
    "refusals": "Usable answers that the rules call a refusal.",
    "refusal_rate": "Refusals of usable answers: a label rate, not what people would call a refusal rate.",
    "low": "Lower end of the interval.",
    "high": "Upper end of the interval.",
    "claim": "Id of the claim in the study; with @ and a version where the answers are an older version's.",
    "contrast": "What is compared: prompt, deployment, interaction, models, computation.",
    "outcome": "Of what: refusal, evasive, complete, empty, or text (likeness).",
    "side_a": "First side; the effect is this one less the other.",
    "side_b": "Second side.",
    "population": "These questions, or questions like these.",
    "units": "What carried the test, and how many.",
    "n_a": "Answers of the first side that count.",
    "n_b": "Answers of the second side that count.",
    "missing_a": "Planned answers of the first side that are lost or cut short.",
    "missing_b": "Planned answers of the second side that are lost or cut short.",
    "rate_a": "Rate of the first side.",
    "rate_b": "Rate of the second side.",
    "effect": "First side less second; of texts: likeness within sides less between.",
    "interval_level": "Level of the interval.",
    "p": "p value before correction.",
    "p_adjusted": "p value over all claims of the study and all looks.",
    "verdict": "differs, no difference larger than δ, inconclusive, not answerable.",
    "qualifiers": "What the verdict holds for.",
    "attribution": "What a difference is put down to.",
    "reason": "Why there is no answer, or what would decide.",
    "test": "Name of the test.",
}


def meaning(column: str) -> str:
    """What a column means."""
    if column.startswith(PROVENANCE):
        return f"What ran, as the runtime reports: {column.removeprefix(PROVENANCE).replace('_', ' ')}."
    return MEANINGS[column]
