"""What stands of a study: its claims evaluated over the looks that have ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from beacon_pipeline.catalog.study import Study
from beacon_pipeline.findings.subject import Subject, findings_of
from beacon_pipeline.ledger.labels import LedgerLabels
from beacon_pipeline.studies.looks import Look

if TYPE_CHECKING:
    from beacon_pipeline.findings.finding import Finding


def what_stands(ledger: LedgerLabels, study: Study, looks: list[Look]) -> tuple[Finding, ...]:
    """A finding for each claim, over the looks that have ended; none where there is no such look.

    A look that is still under way is left out: to judge while answers come in would be a look of its own.
    """
    jobs = tuple(look.job for look in looks if look.job is not None and look.is_settled)
    return findings_of(ledger, Subject(jobs, study.id), study.version) if jobs else ()
