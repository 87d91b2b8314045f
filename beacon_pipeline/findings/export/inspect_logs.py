"""Logs of Inspect (https://inspect.aisi.org.uk), one for each deployment, written by its own library.

Kept: questions, prompts, answers, thoughts, tokens, times, the standing label as a score, and all else of a
row as metadata of its sample. Lost, for the format has no place for it: changes of status, attempts and
calls; labels that do not stand; the plan, the catalog and the findings. A sample's id is its question and
prompt, its epoch counts the answers to them; what has no answer is a sample with an error.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beacon_pipeline.findings.export.files import ExportError, storable
from beacon_pipeline.findings.rows import BY_RULES, TEXTS, Row, answer_rows
from beacon_pipeline.findings.subject import Subject
from beacon_pipeline.labels.naming import with_versions
from beacon_pipeline.ledger import Ledger

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample

SCORE = "label"
_STOPPED = {"stop": "stop", "length": "max_tokens", "content_filter": "content_filter"}


def write_logs(ledger: Ledger, subject: Subject, target: str) -> list[Path]:
    """Write a log for each deployment into a new folder on this machine; where they are.

    Holds all rows of the subject. Raises ExportError, LedgerUnavailable and OSError.
    """
    if find_spec("inspect_ai") is None:
        raise ExportError("Inspect's library is not installed: pip install 'beacon-pipeline[inspect]'")
    from inspect_ai.log import write_eval_log

    folder = Path(target)
    if "://" in target or target.endswith(".zip"):
        raise ExportError(f"{target}: Inspect reads its logs from a folder on this machine")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ExportError(f"{target} is there already: name a new folder")
    rows = sorted(answer_rows(ledger, subject.jobs), key=_deployment)  # stable: each job's own order stays
    if not rows:
        raise ExportError(f"nothing was asked in {subject.name}: there is nothing to export")
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for (region, model), own in groupby(rows, key=_deployment):
        path = folder / f"{region}-{model}.eval"
        write_eval_log(log_of(subject, region, model, list(own)), path)
        written.append(path)
    return written


def _deployment(row: Row) -> tuple[str, str]:
    return row["region"], row["model"]


def log_of(subject: Subject, region: str, model: str, rows: Sequence[Row]) -> EvalLog:
    """The log of one deployment's rows."""
    from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalPlan, EvalSpec, EvalStats

    samples = list(_samples(rows))
    identity = hashlib.sha256(f"{subject.name}|{region}|{model}".encode()).hexdigest()[:22]
    ends = [row["completed_at"] for row in rows if row["completed_at"] is not None]
    epochs = max((sample.epoch for sample in samples), default=1)
    names = sorted({str(sample.id) for sample in samples})
    return EvalLog(
        status="success",
        eval=EvalSpec(
            eval_id=identity,
            run_id=hashlib.sha256(subject.name.encode()).hexdigest()[:22],
            task_id=identity,
            created=_moment(subject.jobs[0].created_at),
            task=subject.name,
            model=f"{region}/{model}",
            dataset=EvalDataset(name=subject.name, samples=len(names), sample_ids=names),
            config=EvalConfig(epochs=epochs),
            packages={"beacon-pipeline": _own_version()},
            metadata={"region": region, "model": model, "jobs": [job.job_name for job in subject.jobs]},
        ),
        plan=EvalPlan(config=_config(rows)),
        results=_results(rows),
        stats=EvalStats(
            started_at=_moment(subject.jobs[0].created_at),
            completed_at=_moment(max(ends, default=subject.jobs[-1].created_at)),
        ),
        samples=samples,
    )


def _own_version() -> str:
    from importlib.metadata import version

    return version("beacon-pipeline")


def _config(rows: Iterable[Row]) -> Any:
    """What all rows were decoded with; nothing of what differs."""
    from inspect_ai.model import GenerateConfig

    asked = [row for row in rows if not row["probe"]]
    fields = {"temperature": "temperature", "top_p": "top_p", "max_tokens": "max_new_tokens"}
    found = {name: {row[column] for row in asked} for name, column in fields.items()}
    return GenerateConfig(**{name: values.pop() for name, values in found.items() if len(values) == 1})


