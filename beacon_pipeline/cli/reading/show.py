"""`beacon show`: what is on record of one partition, or of one question."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from beacon_pipeline.cli.common import BadInput, find_job, open_ledger, say_nearest

if TYPE_CHECKING:
    from beacon_pipeline.ledger import Ledger
    from beacon_pipeline.ledger.records import Execution, Job


@click.command()
@click.argument("partition", required=False)
@click.option("--question", help="A question: its answers from every region, side by side.")
@click.option("--model", help="With --question: of this model only.")
@click.option("--arm", help="With a PARTITION: answers of this arm only.")
@click.option("--block", type=int, help="With a PARTITION: answers of this block only.")
@click.option("--sample", type=int, help="With a PARTITION: this sample only.")
@click.option("--job", "job_name", help="A job; default: the newest.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; of several answers, a list.")
def show(
    partition: str | None,
    question: str | None,
    model: str | None,
    arm: str | None,
    block: int | None,
    sample: int | None,
    job_name: str | None,
    as_json: bool,
) -> None:
    """Show what is on record of one PARTITION, such as eu:tiny-mistral|identity_basic, or of a question."""
    if (partition is None) == (question is None):
        raise BadInput("name a PARTITION such as eu:tiny-mistral|identity_basic, or give --question")
    if model is not None and question is None:
        raise BadInput("--model goes with --question")
    chosen = {name: value for name, value in (("arm", arm), ("block", block), ("sample", sample)) if value}
    if chosen and partition is None:
        raise BadInput(f"--{next(iter(chosen))} goes with a PARTITION")
    with open_ledger() as ledger:
        job = find_job(ledger, job_name)
        if partition is not None:
            _show_one(ledger, job, partition, chosen, as_json)
        else:
            _show_question(ledger, job, str(question), model, as_json)


def _show_one(
    ledger: Ledger, job: Job, partition: str, chosen: Mapping[str, str | int], as_json: bool
) -> None:
    from beacon_pipeline.catalog import load_catalog
    from beacon_pipeline.catalog.partitions import cell_of, key_of
    from beacon_pipeline.cli.report import record_of
    from beacon_pipeline.ledger.records import Cell

    named = cell_of(partition)
    cell = Cell(load_catalog().named_region(named.region) or named.region, named.model, named.question)
    found = ledger.executions.of_job(job.id, [cell])
    if not found:
        if elsewhere := ledger.executions.newest([cell]):
            raise BadInput(_in_another_job(partition, job, ledger, elsewhere[0]))
        say_nearest("partition", partition, [key_of(e.cell) for e in ledger.executions.of_job(job.id)])
    for name, value in chosen.items():
        kept = [e for e in found if getattr(e, name) == value]
        if not kept:
            say_nearest(name, str(value), sorted({str(getattr(e, name)) for e in found}))
        found = kept
    if as_json:
        records = [record_of(job, e, ledger.executions.transitions(e.id)) for e in found]
        click.echo(json.dumps(records if len(records) > 1 else records[0], indent=2))
        return
    from rich.console import Console

    from beacon_pipeline.cli.matrix import cell_panel, execution_panel

    one = len(found) == 1
    Console().print(
        execution_panel(job, found[0], ledger.executions.transitions(found[0].id))
        if one
        else cell_panel(job, found)
    )


def _in_another_job(partition: str, job: Job, ledger: Ledger, there: Execution) -> str:
    name = ledger.jobs.names([there.job_id])[there.job_id]
    return f"job {job.job_name} does not ask {partition}: add --job {name}, the newest that does"


def _show_question(ledger: Ledger, job: Job, question: str, model: str | None, as_json: bool) -> None:
    from beacon_pipeline.cli.report import record_of

    executions = ledger.executions.of_job(job.id)
    of_question = [e for e in executions if e.question == question]
    if not of_question:
        say_nearest("question", question, sorted({e.question for e in executions}))
    found = [e for e in of_question if model in (None, e.model)]
    if not found:
        say_nearest("model", str(model), sorted({e.model for e in of_question}))
    if as_json:
        click.echo(json.dumps([record_of(job, execution) for execution in found], indent=2))
        return
    from rich.console import Console

    from beacon_pipeline.cli.matrix import question_panel

    Console().print(question_panel(job, found))
