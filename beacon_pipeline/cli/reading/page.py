"""The command that writes the page that people read."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import click

from beacon_pipeline.cli.common import open_instance, open_ledger


@click.command()
@click.argument("name", metavar="[JOB|STUDY]", required=False)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="The file to write.")
@click.option("--beside", metavar="JOB|STUDY", help="Compare with this one, answer by answer.")
@click.option("--open", "opened", is_flag=True, help="Open it in a browser.")
def page(name: str | None, output: Path | None, beside: str | None, opened: bool) -> None:
    """Write one HTML file with all answers of a job or a study; default: the newest job.

    It needs no network and no server: read it in any browser, send it to anyone.
    """
    from beacon_pipeline.findings.page import write_page_of
    from beacon_pipeline.findings.subject import subject_named
    from beacon_pipeline.monitoring.alerts.tick import reported

    with open_ledger() as ledger, open_instance() as instance:
        subject = subject_named(ledger, name)
        other = subject_named(ledger, beside) if beside else None
        path = write_page_of(ledger, subject, other, output, alerts=reported(instance)).path
    click.echo(path)
    if opened:
        webbrowser.open(path.absolute().as_uri())
