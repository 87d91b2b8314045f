"""What a page or an export is of: a job, or all jobs of a study."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from beacon_pipeline.catalog import UnknownName
from beacon_pipeline.errors import BeaconError
from beacon_pipeline.labels.work import RULES, label_by_rules
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.parts.jobs import JOBS_LOOKED_AT
from beacon_pipeline.ledger.records import Job

if TYPE_CHECKING:
    from beacon_pipeline.findings.finding import Finding

# The kind of answer on record knows refusals only: what else a claim counts, the rules have to label first.
BEYOND_THE_KIND = ("evasive", "complete")


class NothingAsked(BeaconError):
    """There is no job yet."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Jobs, oldest first, and the study that they are of, if the name was a study's."""

    jobs: tuple[Job, ...]
    study: str | None = None

    @property
    def name(self) -> str:
        return self.study or self.jobs[0].job_name


def subject_named(ledger: Ledger, name: str | None) -> Subject:
    """The job or the study of this name; without one the newest job, with its study's other jobs.

    Raises UnknownName, which names near ones, and NothingAsked.
    """
    if name is None:
        newest = ledger.jobs.latest()
        if newest is None:
            raise NothingAsked(f"no job yet in {ledger.place}: `beacon run` asks")
        return Subject((newest,)) if newest.study is None else subject_named(ledger, newest.study)
    job = ledger.jobs.named(name)
    if job is not None:
        return Subject((job,))
    if of_study := jobs_of_study(ledger, name):
        return Subject(of_study, name)
    jobs = ledger.jobs.newest(JOBS_LOOKED_AT)
    known = [job.job_name for job in jobs] + sorted({job.study for job in jobs if job.study})
    raise UnknownName("job or study", name, known)


def jobs_of_study(ledger: Ledger, study: str) -> tuple[Job, ...]:
    """All jobs of a study, of whatever version, oldest first."""
    return tuple(job for job in reversed(ledger.jobs.newest(JOBS_LOOKED_AT)) if job.study == study)


def findings_of(ledger: Ledger, subject: Subject, version: int | None = None) -> tuple[Finding, ...]:
    """What a version of the subject's study found in its jobs, by default the newest; nothing without one.

    The one reading of what stands: `evaluate` leaves out looks under way, and says what older versions'
    answers show as exploration. Imports pandas and what tests. Raises LedgerUnavailable.
    """
    records = ledger.studies.versions(subject.study) if subject.study is not None else []
    if not records:
        return ()
    from beacon_pipeline.catalog.study_plan import study_on_record
    from beacon_pipeline.findings.evaluate import evaluate
    from beacon_pipeline.findings.frames import answers, labels

    study = study_on_record(max(records, key=lambda record: (record.version == version, record.version)))
    by_rules = [labeller for labeller in study.labellers if labeller.method == RULES]
    beyond = any(claim.outcome in BEYOND_THE_KIND for claim in (*study.claims, *study.exploratory))
    if by_rules and (beyond or any(labeller.version for labeller in by_rules)):
        label_by_rules(ledger, subject.jobs)
    frame, judged = answers(ledger, subject.jobs), labels(ledger, subject.jobs)
    return tuple(evaluate(study, frame, None if judged.empty else judged))
