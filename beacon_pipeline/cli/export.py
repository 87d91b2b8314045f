"""Commands that hand the record on, and check what was handed on."""

from __future__ import annotations

import sys

import click

from beacon_pipeline.cli.common import open_ledger


@click.command()
@click.argument("name", metavar="[JOB|STUDY]", required=False)
@click.option(
    "--to", "target", metavar="FOLDER|FILE.zip", required=True, help="A new folder, a zip file, or a URL."
)
def export(name: str | None, target: str) -> None:
    """Write all of a job or a study for others: tables, plan, catalog, findings, page.

    The same record gives the same bytes, and `beacon verify` checks them without this instance.
    A URL such as s3://bucket/folder needs the library that fsspec names for it.
    """
    from beacon_pipeline.findings.export.write import export as write
    from beacon_pipeline.findings.subject import subject_named

    with open_ledger() as ledger:
        write(ledger, subject_named(ledger, name), target)
    click.echo(target)


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
