"""`beacon doctor`: whether everything is there that asking needs."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import click


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
    if not faults:  # else they name why Dagster cannot be opened
        diagnoses += examine_instance(environment.settle_home())
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
