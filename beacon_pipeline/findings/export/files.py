"""How the export's files are written, byte for byte the same, and read again."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from beacon_pipeline.errors import BeaconError
from beacon_pipeline.escaping import FORMULA, defused
from beacon_pipeline.findings.export.tables import Table
from beacon_pipeline.findings.frames import framed

BATCH = 5000  # rows of a row group
SUMS = "SHA256SUMS"

_SURROGATE = re.compile("[\ud800-\udfff]")


class ExportError(BeaconError):
    """No export can be written or found there, and why."""


def file_system(target: str) -> tuple[Any, str]:
    """The file system of a path or a URL, as fsspec has it, and the path there.

    Raises ExportError for a kind of place that nothing installed reaches.
    """
    try:
        return fsspec.core.url_to_fs(target)  # type: ignore[no-any-return]
    except (ImportError, ValueError) as error:
        raise ExportError(f"{target} cannot be reached: {' '.join(str(error).split())}") from None


def storable(value: Any) -> Any:
    """A value as UTF-8 can hold it: lone surrogates as ``\\uXXXX``."""
    if isinstance(value, str):
        return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", value)
    return value


def cell(value: Any, formula: tuple[str, ...] = FORMULA) -> str:
    """A value in a CSV file. A text that a spreadsheet would take for a formula gets a ``'`` before it."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="microseconds")
        case str():
            return defused(value, formula)
        case _:
            return repr(value) if isinstance(value, float) else str(value)


class CsvLines:
    """Rows as lines of CSV (RFC 4180); ``formula``: how a text begins that is defused."""

    def __init__(self, table: Table, formula: tuple[str, ...] = FORMULA) -> None:
        self._columns = list(table.types)
        self._formula = formula
        self._buffer = io.StringIO()
        self._writer = csv.writer(self._buffer, lineterminator="\r\n")

    def header(self) -> str:
        return self._line(self._columns)

    def line(self, row: Mapping[str, Any]) -> str:
        return self._line([cell(row[name], self._formula) for name in self._columns])

    def _line(self, cells: list[str]) -> str:
        self._buffer.seek(0)
        self._buffer.truncate()
        self._writer.writerow(cells)
        return self._buffer.getvalue()


def write_table(folder: Path, table: Table, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write a table's files, a batch at a time; how many rows there were. Raises OSError."""
    written, lines = 0, CsvLines(table)
    waiting = iter(rows)
    parquet = _parquet_writer(folder, table)
    text = (folder / f"{table.name}.csv").open("w", encoding="utf-8", newline="") if table.csv else None
    try:
        if text is not None:
            text.write(lines.header())
        while batch := [
            {name: storable(row[name]) for name in table.types} for row in islice(waiting, BATCH)
        ]:
            written += len(batch)
            if parquet is not None:
                parquet.write_table(pa.Table.from_pylist(batch, schema=table.schema))
            if text is not None:
                text.writelines(map(lines.line, batch))
    finally:
        _close(parquet, text)
    return written


def _parquet_writer(folder: Path, table: Table) -> Any:
    if not table.parquet:
        return None
    return pq.ParquetWriter(folder / f"{table.name}.parquet", table.schema, compression="zstd")


def _close(parquet: Any, text: TextIO | None) -> None:
    if parquet is not None:
        parquet.close()
    if text is not None:
        text.close()


def read_rows(folder: Path, table: Table) -> Iterator[dict[str, Any]]:
    """The rows of a table's Parquet file, a row group at a time. Raises ArrowInvalid and OSError.

    A column that the file does not have, being made before there was one, is None.
    """
    absent = dict.fromkeys(table.types)
    with pq.ParquetFile(folder / f"{table.name}.parquet") as file:
        for group in file.iter_batches(BATCH):
            yield from (absent | row for row in group.to_pylist())


def read_frame(folder: Path, table: Table) -> pd.DataFrame:
    """A table's Parquet file as a frame of its types, as `frames` makes it of the ledger."""
    return framed(read_rows(folder, table), table.types)


def sha256(path: Path) -> str:
    """The digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_sums(folder: Path) -> None:
    """Write the digest of every file, as ``sha256sum -c`` reads them."""
    names = sorted(path.name for path in folder.iterdir() if path.name != SUMS)
    (folder / SUMS).write_text(
        "".join(f"{sha256(folder / name)}  {name}\n" for name in names), encoding="ascii"
    )


def read_sums(folder: Path) -> dict[str, str]:
    """File name -> digest. Raises OSError, and ValueError where the file is none."""
    lines = (folder / SUMS).read_text(encoding="ascii").splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
