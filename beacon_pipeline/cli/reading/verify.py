"""`beacon verify`: check an export against itself."""

from __future__ import annotations

import sys

import click


@click.command()
@click.argument("target", metavar="EXPORT")
def verify(target: str) -> None:
    """Check an export against itself: digests, schema, registration, and every figure from the rows.

    Needs no instance. Exit code 1 where something is wrong; each fault is a line.
    """
    from beacon_pipeline.escaping import visible
    from beacon_pipeline.findings.export.verify import verified

    wrong = verified(target)
    for line in wrong:
        click.echo(visible(line))
    if wrong:
        sys.exit(1)
    click.echo(f"{target}: every digest, every row and every figure holds")
