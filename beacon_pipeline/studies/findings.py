"""What stands of a study: its claims evaluated over the looks that are settled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from beacon_pipeline.catalog.study import Study
from beacon_pipeline.ledger.reader import LedgerReader
from beacon_pipeline.studies.looks import Look

if TYPE_CHECKING:
    from beacon_pipeline.findings.finding import Finding


def findings_of(ledger: LedgerReader, study: Study, looks: list[Look]) -> list[Finding]:
    """A finding for each claim, over the looks that have ended; none where there is no such look.

    A look that is still under way is left out: to judge while answers come in would be a look of its own.
    """
    from beacon_pipeline.findings.evaluate import evaluate  # pandas and scipy take a second to load
    from beacon_pipeline.findings.frames import answers, labels

    jobs = [look.job for look in looks if look.job is not None and look.is_settled]
    return evaluate(study, answers(ledger, jobs), labels(ledger, jobs)) if jobs else []
