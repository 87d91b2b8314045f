"""Writes an export: tables, plan, catalog, page, sums. The same record gives the same bytes."""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from beacon_pipeline.catalog.study_plan import study_on_record
from beacon_pipeline.findings.export import tables
from beacon_pipeline.findings.export.crate import CRATE, CROISSANT, crate, croissant
from beacon_pipeline.findings.export.figures import comparisons, findings, rates
from beacon_pipeline.findings.export.files import (
    SUMS,
    ExportError,
    file_system,
    read_rows,
    storable,
    write_sums,
    write_table,
)
from beacon_pipeline.findings.frames import label_rows, transition_rows
from beacon_pipeline.findings.page import page_of
from beacon_pipeline.findings.rows import answer_rows
from beacon_pipeline.findings.subject import Subject
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import StudyRecord

FORMAT = 2  # 1 left a text that begins with a line feed as it is in CSV
PAGE_LIMIT = 60_000  # answers that a page can hold in a browser; a larger export has none
OTHER_ARCHIVES = (".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")  # that a folder would pass for
ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file can name


def export(ledger: Ledger, subject: Subject, target: str) -> None:
    """Write the export of a subject to a new folder or zip file, on this machine or where fsspec reaches.

    Whole or not at all on this machine; elsewhere `SHA256SUMS` comes last. Holds one page of the ledger at
    a time, but for what a study's tests need. Raises ExportError, LedgerUnavailable and OSError.
    """
    system, path = file_system(target)
    archive = next((suffix for suffix in OTHER_ARCHIVES if path.endswith(suffix)), None)
    if archive is not None:
        raise ExportError(f"{target}: an export is a folder or a .zip file, never {archive}")
    if system.exists(path) and (not system.isdir(path) or system.ls(path)):
        raise ExportError(f"{target} is there already: name a new folder or zip file")
    with tempfile.TemporaryDirectory(prefix="beacon-export-") as name:
        folder = Path(name) / "export"
        folder.mkdir()
        _fill(ledger, subject, folder)
        if target.endswith(".zip"):
            packed = Path(name) / "export.zip"
            _zip(folder, packed)
            _place(system, packed, path)
        else:
            _place(system, folder, path)


def _fill(ledger: Ledger, subject: Subject, folder: Path) -> None:
    count = write_table(folder, tables.ANSWERS, answer_rows(ledger, subject.jobs))
    if not count:
        raise ExportError(f"nothing was asked in {subject.name}: there is nothing to export")
    write_table(folder, tables.TRANSITIONS, transition_rows(ledger, subject.jobs))
    write_table(folder, tables.LABELS, label_rows(ledger, subject.jobs))
    record = _newest_record(ledger, subject)
    catalogs = {job.catalog_digest: ledger.jobs.catalog_content(job.catalog_digest) for job in subject.jobs}
    _write_json(folder / "plan.json", _plan(subject, record))
    _write_json(folder / "catalog.json", catalogs)
    _write_names(folder, catalogs.values())
    write_table(folder, tables.RATES, rates(folder))
    found = findings(folder, study_on_record(record) if record else None)
    write_table(folder, tables.COMPARISONS, comparisons(found))
    write_table(folder, _DICTIONARY, _dictionary())
    if count <= PAGE_LIMIT:
        html = page_of(ledger, subject, findings=found).html
        (folder / "page.html").write_text(html, encoding="utf-8")
    _describe(folder, subject)
    write_sums(folder)


def _describe(folder: Path, subject: Subject) -> None:
    """Write what the export is for machines; the crate comes last and lists the other one too."""
    about = {name: table.about for table in (*tables.TABLES, _DICTIONARY) for name in table.files} | _ABOUT
    ended = max(job.created_at for job in subject.jobs)
    for row in read_rows(folder, tables.ANSWERS):
        ended = max(ended, row["completed_at"] or ended)
    _write_json(folder / CROISSANT, croissant(folder, subject, ended, about))
    _write_json(folder / CRATE, crate(folder, subject, ended, about))


def _newest_record(ledger: Ledger, subject: Subject) -> StudyRecord | None:
    records = ledger.studies.versions(subject.study) if subject.study is not None else []
    return max(records, key=lambda record: record.version, default=None)


