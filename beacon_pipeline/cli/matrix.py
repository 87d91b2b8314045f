"""How the record looks in a terminal. Everything that came from a model is made visible first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from beacon_pipeline.catalog.plan import Plan
from beacon_pipeline.cli.report import CellReport, JobReport
from beacon_pipeline.escaping import visible
from beacon_pipeline.labels.naming import with_versions
from beacon_pipeline.ledger.records import Execution, Job, Transition
from beacon_pipeline.ledger.status import AnswerKind, Status
from beacon_pipeline.monitoring.alerts.causes import wording_of
from inference.contract import Provenance

if TYPE_CHECKING:
    from beacon_pipeline.monitoring.alerts.state import AlertState
    from beacon_pipeline.monitoring.doctor import Diagnosis

# One mark and one colour for every word; the word is always there too, for those who see neither.
LOOKS: dict[str, tuple[str, str]] = {
    AnswerKind.SUBSTANTIVE.value: ("●", "green"),
    AnswerKind.REFUSAL.value: ("◐", "yellow"),
    AnswerKind.EMPTY.value: ("○", "magenta"),
    AnswerKind.UNFINISHED.value: ("◌", "red"),
    Status.PENDING.value: ("·", "dim"),
    Status.DISPATCHED.value: ("…", "cyan"),
    Status.FAILED.value: ("✗", "red"),
    Status.TIMED_OUT.value: ("⧖", "red"),
    Status.CANCELLED.value: ("–", "dim"),
}


SHOWN_SUBJECTS = 3  # of an alert
SHOWN_TEXTS = 5  # of the answers of one cell, beside those of other regions


def matrix(report: JobReport) -> RenderableType:
    """Models × questions down, and arms where there are several; regions across, and the counts below."""
    regions = list(report.by_region)
    with_arms = len({cell.arm for cell in report.cells}) > 1
    names = ("model", "question", "arm") if with_arms else ("model", "question")
    table = Table(*names, *regions, box=None, pad_edge=False, header_style="bold")
    cells: dict[tuple[str, str, str, str], list[CellReport]] = {}
    for cell in report.cells:
        cells.setdefault((cell.model, cell.question, cell.arm, cell.region), []).append(cell)
    above: tuple[str, str] | None = None
    for model, question, arm in dict.fromkeys((cell.model, cell.question, cell.arm) for cell in report.cells):
        if above is not None and above[0] != model:
            table.add_section()
        looks = [_look(cells.get((model, question, arm, region), ())) for region in regions]
        first = "" if above is not None and above[0] == model else model
        second = "" if above == (model, question) else question
        table.add_row(first, second, *([arm] if with_arms else []), *looks)
        above = model, question
    return Group(table, Text(), _counts(report), *_mismatches(report))


def _look(answers: Sequence[CellReport]) -> Text:
    """How a cell stands; of several answers how many stand how."""
    counted = Counter(map(_standing, answers))
    looks = []
    for (word, failure_code, wrong), number in counted.most_common():
        mark, style = LOOKS[word]
        look = Text(f"{mark} {f'{number} ' if len(answers) > 1 else ''}{word}", style=style)
        if failure_code and failure_code != word:  # of what was cancelled, or over its time, they are one
            look.append(f" {failure_code}")
        if wrong:
            look.append(" (wrong region)", style="red")
        looks.append(look)
    return Text(", ").join(looks)


def _standing(cell: CellReport) -> tuple[str, str | None, bool]:
    return cell.answer_kind or cell.status, cell.failure_code, bool(cell.answer_kind) and not cell.usable


def _counts(report: JobReport) -> Text:
    def in_words(counts: dict[str, int]) -> str:
        return ", ".join(f"{count} {word}" for word, count in counts.items() if count) or "none"

    plan = Plan.of(report.plan)
    return Text.assemble(
        (f"job {report.job}", "bold"),
        "" if plan.is_default else f" ({plan})",
        f": {report.executions} executions: {in_words(report.by_status)}; ",
        f"answers: {in_words(report.by_answer_kind)}",
        _refusals_by(report.refusal_rules),
        "; ",
        (f"{report.mismatches} mismatches", "red" if report.mismatches else "green"),
    )


def _refusals_by(versions: Sequence[str | None]) -> str:
    """A label by rules is a pattern that was found in an answer, and no person's judgement of it."""
    if not versions:
        return ""
    return f" (refusals by {with_versions('rules', versions)})"


def _mismatches(report: JobReport, limit: int = 5) -> list[Text]:
    lines = [
        Text(f"  {found.partition_key}: {visible(found.found)}; {found.remedy}", style="red")
        for found in report.mismatched[:limit]
    ]
    more = report.mismatches - len(lines)
    return [*lines, Text(f"  and {more} more", style="red")] if more > 0 else lines


