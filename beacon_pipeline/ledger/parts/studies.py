"""Registering studies: rows are added, never changed."""

from __future__ import annotations

import hashlib
from collections import defaultdict

import sqlalchemy as sa

from beacon_pipeline.ledger.parts.part import Part
from beacon_pipeline.ledger.records import EvidenceRecord, StudyRecord
from beacon_pipeline.ledger.schema import Base
from beacon_pipeline.ledger.status import Evidence

studies_table = Base.metadata.tables["studies"]
evidence_table = Base.metadata.tables["study_evidence"]


class Studies(Part):
    """The registered studies."""

    def register(self, study: str, content: str) -> StudyRecord:
        """The version of a study that has this content, made now, under the next number, if there is none.

        Two that register at once get numbers of their own, or the same one for the same content.
        """
        digest = hashlib.sha256(content.encode()).hexdigest()
        table = studies_table

        def insert(connection: sa.Connection) -> StudyRecord | None:
            newest = sa.select(sa.func.max(table.c.version)).where(table.c.study == study)
            version = (connection.scalar(newest) or 0) + 1
            if _version_with(connection, study, digest) is None:
                values = {"study": study, "version": version, "hash": digest, "content": content}
                row = values | {"registered_at": self._clock()}
                self._database.insert_missing(connection, table, [row])
            return _version_with(connection, study, digest)

        while True:  # on PostgreSQL another one may take the number between the look and the row
            record = self._database.write(insert)
            if record is not None:
                return record

    def add_evidence(self, study: str, version: int, kind: Evidence, content: bytes) -> StudyRecord:
        """Keep what came from outside for a study, unless there is something of its kind already.

        Gives the study as it then stands: what is on record may be other than ``content``.
        """
        values = {
            "study": study,
            "version": version,
            "kind": kind.value,
            "content": content,
            "sha256": hashlib.sha256(content).hexdigest(),
            "at": self._clock(),
        }

        def add(connection: sa.Connection) -> StudyRecord:
            self._database.insert_missing(connection, evidence_table, [values])
            return next(one for one in _read(connection, study) if one.version == version)

        return self._database.write(add)

    def versions(self, study: str | None = None) -> list[StudyRecord]:
        """The registered studies, or the versions of one, the oldest first."""
        return self._database.read(lambda c: _read(c, study))

    def version(self, study: str, digest: str) -> StudyRecord | None:
        """The version of a study whose content has this hash, or None."""
        return self._database.read(lambda c: _version_with(c, study, digest))


def _read(connection: sa.Connection, study: str | None = None) -> list[StudyRecord]:
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


def _version_with(connection: sa.Connection, study: str, digest: str) -> StudyRecord | None:
    """The version of a study whose content has this hash, if it is registered."""
    return next((one for one in _read(connection, study) if one.hash == digest), None)


def _by_kind(evidence: EvidenceRecord) -> str:
    return evidence.kind.value
