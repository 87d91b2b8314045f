"""The command that writes the page that people read."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

import click

from beacon_pipeline.cli.common import open_ledger

if TYPE_CHECKING:
    from beacon_pipeline.findings.subject import Subject
    from beacon_pipeline.ledger import Ledger


@click.command()
@click.argument("name", metavar="[JOB|STUDY]", required=False)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="The file to write.")
@click.option("--beside", metavar="JOB|STUDY", help="Compare with this one, answer by answer.")
@click.option("--open", "opened", is_flag=True, help="Open it in a browser.")
def page(name: str | None, output: Path | None, beside: str | None, opened: bool) -> None:
    """Write one HTML file with all answers of a job or a study; default: the newest job.

    It needs no network and no server: read it in any browser, send it to anyone.
    """
    from beacon_pipeline.findings.subject import subject_named

    with open_ledger() as ledger:
        subject = subject_named(ledger, name)
        path = write(ledger, subject, subject_named(ledger, beside) if beside else None, output)
    click.echo(path)
    if opened:
        webbrowser.open(path.absolute().as_uri())


def write(
    ledger: Ledger, subject: Subject, beside: Subject | None = None, output: Path | None = None
) -> Path:
    """Write the page of a subject, by default into the instance folder; where it is."""
    from beacon_pipeline import environment
    from beacon_pipeline.findings.page import page_of, write_page
    from beacon_pipeline.findings.subject import findings_of

    name = f"{subject.name} beside {beside.name}" if beside else subject.name
    path = output or environment.home() / "pages" / f"{file_name(name)}.html"
    others = beside.jobs if beside else ()
    found = findings_of(ledger, subject)
    write_page(path, page_of(ledger, subject.jobs, beside=others, study=subject.study, findings=found))
    return path


def file_name(name: str) -> str:
    """A name as a file's: what a file system could take for something else becomes a dash."""
    return "".join(each if each.isalnum() or each in "-_." else "-" for each in name).strip(".") or "page"
