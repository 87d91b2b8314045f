"""Put a study on record before anything is asked for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from beacon_pipeline.catalog.study import Study
from beacon_pipeline.catalog.study_plan import look_job_name, study_on_record
from beacon_pipeline.errors import BeaconError
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import StudyRecord
from beacon_pipeline.ledger.status import Evidence

EVIDENCE_LIMIT = 1_000_000  # bytes of a timestamp's file


class RegistrationError(BeaconError):
    """What cannot be registered any more, or not like this."""


@dataclass(frozen=True)
class Registration:
    """A study on record. ``new``: it was not before. ``study`` has its version and seed."""

    record: StudyRecord
    study: Study
    new: bool

    @property
    def at(self) -> datetime:
        return self.record.registered_at


def find(ledger: Ledger, study: Study) -> Registration | None:
    """The registration of a study with exactly this content, if there is one."""
    record = ledger.studies.version(study.id, study.hash)
    return None if record is None else Registration(record, study_on_record(record), new=False)


def register(
    ledger: Ledger, study: Study, *, public_value: str | None = None, timestamp: bytes | None = None
) -> Registration:
    """Put a study on record, as the next version where its content is new, with what came from outside.

    Raises RegistrationError for evidence that is too late or is other than what is on record.
    """
    existing = find(ledger, study)
    record = ledger.studies.register(study.id, study.content)
    if public_value is not None:
        record = _add_public_value(ledger, record, public_value)
    if timestamp is not None:
        record = _add_timestamp(ledger, record, timestamp)
    return Registration(record, study_on_record(record), new=existing is None)


def _add_public_value(ledger: Ledger, record: StudyRecord, public_value: str) -> StudyRecord:
    given = " ".join(public_value.split()).encode()
    if not given:
        raise RegistrationError("the public value is empty: give what was published, a drand round's say")
    _refuse_late(ledger, record, Evidence.PUBLIC_VALUE)
    record = ledger.studies.add_evidence(record.study, record.version, Evidence.PUBLIC_VALUE, given)
    kept = record.of_kind(Evidence.PUBLIC_VALUE)
    if kept is None or kept.content != given:
        raise RegistrationError(
            f"version {record.version} has another public value on record, which stays: "
            "or seeds could be chosen"
        )
    return record


def _add_timestamp(ledger: Ledger, record: StudyRecord, timestamp: bytes) -> StudyRecord:
    if not 0 < len(timestamp) <= EVIDENCE_LIMIT:
        raise RegistrationError(
            f"the timestamp's file has {len(timestamp):,} bytes: a token or proof has 1 to {EVIDENCE_LIMIT:,}"
        )
    if bytes.fromhex(record.hash) not in timestamp:
        raise RegistrationError(
            f"the timestamp is not of this study's hash: make it of the sha256 digest {record.hash}"
        )
    _refuse_late(ledger, record, Evidence.TIMESTAMP)
    record = ledger.studies.add_evidence(record.study, record.version, Evidence.TIMESTAMP, timestamp)
    kept = record.of_kind(Evidence.TIMESTAMP)
    if kept is None or kept.content != timestamp:
        raise RegistrationError(f"version {record.version} has another timestamp on record, which stays")
    return record


def _refuse_late(ledger: Ledger, record: StudyRecord, kind: Evidence) -> None:
    """Once answers may be there, nothing new can show what was fixed before them."""
    if (
        record.of_kind(kind) is None
        and ledger.jobs.named(look_job_name(record.study, record.version, 1)) is not None
    ):
        what = kind.value.replace("_", " ")
        raise RegistrationError(f"version {record.version} is being asked already: a {what} comes too late")
