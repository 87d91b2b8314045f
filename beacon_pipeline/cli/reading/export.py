"""`beacon export`: all of a job or a study, written for others."""

from __future__ import annotations

import click

from beacon_pipeline.cli.common import open_ledger


@click.command()
@click.argument("name", metavar="[JOB|STUDY]", required=False)
@click.option(
    "--to", "target", metavar="FOLDER|FILE.zip", required=True, help="A new folder, a zip file, or a URL."
)
@click.option("--inspect", is_flag=True, help="Write logs for Inspect's viewer instead: a folder.")
def export(name: str | None, target: str, inspect: bool) -> None:
    """Write all of a job or a study for others: tables, plan, catalog, findings, page.

    The same record gives the same bytes, and `beacon verify` checks them without this instance.
    A URL such as s3://bucket/folder needs the library that fsspec names for it.
    """
    from beacon_pipeline.findings.subject import subject_named

    with open_ledger() as ledger:
        subject = subject_named(ledger, name)
        if inspect:
            from beacon_pipeline.findings.export.inspect_logs import write_logs

            write_logs(ledger, subject, target)
        else:
            from beacon_pipeline.findings.export.write import export as write

            write(ledger, subject, target)
    click.echo(target)
