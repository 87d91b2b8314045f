"""Registering studies: rows are added, never changed."""

from __future__ import annotations

import hashlib

import sqlalchemy as sa

from beacon_pipeline.ledger.reader import LedgerReader
from beacon_pipeline.ledger.records import StudyRecord
from beacon_pipeline.ledger.status import Evidence
from beacon_pipeline.ledger.study_rows import (
    evidence_table,
    read_studies,
    studies_table,
    version_with,
)


class LedgerStudies(LedgerReader):
    """The part of the ledger that registers. Every method is one transaction."""

    def register_study(self, study: str, content: str) -> StudyRecord:
        """The version of a study that has this content, made now, under the next number, if there is none.

        Two that register at once get numbers of their own, or the same one for the same content.
        """
        digest = hashlib.sha256(content.encode()).hexdigest()
        table = studies_table

        def register(connection: sa.Connection) -> StudyRecord | None:
            newest = sa.select(sa.func.max(table.c.version)).where(table.c.study == study)
            version = (connection.scalar(newest) or 0) + 1
            if version_with(connection, study, digest) is None:
                values = {"study": study, "version": version, "hash": digest, "content": content}
                row = values | {"registered_at": self._clock()}
                self._database.insert_missing(connection, table, [row])
            return version_with(connection, study, digest)

        while True:  # on PostgreSQL another one may take the number between the look and the row
            record = self._database.write(register)
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
            return next(one for one in read_studies(connection, study) if one.version == version)

        return self._database.write(add)
