"""`beacon reproduce`: ask an export's questions again with the same seeds."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

import click

from beacon_pipeline.cli.asking.following import launch_and_follow
from beacon_pipeline.cli.common import open_instance, open_ledger, require_sound

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from beacon_pipeline.ledger import Ledger
    from beacon_pipeline.ledger.records import Job
    from beacon_pipeline.studies.reproduce import Asked


@click.command()
@click.argument("target", metavar="EXPORT")
def reproduce(target: str) -> None:
    """Ask an export's questions again with the same seeds, and compare the tokens.

    The models are those of this catalog. Exit code 1 where some answer is another: each is named, with what
    is on record of how it was made otherwise. Equal tokens replicate no finding: see `beacon replicate`.
    """
    from beacon_pipeline.escaping import visible
    from beacon_pipeline.findings.export.files import read_rows
    from beacon_pipeline.findings.export.tables import ANSWERS
    from beacon_pipeline.findings.export.verify import opened
    from beacon_pipeline.findings.rows import answer_rows
    from beacon_pipeline.studies.reproduce import asked_in, compared, lines

    require_sound(target)
    differs = False
    with opened(target) as folder, open_ledger() as ledger, open_instance() as instance:
        for old in asked_in(folder):
            job = _ask_again(ledger, instance, old)
            before = (row for row in read_rows(folder, ANSWERS) if row["job"] == old.job)
            found = compared(before, answer_rows(ledger, [job]))
            click.echo(f"{visible(old.job)} against {job.job_name}")
            for line in lines(found):
                click.echo(visible(line))
            differs |= any(one.differing or one.without for one in found.values())
    sys.exit(1 if differs else 0)


def _ask_again(ledger: Ledger, instance: DagsterInstance, old: Asked) -> Job:
    from beacon_pipeline.catalog import load_catalog
    from beacon_pipeline.execution.resources import ProvidersResource
    from beacon_pipeline.jobs.launch import ask, check_can_ask
    from beacon_pipeline.studies.reproduce import require_known

    catalog = load_catalog()
    require_known(old, catalog)
    providers = ProvidersResource().open(catalog)
    check_can_ask(ledger, catalog, providers, old.cells, new_job=True, plan=old.plan)
    launch = partial(ask, ledger, instance, catalog, old.cells, new_job=True, plan=old.plan)
    launch = partial(launch, actor="beacon reproduce")
    goes_on = f"`beacon run --seed {old.plan.seed}`" if old.plan.seed else "`beacon dev`"
    return launch_and_follow(launch, ledger, instance, catalog, goes_on=goes_on).job
