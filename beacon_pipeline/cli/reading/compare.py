"""`beacon compare`: answers side by side."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from beacon_pipeline.cli.common import open_ledger, say_nearest

if TYPE_CHECKING:
    from beacon_pipeline.findings.compare import Comparison
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
