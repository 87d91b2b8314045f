"""The ``beacon`` command. Thin: each command reads, calls one function, and shows.

Exit codes: 0 all is well, 1 some execution did not complete, 2 bad input or no service.
Heavy imports wait inside the commands, so that ``--help`` is quick.
"""

from __future__ import annotations

import click

from beacon_pipeline.cli.ask import run
from beacon_pipeline.cli.check import check
from beacon_pipeline.cli.look import jobs, show, status
from beacon_pipeline.cli.serve import dev


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="beacon-pipeline")
def main() -> None:
    """Ask the same questions of the same models in several regions, and compare the answers."""


for command in (run, status, jobs, show, check, dev):
    main.add_command(command)
