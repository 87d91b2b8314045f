"""`beacon findings`: what a study's answers show of each of its claims."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from beacon_pipeline.cli.common import open_ledger

if TYPE_CHECKING:
    from beacon_pipeline.findings.finding import Finding
    from beacon_pipeline.findings.subject import Subject


@click.command()
@click.argument("study", metavar="[STUDY]", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def findings(study: str | None, as_json: bool) -> None:
    """Say what a study's answers show of each of its claims; default: the newest job's study."""
    from beacon_pipeline.findings.subject import NothingAsked, findings_of, subject_named

    with open_ledger() as ledger:
        subject = subject_named(ledger, study)
        if subject.study is None:
            raise NothingAsked(
                f"job {subject.name} is of no study, and only a study's claims are tested: "
                "`beacon compare` sets its answers side by side"
            )
        registered = ledger.studies.versions(subject.study)
        found = findings_of(ledger, subject)
    if as_json:
        click.echo(json.dumps([one.as_dict() for one in found], indent=2))
        return
    for line in _lines(subject, bool(registered), found):
        click.echo(line)


def _lines(subject: Subject, registered: bool, found: tuple[Finding, ...]) -> Iterator[str]:
    from beacon_pipeline.escaping import one_line

    if not registered:
        yield f"study {subject.name} is not on record: `beacon study register FILE`"
        return
    if not found:
        yield f"study {subject.name}: no look has ended: there is no finding yet"
        return
    yield f"study {subject.name}, version {found[0].version}: {len(found)} findings"
    for one in found:
        yield f"- {one.claim}: {one_line(one.sentence(), 2_000)}"
