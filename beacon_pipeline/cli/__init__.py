"""The ``beacon`` command. Thin: each command reads, calls one function, and shows.

Exit codes: 0 all is well, 1 some execution did not complete, 2 bad input or no service, 3 a fault of the
code itself. What becomes of an error is decided in `boundary.py`.
Heavy imports wait inside the commands, so that ``--help`` is quick.
"""

from __future__ import annotations

import click

from beacon_pipeline.cli.again import replicate, reproduce
from beacon_pipeline.cli.alerts import alerts
from beacon_pipeline.cli.ask import run, submit
from beacon_pipeline.cli.boundary import PlainGroup
from beacon_pipeline.cli.cancel import cancel
from beacon_pipeline.cli.catalog import catalog
from beacon_pipeline.cli.check import check
from beacon_pipeline.cli.compare import compare, findings
from beacon_pipeline.cli.deployments import deploy, doctor
from beacon_pipeline.cli.dev import dev
from beacon_pipeline.cli.export import export, verify
from beacon_pipeline.cli.instance import instance
from beacon_pipeline.cli.label import label
from beacon_pipeline.cli.look import jobs, show, status
from beacon_pipeline.cli.page import page
from beacon_pipeline.cli.reconcile import reconcile
from beacon_pipeline.cli.study import study


@click.group(cls=PlainGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="beacon-pipeline")
def main() -> None:
    """Ask the same questions of the same models in several regions, and compare the answers."""


for command in (
    run,
    submit,
    study,
    cancel,
    status,
    jobs,
    show,
    compare,
    findings,
    page,
    export,
    verify,
    reproduce,
    replicate,
    check,
    reconcile,
    alerts,
    dev,
    deploy,
    doctor,
    catalog,
    label,
    instance,
):
    main.add_command(command)