def _plan(subject: Subject, record: StudyRecord | None) -> dict[str, Any]:
    """What was planned, as it is on record: the jobs, and the study with what vouches for it."""
    jobs = [
        {
            "job": job.job_name,
            "source": job.source,
            "created_at": job.created_at.isoformat(),
            "catalog": job.catalog,
            "catalog_digest": job.catalog_digest,
            "specification": job.specification,
            "plan": job.plan,
        }
        for job in subject.jobs
    ]
    study = record and {
        "study": record.study,
        "version": record.version,
        "hash": record.hash,
        "content": record.content,
        "registered_at": record.registered_at.isoformat(),
        "evidence": [
            {
                "kind": one.kind.value,
                "sha256": one.sha256,
                "at": one.at.isoformat(),
                "content_base64": base64.b64encode(one.content).decode("ascii"),
            }
            for one in record.evidence
        ],
    }
    return {
        "format": FORMAT,
        "made_by": f"beacon-pipeline {version('beacon-pipeline')}",
        "jobs": jobs,
        "study": study,
    }


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=True) + "\n", encoding="ascii")


def _write_names(folder: Path, catalogs: Iterable[Mapping[str, Any] | None]) -> None:
    """Questions, models and regions: what the rows hold of them, and what the catalog calls them."""
    known = {kind: _entries(catalogs, kind) for kind in ("questions", "models", "regions")}
    found: dict[str, dict[str, dict[str, set[str]]]] = {"questions": {}, "models": {}, "regions": {}}
    ran = {"revisions": "revision", "weights": "weights_sha256", "engines": "engine"}
    for row in read_rows(folder, tables.ANSWERS):
        _note(found["questions"], row["question"], prompt=row["prompt"])
        own = row["system_prompt"] if row["arm"] == "regional" else None
        _note(found["regions"], row["region"], system_prompt=own)
        _note(
            found["models"], row["model"], **{name: row[f"provenance_{field}"] for name, field in ran.items()}
        )
    for table, kind, key in (
        (tables.QUESTIONS, "questions", "question"),
        (tables.MODELS, "models", "model"),
        (tables.REGIONS, "regions", "region"),
    ):
        rows = [
            _named(table, key, name, known[kind].get(name, {}), seen)
            for name, seen in sorted(found[kind].items())
        ]
        write_table(folder, table, rows)


def _entries(catalogs: Iterable[Mapping[str, Any] | None], kind: str) -> dict[str, Mapping[str, Any]]:
    return {entry["id"]: entry for content in catalogs if content for entry in content.get(kind, ())}


def _note(found: dict[str, dict[str, set[str]]], name: str, **values: str | None) -> None:
    noted = found.setdefault(name, {})
    for column, value in values.items():
        noted.setdefault(column, set()).update([] if value is None else [value])


def _named(
    table: tables.Table, key: str, name: str, entry: Mapping[str, Any], seen: Mapping[str, set[str]]
) -> dict[str, Any]:
    def value(column: str) -> str | None:
        if column == key:
            return name
        if column in seen:
            return "\n".join(sorted(seen[column])) or None
        kept = entry.get(column) or (entry.get("folder") if column == "repository" else None)
        return None if kept is None else str(kept)

    return {column: value(column) for column in table.types}


_ABOUT = {
    "plan.json": "The plans of the jobs, and the study as it was registered, with what vouches for it.",
    "catalog.json": "The catalogs that the jobs were made of, by digest.",
    "page.html": "The page that people read: answers side by side, figures, findings.",
    CROISSANT: "Croissant metadata of the tables.",
}
_DICTIONARY = tables.Table(
    "dictionary", "What each column means.", dict.fromkeys(("table", "column", "type", "meaning"), "str")
)


def _dictionary() -> Iterator[dict[str, str]]:
    for table in tables.TABLES:
        for column, field in zip(table.types, table.schema, strict=True):
            yield {
                "table": table.name,
                "column": column,
                "type": str(field.type),
                "meaning": storable(tables.meaning(column)),
            }


def _zip(folder: Path, path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as packed:
        for file in sorted(folder.iterdir()):
            entry = zipfile.ZipInfo(file.name, ZIP_TIME)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            with file.open("rb") as source, packed.open(entry, "w", force_zip64=True) as written:
                shutil.copyfileobj(source, written)


def _place(system: Any, source: Path, path: str) -> None:
    """Put a file or folder at its place; on this machine by one rename."""
    if "file" in (system.protocol if isinstance(system.protocol, tuple) else (system.protocol,)):
        partial = Path(f"{path}.partial")
        partial.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(partial, ignore_errors=True)
        partial.unlink(missing_ok=True)
        shutil.move(source, partial)
        partial.replace(path)
        return
    if source.is_file():
        system.put_file(str(source), path)
        return
    system.makedirs(path, exist_ok=True)
    for file in sorted(source.iterdir(), key=lambda each: (each.name == SUMS, each.name)):
        system.put_file(str(file), f"{path}/{file.name}")
