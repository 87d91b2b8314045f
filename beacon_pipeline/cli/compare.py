"""Commands that set answers side by side, and say what a study found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from beacon_pipeline.cli.common import open_ledger, say_nearest

if TYPE_CHECKING:
    from beacon_pipeline.findings.compare import Comparison
    from beacon_pipeline.findings.finding import Finding
    from beacon_pipeline.findings.subject import Subject
    from beacon_pipeline.ledger import Ledger


@click.command()
@click.argument("name", metavar="[JOB|STUDY]", required=False)
@click.option("--question", help="The answers to this question only.")
@click.option("--model", help="Answers of this model only.")
@click.option("--only-different", is_flag=True, help="Leave out what all regions and arms answer alike.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def compare(
    name: str | None, question: str | None, model: str | None, only_different: bool, as_json: bool
) -> None:
    """Set answers side by side, with the words that differ marked; default: the newest job.

    It needs no study, and tests nothing: what a difference means, `beacon findings` says of a study.
    """
    from beacon_pipeline.findings.subject import subject_named

    with open_ledger() as ledger:
        subject = subject_named(ledger, name)
        found = _comparisons(ledger, subject, question, model)
    shown = [one for one in found if one.different or not only_different]
    if as_json:
        click.echo(json.dumps([one.as_dict() for one in shown], indent=2))
        return
    from rich.console import Console

    from beacon_pipeline.cli.side_by_side import comparison_panel, summary_line

    console = Console()
    for one in shown:
        console.print(comparison_panel(one, styled=console.is_terminal))
    console.print(summary_line(subject.name, found, len(shown)))


def _comparisons(
    ledger: Ledger, subject: Subject, question: str | None, model: str | None
) -> list[Comparison]:
    from beacon_pipeline.findings.compare import comparisons
    from beacon_pipeline.findings.rows import Row, answer_rows

    models, questions = set(), set()

    def chosen() -> Iterator[Row]:
        for row in answer_rows(ledger, subject.jobs):
            models.add(row["model"])
            questions.add(row["question"])
            if question in (None, row["question"]) and model in (None, row["model"]):
                yield row

    found = comparisons(chosen())
    if not found:
        for kind, given, known in (("question", question, questions), ("model", model, models)):
            if given is not None and given not in known:
                say_nearest(kind, given, sorted(known))
    return found


@click.command()
@click.argument("study", metavar="[STUDY]", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def findings(study: str | None, as_json: bool) -> None:
    """Say what a study's answers show of each of its claims; default: the newest job's study."""
    from beacon_pipeline.findings.subject import NothingAsked, findings_of, subject_named

    with open_ledger() as ledger:
        subject = subject_named(ledger, study)
        if subject.study is None:
            raise NothingAsked(
                f"job {subject.name} is of no study, and only a study's claims are tested: "
                "`beacon compare` sets its answers side by side"
            )
        registered = ledger.studies(subject.study)
        found = findings_of(ledger, subject)
    if as_json:
        click.echo(json.dumps([one.as_dict() for one in found], indent=2))
        return
    for line in _lines(subject, bool(registered), found):
        click.echo(line)


def _lines(subject: Subject, registered: bool, found: tuple[Finding, ...]) -> Iterator[str]:
    from beacon_pipeline.escaping import one_line

    if not registered:
        yield f"study {subject.name} is not on record: `beacon study register FILE`"
        return
    if not found:
        yield f"study {subject.name}: no look has ended: nothing can be said yet"
        return
    yield f"study {subject.name}, version {found[0].version}: {len(found)} findings"
    for one in found:
        yield f"- {one.claim}: {one_line(one.sentence(), 2_000)}"
