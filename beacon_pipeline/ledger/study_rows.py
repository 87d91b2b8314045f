"""Registered studies, from rows to records."""

from __future__ import annotations

from collections import defaultdict

import sqlalchemy as sa

from beacon_pipeline.ledger.records import EvidenceRecord, StudyRecord
from beacon_pipeline.ledger.schema import Base
from beacon_pipeline.ledger.status import Evidence

studies_table = Base.metadata.tables["studies"]
evidence_table = Base.metadata.tables["study_evidence"]


def read_studies(connection: sa.Connection, study: str | None = None) -> list[StudyRecord]:
    """The registered studies, or the versions of one, the oldest first, with what came for them."""

    def rows_of(table: sa.Table) -> sa.MappingResult:
        wanted = sa.true() if study is None else table.c.study == study
        return connection.execute(sa.select(table).where(wanted)).mappings()

    evidence: dict[tuple[str, int], list[EvidenceRecord]] = defaultdict(list)
    for row in rows_of(evidence_table):
        found = EvidenceRecord(Evidence(row["kind"]), bytes(row["content"]), row["sha256"], row["at"])
        evidence[row["study"], row["version"]].append(found)
    records = [
        StudyRecord(**row, evidence=tuple(sorted(evidence[row["study"], row["version"]], key=_by_kind)))
        for row in rows_of(studies_table)
    ]
    return sorted(records, key=lambda record: (record.registered_at, record.study, record.version))


def version_with(connection: sa.Connection, study: str, digest: str) -> StudyRecord | None:
    """The version of a study whose content has this hash, if it is registered."""
    return next((one for one in read_studies(connection, study) if one.hash == digest), None)


def _by_kind(evidence: EvidenceRecord) -> str:
    return evidence.kind.value