def job_table(jobs: Sequence[tuple[Job, JobReport]]) -> Table:
    """The jobs, newest first, in 80 columns where it can be: columns in which all agree on what is usual
    are left out. ``a cell``: how many answers each of its cells gets."""
    table = Table(box=None, pad_edge=False)
    columns: dict[str, list[str]] = {
        "job": [job.job_name for job, _ in jobs],
        "asked (UTC)": [f"{job.created_at:%Y-%m-%d %H:%M}" for job, _ in jobs],
        "source": [job.source for job, _ in jobs],
        "catalog": [job.catalog for job, _ in jobs],
        "a cell": [str(Plan.of(job.plan).executions_of_a_cell) for job, _ in jobs],
        "completed": [f"{r.by_status[Status.COMPLETED.value]} of {r.executions}" for _, r in jobs],
        "mismatches": [str(report.mismatches) for _, report in jobs],
    }
    usual = {
        "source": set(columns["source"]) == {"launch"},
        "catalog": len(set(columns["catalog"])) == 1,
        "a cell": set(columns["a cell"]) == {"1"},
    }
    shown = [name for name in columns if not usual.get(name)]
    for name in shown:
        table.add_column(name, overflow="fold", no_wrap=name not in ("source", "catalog"))
    for row in zip(*(columns[name] for name in shown), strict=True):
        table.add_row(*row)
    return table


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(map(visible, names[:SHOWN_SUBJECTS]))
    more = len(names) - SHOWN_SUBJECTS
    return f"{shown} and {more} more" if more > 0 else shown


def diagnoses_table(diagnoses: Sequence[Diagnosis]) -> Table:
    """What the doctor found, with what is wrong in red."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for diagnosis in diagnoses:
        mark = Text("✓ ok", "green") if diagnosis.ok else Text("✗ bad", "red")
        table.add_row(mark, diagnosis.subject, Text(visible(diagnosis.detail)))
    return table


def question_panel(job: Job, executions: Sequence[Execution]) -> RenderableType:
    """What was answered to one question: a row for each model, its regions side by side."""
    prompts = {e.prompt for e in executions if e.prompt}
    regions = list(dict.fromkeys(e.region for e in executions))
    table = Table("model", *regions, show_lines=True)
    for model in dict.fromkeys(e.model for e in executions):
        of_model = [e for e in executions if e.model == model]
        for arm in dict.fromkeys(e.arm for e in of_model):
            answers = [[e for e in of_model if (e.arm, e.region) == (arm, region)] for region in regions]
            name = model if len({e.arm for e in executions}) == 1 else f"{model} ({arm})"
            table.add_row(name, *map(_answer_text, answers))
    asked = Text(visible("\n".join(sorted(prompts))) or executions[0].question, "bold")
    return Group(Text(f"job {job.job_name}", "dim"), asked, table)


def _answer_text(executions: Sequence[Execution]) -> Text:
    """The answer of a cell; of several each text once, with how often it came."""
    if not executions:
        return Text("not asked", "dim")
    counted = Counter(map(_text_of, executions))
    if len(executions) == 1:
        return Text(*next(iter(counted)))
    texts = [
        Text.assemble((f"{number} × ", "dim"), (text, style))
        for (text, style), number in counted.most_common(SHOWN_TEXTS)
    ]
    more = len(counted) - len(texts)
    return Text("\n").join([*texts, *([Text(f"and {more} more texts", "dim")] if more else [])])


def _text_of(execution: Execution) -> tuple[str, str]:
    if execution.status is not Status.COMPLETED:
        return execution.status.value, "dim"
    kind = execution.answer_kind.value if execution.answer_kind else ""
    return (visible(execution.answer), "") if execution.answer else (f"({kind})", "dim")


def cell_panel(job: Job, executions: Sequence[Execution]) -> RenderableType:
    """The answers of one partition, one below the other."""
    table = Table("arm", "block", "sample", "seed", "status", "answer", show_lines=True)
    for execution in executions:
        kind = execution.answer_kind.value if execution.answer_kind else execution.status.value
        seed = "greedy" if execution.greedy else "model's" if execution.seed is None else str(execution.seed)
        place = (execution.arm, str(execution.block), str(execution.sample), seed, kind)
        table.add_row(*place, Text(*_text_of(execution)))
    prompts = {e.prompt for e in executions if e.prompt}
    asked = Text(visible("\n".join(sorted(prompts))) or executions[0].question, "bold")
    return Group(Text(f"job {job.job_name} ({Plan.of(job.plan)})", "dim"), asked, table)


def execution_panel(job: Job, execution: Execution, transitions: Sequence[Transition]) -> RenderableType:
    """Everything on record of one execution."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in _facts(job, execution):
        facts.add_row(Text(name, style="dim"), Text(visible(value)))
    history = Table("when", "status", "cause", "by", "detail", box=None, pad_edge=False)
    for change in transitions:
        source = f"{change.from_status.value} → " if change.from_status else ""
        history.add_row(
            f"{change.at:%Y-%m-%d %H:%M:%S}",
            f"{source}{change.to_status.value}",
            change.cause.value,
            change.actor,
            Text(visible(change.detail or "")),
        )
    answer = Text(visible(execution.answer)) if execution.answer is not None else Text("no answer", "dim")
    return Group(facts, Panel(answer, title="answer", title_align="left"), history)


