"""`beacon run`: ask the catalog's questions now."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from beacon_pipeline.cli.asking.following import SAME_COMMAND, launch_and_follow, report_and_exit
from beacon_pipeline.cli.common import BadInput, open_instance, open_ledger

if TYPE_CHECKING:
    from beacon_pipeline.catalog import Catalog
    from beacon_pipeline.catalog.plan import Plan
    from beacon_pipeline.ledger.records import Cell

SEED_BYTES = 16


@click.command()
@click.option("--region", "regions", multiple=True, help="A region, by any of its names. Repeatable.")
@click.option("--model", "models", multiple=True, help="A model of the catalog. Repeatable.")
@click.option("--question", "questions", multiple=True, help="A question of the catalog. Repeatable.")
@click.option(
    "--arm", "arms", multiple=True, help="A system prompt by name, `regional` each region's. Repeatable."
)
@click.option(
    "--samples", type=click.IntRange(1, 10_000), help="Answers for each arm and block, sampled apart."
)
@click.option(
    "--blocks", type=click.IntRange(1, 10_000), help="Rounds, each with one call for every deployment."
)
@click.option("--temperature", type=float, help="0: always the likeliest token. Default: the model's.")
@click.option(
    "--top-p", type=float, help="Share of the likeliest tokens to sample from. Default: the model's."
)
@click.option("--max-new-tokens", type=int, help="Longest answer. Default: the model's.")
@click.option("--seed", help="Hexadecimal, of an earlier job: asked again as it was.")
@click.option("--new-job", is_flag=True, help="Ask afresh, even if a recent job is unfinished.")
@click.option("--json", "as_json", is_flag=True, help="Print the job's report as JSON.")
def run(
    regions: tuple[str, ...],
    models: tuple[str, ...],
    questions: tuple[str, ...],
    new_job: bool,
    as_json: bool,
    **asked_how: Any,
) -> None:
    """Ask, in Dagster runs, and follow them to their end.

    Goes on with the newest recent job in which some of the chosen executions are not settled, where it asks
    the same way: what its calls have answered is read, never asked again. With --seed alone, as the job
    asked that had this seed; options beside it say how instead.
    """
    from beacon_pipeline.catalog import load_catalog
    from beacon_pipeline.execution.resources import ProvidersResource
    from beacon_pipeline.jobs.launch import ask, asked_with_seed, check_can_ask

    catalog = load_catalog()
    cells = catalog.cells(regions, models, questions)
    if not cells:
        raise BadInput("no model is served in the chosen regions")
    plan = _plan(catalog, cells, **asked_how)
    seed = asked_how.pop("seed")
    with open_ledger() as ledger, open_instance() as instance:
        if seed is not None and not any(value not in (None, ()) for value in asked_how.values()):
            plan, before = asked_with_seed(ledger, seed) or (plan, ())
            if before and not (regions or models or questions):
                cells = tuple(cell for cell in before if cell in set(cells))
                if not cells:
                    raise BadInput(f"the job with seed {seed} asked nothing that this catalog asks")
        how: dict[str, Any] = {"new_job": new_job, "plan": plan, "same_seed": seed is not None}
        check_can_ask(ledger, catalog, ProvidersResource().open(catalog), cells, **how)
        launch = partial(ask, ledger, instance, catalog, cells, **how)
        goes_on = f"{SAME_COMMAND} without --new-job" if new_job else SAME_COMMAND
        asked = launch_and_follow(launch, ledger, instance, catalog, goes_on=goes_on)
        report_and_exit(asked.job, ledger, instance, catalog, as_json)


def _plan(
    catalog: Catalog, cells: Sequence[Cell], *, arms: tuple[str, ...], blocks: int | None, **given: Any
) -> Plan:
    """The plan that the options name; without any, that of the catalog. Raises PlanError, UnknownName."""
    from beacon_pipeline.catalog.plan import DEFAULT_PLAN, planned

    fields = {name: value for name, value in given.items() if value is not None}
    if not arms and blocks is None and not fields:
        return DEFAULT_PLAN
    fields |= {"arms": arms} if arms else {}
    fields |= {"blocks": tuple(range(1, blocks + 1))} if blocks else {}
    models = {cell.model for cell in cells}
    return planned(
        catalog,
        [model for model in catalog.models if model.id in models],
        **{"seed": secrets.token_hex(SEED_BYTES)} | fields,
    )
