"""`beacon deploy`: the catalog's Modal models as functions at Modal."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
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
        cwd=Path(__file__).parents[3],
        check=False,
    )
    if done.returncode != 0:
        raise BadInput(f"`{' '.join(command)}` failed with exit code {done.returncode}")