def _facts(job: Job, execution: Execution) -> list[tuple[str, str]]:
    call, provenance = execution.newest_call, execution.provenance
    asked_once = Plan.of(job.plan).is_default
    facts: list[tuple[str, object]] = [
        ("job", job.job_name),
        ("execution", execution.id),
        ("status", execution.status.value),
        ("answer kind", execution.answer_kind and execution.answer_kind.value),
        (
            "failure",
            execution.failure_code and f"{execution.failure_code.value}: {execution.failure_message}",
        ),
        ("dead-lettered", execution.dead_lettered_at and f"{execution.dead_lettered_at:%Y-%m-%d %H:%M:%S}"),
        (
            "arm / block / sample",
            not asked_once and f"{execution.arm} / {execution.block} / {execution.sample}",
        ),
        ("seed", execution.seed),
        ("asked in / executed in", f"{execution.region} / {execution.executed_region or 'not yet'}"),
        ("attempts", str(len(execution.attempts))),
        ("provider call", call and f"{call.provider}: {call.provider_call_id or 'not accepted yet'}"),
        ("provider's word", call and call.status and call.status.value),
        (
            "tokens",
            execution.output_tokens is not None
            and f"{execution.prompt_tokens} in, {execution.output_tokens} out",
        ),
        ("finish reason", execution.finish_reason and execution.finish_reason.value),
        ("seconds", execution.seconds is not None and f"{execution.seconds:.3f}"),
        ("model revision", provenance and provenance.model_revision),
        (
            "made by",
            provenance and ", ".join(filter(None, (provenance.engine, provenance.dtype, provenance.device))),
        ),
        *_provenance_facts(provenance),
        ("token sha256", execution.output_token_sha256),
        ("system prompt", execution.system_prompt),
        ("prompt", execution.prompt),
        ("prompt as the model got it", execution.rendered_prompt),
        ("thoughts, not part of the answer", execution.reasoning),
    ]
    return [(name, str(value)) for name, value in facts if value]


def _provenance_facts(provenance: Provenance | None) -> list[tuple[str, object]]:
    if provenance is None:
        return []
    batch = [f"{provenance.batch_size} at once"] if provenance.batch_size else []
    return [
        ("batch", ", ".join([*batch, *([provenance.batching.value] if provenance.batching else [])])),
        ("attention", provenance.attention),
        ("CUDA / driver", provenance.cuda and f"{provenance.cuda} / {provenance.driver or 'not reported'}"),
        ("end token ids", provenance.end_token_ids and ", ".join(map(str, provenance.end_token_ids))),
        ("system prompt rendered as", provenance.rendering and provenance.rendering.value),
        ("rendered prompt sha256", provenance.rendered_prompt_sha256),
        ("chat template sha256", provenance.chat_template_sha256),
    ]


def alerts_view(memory: AlertState, targets: Sequence[str], problems: Sequence[str]) -> RenderableType:
    """What is wrong now, and how far it was reported."""
    table = Table("since (UTC)", "what is wrong", "how many", "job", box=None, pad_edge=False)
    for alert in memory.alerts:
        wording = wording_of(alert.cause)
        what = Text(f"{wording.subject} {wording.says}")
        what.append(f"\n{_some(list(alert.open))}\n{alert.remedy}" if alert.open else "", "dim")
        since, many = f"{alert.opened_at:%Y-%m-%d %H:%M}", str(len(alert.open))
        table.add_row(since, what, many, Text(alert.job or ""))
    lines = [f"alerts go to {', '.join(targets)}" if targets else "no target: set BEACON_ALERT_URLS"]
    waiting = Counter(name for message in memory.outbox for name in message.waiting)
    lines += [f"{count} messages wait for {name}" for name, count in sorted(waiting.items())]
    return Group(
        table if memory.alerts else Text("nothing is wrong"), Text(), *map(Text, [*lines, *problems])
    )
