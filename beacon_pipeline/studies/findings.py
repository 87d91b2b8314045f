"""What stands of a study: its claims evaluated over the looks that have ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from beacon_pipeline.catalog.study import Study
from beacon_pipeline.findings.subject import Subject, findings_of, jobs_of_study
from beacon_pipeline.ledger import Ledger

if TYPE_CHECKING:
    from beacon_pipeline.findings.finding import Finding


def what_stands(ledger: Ledger, study: Study) -> tuple[Finding, ...]:
    """What the answers say of a registered study's claims so far, as `findings_of`; nothing before any."""
    jobs = jobs_of_study(ledger, study.id)
    return findings_of(ledger, Subject(jobs, study.id), study.version) if jobs else ()
