"""Checks an export against itself: no instance, no network, nothing but the files and this code.

Digests say that a byte was changed; figures computed again from the rows say it even where the digests
were changed with them.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import lzma
import math
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pydantic

from beacon_pipeline.catalog.plan import Plan
from beacon_pipeline.catalog.study import Study
from beacon_pipeline.catalog.study_plan import study_on_record
from beacon_pipeline.errors import BeaconError
from beacon_pipeline.escaping import FORMULA
from beacon_pipeline.findings.export import tables
from beacon_pipeline.findings.export.figures import comparisons, findings, rates
from beacon_pipeline.findings.export.files import SUMS, CsvLines, file_system, read_rows, read_sums, sha256
from beacon_pipeline.findings.export.write import FORMAT
from beacon_pipeline.ledger.records import EvidenceRecord, StudyRecord
from beacon_pipeline.ledger.status import Evidence

# How a text begins that is defused in CSV, by the export's format.
FORMULAS = {1: tuple(start for start in FORMULA if start != "\n"), FORMAT: FORMULA}
# Computed figures are equal where they agree so far: processors differ in the last digits of a sum.
RELATIVE, ABSOLUTE = 1e-9, 1e-12
NAMED = 20  # differing lines of one file that are named
# What zipfile raises of a file that is none, is damaged, encrypted, or packed in a way that it does not know.
UNREADABLE_ZIP = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError)
LARGEST = 64 * 2**30  # bytes that a zip file may unpack to


class NoExport(BeaconError):
    """What was given is no export that can be read."""


def verified(target: str) -> list[str]:
    """What is wrong with an export, one line each; nothing where all holds. Raises NoExport and OSError."""
    with opened(target) as folder:
        try:
            sums = read_sums(folder)
        except (OSError, ValueError):
            raise NoExport(f"{target} is no export: it has no {SUMS} that can be read") from None
        wrong = list(_digests(folder, sums))
        broken = list(_schemas(folder))
        if broken:  # nothing can be computed of what cannot be read
            return list(dict.fromkeys(wrong + broken))  # one that is missing is so for both
        try:
            plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
            record = _record(plan)
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split())[:200]
            return [*wrong, f"plan.json cannot be read: {type(error).__name__}: {reason}"]
        formula = FORMULAS.get(plan.get("format"), FORMULA)
        return wrong + list(_plan(folder, plan, record)) + list(_figures(folder, record, formula))


@contextmanager
def opened(target: str) -> Iterator[Path]:
    """The export as a folder on this machine."""
    system, path = file_system(target)
    if not system.exists(path):
        raise NoExport(f"there is nothing at {target}")
    with tempfile.TemporaryDirectory(prefix="beacon-verify-") as name:
        if system.isdir(path):
            if "file" in system.protocol:
                yield Path(path)
                return
            system.get(path.rstrip("/") + "/", f"{name}/", recursive=True)
        else:
            _unpack(system, path, Path(name))
        yield Path(name)


def _unpack(system: Any, path: str, folder: Path) -> None:
    try:
        with system.open(path, "rb") as file, zipfile.ZipFile(file) as packed:
            entries = packed.infolist()
            if sum(entry.file_size for entry in entries) > LARGEST:
                raise NoExport(f"{path} unpacks to more than {LARGEST // 2**30} GiB")
            if named := [entry.filename for entry in entries if not _is_plain(entry.filename)]:
                raise NoExport(f"{path} is no export: it holds {named[0]!r}")
            packed.extractall(folder)
    except UNREADABLE_ZIP as error:
        raise NoExport(f"{path} is no zip file that can be read: {error}") from None


def _is_plain(name: str) -> bool:
    return name == Path(name).name and "\\" not in name and name not in ("", ".", "..")


def _digests(folder: Path, sums: Mapping[str, str]) -> Iterator[str]:
    present = {path.name for path in folder.iterdir()} - {SUMS}
    for name in sorted(present | set(sums)):
        if name not in present:
            yield f"{name} is missing"
        elif name not in sums:
            yield f"{name} is not in {SUMS}"
        elif sha256(folder / name) != sums[name]:
            yield f"{name} was changed: its sha256 is not the one in {SUMS}"


def _schemas(folder: Path) -> Iterator[str]:
    for table in tables.TABLES:
        if table.parquet:
            try:
                if _as_written(folder, table) is None:
                    yield f"{table.name}.parquet has other columns or types than an export has"
                    continue
                for _ in read_rows(folder, table):
                    pass
            except (OSError, pa.ArrowException) as error:
                yield f"{table.name}.parquet cannot be read: {str(error).splitlines()[0]}"
        if table.csv and not (folder / f"{table.name}.csv").is_file():
            yield f"{table.name}.csv is missing"


def record_in(folder: Path) -> StudyRecord | None:
    """The registered study of an opened export. Raises ValueError, KeyError and OSError."""
    return _record(json.loads((folder / "plan.json").read_text(encoding="utf-8")))


def _as_written(folder: Path, table: tables.Table) -> tables.Table | None:
    return tables.as_written(table, pq.read_schema(folder / f"{table.name}.parquet"))


def _record(plan: Mapping[str, Any]) -> StudyRecord | None:
    """The registered study. Raises KeyError, TypeError and ValueError where plan.json is another thing."""
    if not isinstance(plan["format"], int):
        raise TypeError("its format is no number")
    for job in plan["jobs"]:
        if not isinstance(job["job"], str):
            raise TypeError("a job has no name")
        Plan.of(job["plan"])
    kept = plan["study"]
    if kept is None:
        return None
    evidence = [
        EvidenceRecord(
            Evidence(one["kind"]),
            base64.b64decode(one["content_base64"]),
            one["sha256"],
            datetime.fromisoformat(one["at"]),
        )
        for one in kept["evidence"]
    ]
    names = ("study", "version", "hash", "content")
    values = {name: kept[name] for name in names}
    values |= {"registered_at": datetime.fromisoformat(kept["registered_at"]), "evidence": tuple(evidence)}
    return pydantic.TypeAdapter(StudyRecord).validate_python(values)


def _plan(folder: Path, plan: Mapping[str, Any], record: StudyRecord | None) -> Iterator[str]:
    if plan.get("format") not in FORMULAS:
        known_formats = " and ".join(map(str, FORMULAS))
        yield f"plan.json is of format {plan.get('format')!r}, this version reads {known_formats}"
    known = {job["job"] for job in plan["jobs"]}
    earliest: datetime | None = None
    for row in read_rows(folder, tables.ANSWERS):
        if row["job"] not in known:
            yield f"answers.parquet, execution {row['execution']}: plan.json has no job {row['job']}"
            return
        if record is None or (row["study"], row["version"]) != (record.study, record.version):
            continue
        made = row["call_order"]
        earliest = made if earliest is None or (made is not None and made < earliest) else earliest
    if record is None:
        return
    name = f"study {record.study} version {record.version}"
    if hashlib.sha256(record.content.encode()).hexdigest() != record.hash:
        yield f"{name}: its content has another hash than the registered one"
    for one in record.evidence:
        if hashlib.sha256(one.content).hexdigest() != one.sha256:
            yield f"{name}: the evidence {one.kind} has another hash than on record"
    if earliest is not None and record.registered_at > earliest:
        yield (
            f"{name} was registered {record.registered_at.isoformat()}, after its first answer was asked for "
            f"({earliest.isoformat()})"
        )


def _figures(folder: Path, record: StudyRecord | None, formula: tuple[str, ...]) -> Iterator[str]:
    """Lines of the CSV files that are not what the rows of the Parquet files give."""
    for table in (tables.ANSWERS, tables.LABELS):
        own = _as_written(folder, table) or table
        yield from _lines(folder, CsvLines(own, formula), own, read_rows(folder, own), key="execution")
    yield from _lines(folder, CsvLines(tables.RATES, formula), tables.RATES, rates(folder), key="model")
    try:
        study: Study | None = study_on_record(record) if record else None
        found = findings(folder, study)
    except (ValueError, KeyError) as error:
        yield f"comparisons.csv cannot be recomputed: {' '.join(str(error).split())[:300]}"
        return
    lines = CsvLines(tables.COMPARISONS, formula)
    yield from _lines(folder, lines, tables.COMPARISONS, comparisons(found), key="claim")


def _lines(
    folder: Path, lines: CsvLines, table: tables.Table, rows: Iterable[Mapping[str, Any]], key: str
) -> Iterator[str]:
    named = 0
    columns = list(table.types)
    with (folder / f"{table.name}.csv").open(encoding="utf-8", newline="", errors="replace") as file:
        pairs = zip_longest(_expected(lines, rows), _records(file))
        for number, (row, given) in enumerate(pairs, start=1):
            wanted = None if row is None else row[1]
            if wanted == given or (table in COMPUTED and _agree(table, wanted, given)):
                continue
            named += 1
            if named > NAMED:
                yield f"{table.name}.csv: more lines differ"
                return
            yield _difference(table.name, number, key, columns, row, given)


COMPUTED = (tables.RATES, tables.COMPARISONS)


def _agree(table: tables.Table, wanted: str | None, given: str | None) -> bool:
    """Whether two records differ in nothing but the last digits of figures."""
    if wanted is None or given is None:
        return False
    try:
        (here,), (there,) = (list(csv.reader([text])) for text in (wanted, given))
    except (csv.Error, ValueError):
        return False
    return len(here) == len(there) == len(table.types) and all(
        own == other or (kind == "float64" and _close(own, other))
        for kind, own, other in zip(table.types.values(), here, there, strict=True)
    )


def _close(own: str, other: str) -> bool:
    try:
        return math.isclose(float(own), float(other), rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    except ValueError:
        return False


def _expected(
    lines: CsvLines, rows: Iterable[Mapping[str, Any]]
) -> Iterator[tuple[Mapping[str, Any] | None, str]]:
    yield None, lines.header()
    for row in rows:
        yield row, lines.line(row)


def _records(file: Iterable[str]) -> Iterator[str]:
    """The records of a CSV file as they are written: a quoted field may span lines."""
    record, quotes = "", 0
    for line in file:
        record += line
        quotes += line.count('"')
        if quotes % 2 == 0:
            yield record
            record, quotes = "", 0
    if record:
        yield record


def _difference(
    name: str,
    number: int,
    key: str,
    columns: list[str],
    expected: tuple[Mapping[str, Any] | None, str] | None,
    given: str | None,
) -> str:
    place = f"{name}.csv, record {number}"
    if expected is None:
        return f"{place}: a row that the data do not have"
    row, wanted = expected
    if given is None:
        return f"{place}: a row is missing, of {key} {row[key] if row else 'the header'}"
    if row is None:
        return f"{place}: another header"
    return f"{place} ({key} {row[key]}): {_fields(columns, wanted, given)}"


def _fields(columns: list[str], wanted: str, given: str) -> str:
    csv.field_size_limit(max(len(wanted), len(given), csv.field_size_limit()))
    try:
        (here,), (there,) = (list(csv.reader([text])) for text in (wanted, given))
    except (csv.Error, ValueError):
        return "is no record of CSV"
    differing = [
        f"{column} is {other[:60]!r}, the rows give {own[:60]!r}"
        for column, own, other in zip(columns, here, there, strict=False)
        if own != other
    ]
    return "; ".join(differing[:5]) or "is written otherwise"
