"""Commands about what has to be there before anything can be asked."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import click

from beacon_pipeline.cli.common import BadInput


@click.command()
@click.option("--dry-run", is_flag=True, help="Write the manifest, and say what would be deployed.")
def deploy(dry_run: bool) -> None:
    """Deploy the catalog's Modal models: two classes for each model in each region.

    Deploying costs nothing; containers start when something is asked, and stop when nothing is.
    """
    from beacon_pipeline import environment
    from beacon_pipeline.catalog import load_catalog
    from beacon_pipeline.catalog.modal_specs import modal_deployments
    from inference.modal.spec import MANIFEST_VARIABLE, class_name, write_manifest

    catalog = load_catalog()
    specs = modal_deployments(catalog)
    if not specs:
        raise BadInput(f"catalog {catalog.name!r} has no model with `provider: modal`: nothing to deploy")
    manifest = environment.modal_manifest()
    manifest.parent.mkdir(parents=True, exist_ok=True)
    write_manifest(manifest, specs)
    for spec in specs:
        gpus = " or ".join(spec.gpu) or "CPU"
        limit = f"at most {spec.max_containers} containers"
        click.echo(f"{class_name(spec.deployment)}: {spec.deployment} in {spec.placement} on {gpus}, {limit}")
    command = ["modal", "deploy", "-m", "inference.modal.app"]
    if dry_run:
        click.echo(f"not deployed; what would be run: {MANIFEST_VARIABLE}={manifest} {' '.join(command)}")
        return
    from beacon_pipeline.execution.preflight import check_deployable
    from beacon_pipeline.execution.providers import SHIPPED

    asyncio.run(check_deployable(SHIPPED["modal"](catalog), specs))
    done = subprocess.run(
        [sys.executable, "-m", *command],
        env=os.environ | {MANIFEST_VARIABLE: str(manifest)},
        cwd=Path(__file__).parents[2],
        check=False,
    )
    if done.returncode != 0:
        raise BadInput(f"`{' '.join(command)}` failed with exit code {done.returncode}")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> None:
    """Look whether everything is there that asking needs. Asks no model, and changes nothing.

    Exit code 0 when all is well, 1 when something is missing.
    """
    from beacon_pipeline import environment
    from beacon_pipeline.execution.resources import ProvidersResource
    from beacon_pipeline.monitoring.doctor import (
        examine_catalog,
        examine_database,
        examine_environment,
        examine_instance,
        examine_other_weights,
        examine_own_checks,
        examine_providers,
        examine_weights,
        versions,
    )

    catalog, diagnoses = examine_catalog()
    faults = examine_environment()
    diagnoses = [versions(), *faults, *diagnoses, examine_database(environment.database_url())]
    if not faults:  # else it has said why Dagster cannot be opened
        diagnoses += examine_instance(environment.home())
    if catalog is not None:
        diagnoses += examine_own_checks(catalog)
        diagnoses += examine_weights(catalog) + examine_other_weights(catalog)
        diagnoses += examine_providers(catalog, ProvidersResource().open(catalog))
    # A password may be where no one expects it: an address given as a folder, say.
    diagnoses = [replace(diagnosis, detail=environment.masked(diagnosis.detail)) for diagnosis in diagnoses]
    if as_json:
        click.echo(json.dumps([diagnosis.to_json() for diagnosis in diagnoses], indent=2))
    else:
        from rich.console import Console

        from beacon_pipeline.cli.matrix import diagnoses_table

        Console().print(diagnoses_table(diagnoses))
    sys.exit(0 if all(diagnosis.ok for diagnosis in diagnoses) else 1)
