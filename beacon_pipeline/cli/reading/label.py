"""The commands that label answers: by rules, and by people on a drawn sample."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from beacon_pipeline.cli.common import BadInput, find_job, open_ledger
from beacon_pipeline.escaping import visible

SHOWN = 10  # replies of a judge that cannot be read; all are on record

if TYPE_CHECKING:
    from beacon_pipeline.labels.agreement import Agreement
    from beacon_pipeline.ledger import Ledger
    from beacon_pipeline.ledger.records import Job


@click.group()
def label() -> None:
    """Judge answers as complete, evasive or refusal: by rules, and by people on a drawn sample."""


def _jobs(ledger: Ledger, names: tuple[str, ...]) -> list[Job]:
    return [find_job(ledger, name) for name in names] if names else [find_job(ledger, None)]


@label.command()
@click.argument("jobs", nargs=-1)
def rules(jobs: tuple[str, ...]) -> None:
    """Label the answers of JOBS (the newest job) by the rules, once for each version of them."""
    from beacon_pipeline.labels.rules import VERSION
    from beacon_pipeline.labels.work import label_by_rules
    from beacon_pipeline.ledger.status import LabelKind

    with open_ledger() as ledger:
        counts = label_by_rules(ledger, _jobs(ledger, jobs))
    shown = ", ".join(f"{counts[kind]} {kind.value}" for kind in LabelKind)
    click.echo(f"labelled by rules, version {VERSION}: {shown}")


@label.command()
@click.argument("jobs", nargs=-1)
@click.option("--size", type=click.IntRange(min=1), default=100, show_default=True, help="Answers to draw.")
@click.option("--seed", default="0", show_default=True, help="The same seed draws the same answers.")
@click.option("--name", help="The draw's name; made from the first job's and the seed if not given.")
def sample(jobs: tuple[str, ...], size: int, seed: str, name: str | None) -> None:
    """Draw answers of JOBS (the newest job) for people to label.

    The draw is random within model × arm × region × label by rules; the chance of each answer is kept.
    """
    from beacon_pipeline.labels.work import draw_answers

    with open_ledger() as ledger:
        chosen = _jobs(ledger, jobs)
        name = name or f"{chosen[0].job_name}-{seed}"
        drawn = draw_answers(ledger, chosen, size, name=name, seed=seed)
    strata = len({one.stratum for one in drawn})
    click.echo(f"drew {len(drawn)} answers of {strata} strata: {name}")
    click.echo(f"a sheet for each of two people: beacon label export {name} --rater NAME --out FILE")


@label.command()
@click.argument("draw")
@click.option("--rater", required=True, help="Who will fill the sheet in.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The sheet.")
@click.option("--disagreements", is_flag=True, help="Only what two raters labelled otherwise, to be decided.")
def export(draw: str, rater: str, out: Path, disagreements: bool) -> None:
    """Write the answers of DRAW as a CSV sheet that shows neither region nor model nor arm."""
    from beacon_pipeline.labels.sheets import written
    from beacon_pipeline.labels.work import asked_of_draw

    with open_ledger() as ledger:
        asked = asked_of_draw(ledger, draw, only_differing=disagreements)
    try:
        with out.open("x", encoding="utf-8", newline="") as file:
            file.write(written(asked, rater))
    except FileExistsError:
        raise BadInput(f"{out} is there already, perhaps filled in: give another --out") from None
    click.echo(f"{len(asked)} answers in {out}: fill in `kind` with complete, evasive or refusal")


@label.command(name="import")
@click.argument("sheet", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--guide", default=None, help="Version of the guide that the raters followed.")
@click.option("--adjudicator", is_flag=True, help="The sheet decides where two raters differ.")
def import_(sheet: Path, guide: str | None, adjudicator: bool) -> None:
    """Put the labels of a filled-in SHEET on record: all of them, or none where a row is wrong."""
    from beacon_pipeline.labels.sheets import read
    from beacon_pipeline.labels.work import GUIDE_VERSION, take_labels

    given = read(sheet.read_bytes())
    with open_ledger() as ledger:
        new = take_labels(ledger, given, version=guide or GUIDE_VERSION, adjudication=adjudicator)
    click.echo(f"{new} labels put on record, {len(given) - new} were there already")


@label.command()
@click.argument("draw")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def agreement(draw: str, as_json: bool) -> None:
    """How far the people who labelled DRAW agree: raw share, Cohen's kappa, Gwet's AC1, with intervals."""
    from beacon_pipeline.labels.agreement import agreements, differing
    from beacon_pipeline.labels.work import ids_of_draw, people_of

    with open_ledger() as ledger:
        labels = people_of(ledger.labels.of_executions(ids_of_draw(ledger, draw)))
    found = agreements(labels)
    if as_json:
        click.echo(json.dumps([_as_json(one) for one in found], indent=2))
        return
    for one in found:
        click.echo(_shown(one))
    if open_ones := differing(labels):
        decided = f"beacon label export {draw} --disagreements --rater NAME --out FILE"
        click.echo(f"{len(open_ones)} to be decided by a third person: {decided}")


@label.command()
@click.argument("jobs", nargs=-1)
@click.option(
    "--model", "model_id", required=True, help="The judge: a model of the catalog, of another family."
)
@click.option("--region", "region_name", help="Where it is served; its first region if not given.")
def judge(jobs: tuple[str, ...], model_id: str, region_name: str | None) -> None:
    """Have a model of another family label the answers of JOBS (the newest job).

    It sees question and answer alone. Its raw replies are on record; after a crash the same command goes
    on. Exit code 1: some answer has no label.
    """
    import asyncio

    from beacon_pipeline.catalog import load_catalog
    from beacon_pipeline.execution.resources import ProvidersResource
    from beacon_pipeline.findings.judge import judge_jobs
    from beacon_pipeline.ledger.status import LabelKind

    catalog = load_catalog()
    model = catalog.model(model_id)
    region = catalog.region(region_name).id if region_name else catalog.regions_of(model)[0]
    if region not in catalog.regions_of(model):
        raise BadInput(f"{model.id} is not served in {region}: {', '.join(catalog.regions_of(model))}")
    with open_ledger() as ledger:
        chosen, providers = _jobs(ledger, jobs), ProvidersResource().open(catalog)
        found = asyncio.run(judge_jobs(ledger, catalog, providers, chosen, model, region))
    shown = ", ".join(f"{found.kinds[kind]} {kind.value}" for kind in LabelKind)
    click.echo(f"labelled by {model.id}: {shown}; {len(found.unreadable)} unreadable")
    for line in (*found.failures, *found.unreadable[:SHOWN]):
        click.echo(visible(line), err=True)
    if found.open_calls:
        click.echo(f"{found.open_calls} calls go on: the same command waits for them", err=True)
    if found.failures or found.open_calls or found.unreadable:
        raise click.exceptions.Exit(1)


def _as_json(one: Agreement) -> dict[str, object]:
    """NaN is no JSON: what is not defined is null."""
    whole = asdict(one) | {"answers": one.answers}
    for name in ("share", "kappa", "ac1"):
        whole[name] = {key: None if math.isnan(value) else value for key, value in whole[name].items()}
    return whole


def _shown(one: Agreement) -> str:
    return visible(
        f"{one.labellers[0]} and {one.labellers[1]}, {one.answers} answers, {one.level:.0%} intervals\n"
        f"  same label     {one.share}\n  Cohen's kappa  {one.kappa}\n  Gwet's AC1     {one.ac1}"
    )