def _results(rows: Sequence[Row]) -> Any:
    from inspect_ai.log import EvalMetric, EvalResults, EvalScore

    labels = Counter(row["label"] or row["kind"] for row in rows if row["usable"] and not row["probe"])
    whole = labels.total()
    metrics = {
        f"share_{label}": EvalMetric(name=f"share_{label}", value=count / whole)
        for label, count in sorted(labels.items())
    }
    return EvalResults(
        total_samples=len(rows),
        completed_samples=sum(row["status"] == "completed" for row in rows),
        scores=[EvalScore(name=SCORE, scorer=SCORE, scored_samples=whole, metrics=metrics)],
    )


def _samples(rows: Iterable[Row]) -> Iterator[EvalSample]:
    epochs: Counter[str] = Counter()
    for row in rows:
        name = f"{row['question']} · {row['arm']}"
        epochs[name] += 1
        yield _sample({column: storable(value) for column, value in row.items()}, name, epochs[name])


def _sample(row: Row, name: str, epoch: int) -> EvalSample:
    from inspect_ai.log import EvalError, EvalSample
    from inspect_ai.model import ChatMessageSystem, ChatMessageUser

    asked = [ChatMessageSystem(content=row["system_prompt"])] if row["system_prompt"] else []
    messages: list[Any] = [*asked, ChatMessageUser(content=row["prompt"] or "")]
    answered = row["answer"] is not None
    output = _output(row) if answered else None
    error = None
    if not answered:
        reason = ": ".join(filter(None, (row["status"], row["failure_code"], row["failure_message"])))
        error = EvalError(message=reason, traceback="", traceback_ansi="")
    started, completed = row["started_at"] or row["dispatched_at"], row["completed_at"]
    seconds = (completed - started).total_seconds() if started and completed else None
    return EvalSample(
        id=name,
        epoch=epoch,
        input=messages,
        target="",
        messages=[*messages, *([output.choices[0].message] if output else [])],
        scores={SCORE: _score(row)} if answered else None,
        metadata={key: _plain(value) for key, value in row.items() if key not in TEXTS and value is not None},
        started_at=_moment(started) if started else None,
        completed_at=_moment(completed) if completed else None,
        total_time=seconds,
        working_time=seconds,
        uuid=row["execution"],
        error=error,
        **({"output": output} if output else {}),
    )


def _output(row: Row) -> Any:
    from inspect_ai.model import (
        ChatCompletionChoice,
        ChatMessageAssistant,
        ContentReasoning,
        ContentText,
        ModelOutput,
        ModelUsage,
    )

    content: Any = row["answer"]
    if row["reasoning"] is not None:
        content = [ContentReasoning(reasoning=row["reasoning"]), ContentText(text=row["answer"])]
    tokens = row["prompt_tokens"] or 0, row["output_tokens"] or 0
    return ModelOutput(
        model=row["model"],
        choices=[
            ChatCompletionChoice(
                message=ChatMessageAssistant(content=content, model=row["model"], source="generate"),
                stop_reason=_STOPPED.get(row["finish_reason"] or "", "unknown"),
            )
        ],
        usage=ModelUsage(input_tokens=tokens[0], output_tokens=tokens[1], total_tokens=sum(tokens)),
    )


def _score(row: Row) -> Any:
    from inspect_ai.scorer import Score

    kind = row["kind"] if row["label"] is None else row["label"]
    return Score(value=kind, answer=row["answer"], explanation=said_by(row))


def said_by(row: Row) -> str:
    """By whom the standing label of an answer is, or its kind where it has none."""
    if row["label"] is not None:
        return f"by {with_versions(row['label_method'], (row['label_version'],))}"
    found = (row["kind_version"],) if row["kind"] in BY_RULES else ()
    return f"by {with_versions('rules', found)}, as it came"


def _plain(value: Any) -> Any:
    return _moment(value) if isinstance(value, datetime) else value


def _moment(value: datetime) -> str:
    return value.astimezone(UTC).isoformat()
