"""Where pages are, and the way from a name on record to a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from beacon_pipeline import environment
from beacon_pipeline.findings.finding import Finding
from beacon_pipeline.findings.page.build import page_of, write_page
from beacon_pipeline.findings.page.words import Beside
from beacon_pipeline.findings.subject import Subject, findings_of
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.monitoring.alerts.past import AlertSpan


class WrittenPage(NamedTuple):
    """Where a page is, and what came in a few lines, as it stands there."""

    path: Path
    described: list[str]


def write_page_of(
    ledger: Ledger,
    subject: Subject,
    beside: Subject | None = None,
    output: Path | None = None,
    findings: Sequence[Finding] | None = None,
    alerts: Sequence[AlertSpan] = (),
) -> WrittenPage:
    """Write the page of a subject, by default into the instance's folder `pages`.

    ``findings``: where they are known; else they are made. ``alerts``: what was reported of its partitions.
    Raises PageError, LedgerUnavailable, OSError.
    """
    name = f"{subject.name} beside {beside.name}" if beside else subject.name
    path = output or environment.home() / "pages" / f"{file_name(name)}.html"
    found = findings_of(ledger, subject) if findings is None else findings
    other = Beside(beside, findings_of(ledger, beside)) if beside else None
    page = page_of(ledger, subject, beside=other, findings=found, alerts=alerts)
    write_page(path, page.html)
    return WrittenPage(path, page.described)


def file_name(name: str) -> str:
    """A name as a file's: what a file system could take for something else becomes a dash."""
    return "".join(each if each.isalnum() or each in "-_." else "-" for each in name).strip(".") or "page"
