"""The ``beacon`` command. Thin: each command reads, calls one function, and shows.

Exit codes: 0 all is well, 1 some execution did not complete, 2 bad input or no service, 3 a fault of the
code itself. What becomes of an error is decided in `boundary.py`.
Heavy imports wait inside the commands, so that ``--help`` is quick.
"""

from __future__ import annotations

import click

from beacon_pipeline.cli.asking.cancel import cancel
from beacon_pipeline.cli.asking.replicate import replicate
from beacon_pipeline.cli.asking.reproduce import reproduce
from beacon_pipeline.cli.asking.run import run
from beacon_pipeline.cli.asking.study import study
from beacon_pipeline.cli.asking.submit import submit
from beacon_pipeline.cli.boundary import PlainGroup
from beacon_pipeline.cli.reading.compare import compare
from beacon_pipeline.cli.reading.export import export
from beacon_pipeline.cli.reading.findings import findings
from beacon_pipeline.cli.reading.jobs import jobs
from beacon_pipeline.cli.reading.label import label
from beacon_pipeline.cli.reading.page import page
from beacon_pipeline.cli.reading.show import show
from beacon_pipeline.cli.reading.status import status
from beacon_pipeline.cli.reading.verify import verify
from beacon_pipeline.cli.upkeep.alerts import alerts
from beacon_pipeline.cli.upkeep.catalog import catalog
from beacon_pipeline.cli.upkeep.check import check
from beacon_pipeline.cli.upkeep.deploy import deploy
from beacon_pipeline.cli.upkeep.dev import dev
from beacon_pipeline.cli.upkeep.doctor import doctor
from beacon_pipeline.cli.upkeep.instance import instance
from beacon_pipeline.cli.upkeep.reconcile import reconcile
from beacon_pipeline.garbage import OF_A_COMMAND, look_seldom

look_seldom(OF_A_COMMAND)


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
