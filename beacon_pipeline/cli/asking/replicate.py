"""`beacon replicate`: ask an export's study again with fresh seeds, and judge its findings."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING

import click

from beacon_pipeline.cli.asking.following import launch_and_follow
from beacon_pipeline.cli.common import BadInput, open_instance, open_ledger, require_sound

if TYPE_CHECKING:
    from beacon_pipeline.catalog.study import Study
    from beacon_pipeline.findings.finding import Finding


@click.command()
@click.argument("target", metavar="EXPORT")
@click.option("--check", "only_check", is_flag=True, help="Only say what would be asked.")
@click.option(
    "--provider", help="Ask its models of this provider, local, modal or http, whatever the catalog says."
)
def replicate(target: str, only_check: bool, provider: str | None) -> None:
    """Ask an export's study again with fresh seeds and blocks, and judge each of its findings.

    The plan is the study's, with so many blocks that half of each effect is found in 9 of 10 cases; it is
    registered before it is asked. Exit code 1 where some finding is not replicated.
    """
    from beacon_pipeline import environment
    from beacon_pipeline.studies.replicate import replication_of

    require_sound(target)
    study, found = _study_in(target)
    again = replication_of(study, found)
    executions = len(again.cells) * again.blocks * len(again.arms) * again.samples
    click.echo(
        f"{again.id}: {len(again.claims)} claims, {again.blocks} blocks (the study had {study.blocks}), "
        f"{executions} answers and their probes"
    )
    if provider is not None:
        # The runs are other processes: they read it from their environment, as the daemon that starts them.
        os.environ[environment.PROVIDER] = f"{provider}:{','.join(again.models)}"
    if not only_check:
        _replicate(again, study.seed, found)


def _replicate(again: Study, original_seed: str | None, found: list[Finding]) -> None:
    from beacon_pipeline.catalog import load_catalog
    from beacon_pipeline.execution.resources import ProvidersResource
    from beacon_pipeline.findings.replication import Replication
    from beacon_pipeline.jobs.launch import check_can_ask
    from beacon_pipeline.studies.findings import what_stands
    from beacon_pipeline.studies.looks import look_to_run, looks_of
    from beacon_pipeline.studies.register import register
    from beacon_pipeline.studies.replicate import as_asked_here, judged
    from beacon_pipeline.studies.run import ask_look

    catalog = load_catalog()
    again = as_asked_here(again, catalog)
    with open_ledger() as ledger, open_instance() as instance:
        check_can_ask(ledger, catalog, ProvidersResource().open(catalog), again.cells, new_job=True)
        study = register(ledger, again).study
        look = look_to_run(looks_of(ledger, study))
        launch = partial(ask_look, ledger, instance, catalog, study, look, actor="beacon replicate")
        launch_and_follow(launch, ledger, instance, catalog)
        results = judged(study, original_seed, found, what_stands(ledger, study))
    for before, now, outcome in results:
        was = f"{before.effect:+.2f}" if before.effect is not None else "none"
        click.echo(f"{now.claim}: {outcome}. It was {was}. {now.sentence()}")
    replicated = [outcome for _, _, outcome in results if outcome is Replication.REPLICATED]
    sys.exit(0 if results and len(replicated) == len(results) else 1)


def _study_in(target: str) -> tuple[Study, list[Finding]]:
    from beacon_pipeline.catalog.study_plan import study_on_record
    from beacon_pipeline.findings.export.figures import findings
    from beacon_pipeline.findings.export.verify import opened, record_in

    with opened(target) as folder:
        record = record_in(folder)
        if record is None:
            raise BadInput(f"{target} is of no study: it has no findings to replicate")
        study = study_on_record(record)
        return study, findings(folder, study)
