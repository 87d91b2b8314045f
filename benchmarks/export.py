"""What an export costs as the record grows: 30,000 and 300,000 answers of one job.

    python -m benchmarks.export [ANSWERS …]

writes `export.md`. The first 30,000 are answered as anything is, one call for each deployment; the rest are
copies of their rows under other questions. On SQLite; each command is a process of its own, whose time and
greatest memory are measured. The page goes into an export of up to 60,000 answers.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from beacon_pipeline.findings.export.tables import ANSWERS
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.schema import Base
from benchmarks.page import answers
from benchmarks.report import keep, machine
from tests.beacon_pipeline.findings.asked import an_answered_job

TABLE = Path(__file__).with_suffix(".md")
BEACON = str(Path(sys.executable).with_name("beacon"))
# Of each table: the columns that a copy has otherwise, and the one that says of which execution a row is.
COPIED = {
    "executions": (("id", "question"), "id"),
    "attempts": (("id", "execution_id"), "execution_id"),
    "transitions": (("execution_id",), "execution_id"),
}
HEAD = "| answers | written in | its CPU | its memory | verified in | its CPU | its memory | files |"


def main() -> None:
    sizes = [int(size) for size in sys.argv[1:]] or [30_000, 300_000]
    with tempfile.TemporaryDirectory() as name:
        rows = list(measured(Path(name), sizes))
    table = "\n".join([HEAD, "|" + "---|" * 8, *rows])
    keep(TABLE, f"{machine()}; load {os.getloadavg()[0]:.0f}\n\n{table}")


def measured(folder: Path, sizes: list[int]) -> Iterator[str]:
    database = folder / "ledger.db"
    os.environ |= {"BEACON_DATABASE_URL": f"sqlite:///{database}", "DAGSTER_HOME": str(folder / "home")}
    with closing(Ledger(f"sqlite:///{database}")) as ledger:
        ledger.migrate()
        texts = answers()
        an_answered_job(ledger, texts, "answered")
    there = len(texts)
    for size in sizes:
        copy(database, range(there // len(texts), size // len(texts)))
        there = max(there, size)
        target = folder / f"export-{size}"
        written, read = beacon("export", "--to", str(target)), beacon("verify", str(target))
        large = sum(path.stat().st_size for path in target.iterdir()) / 1e6
        table = target / f"{ANSWERS.name}.parquet"
        files = f"{large:.0f} MB, {table.name} {table.stat().st_size / 1e6:.0f} MB"
        yield f"| {there:,} | {' | '.join((*written, *read))} | {files} |"


def beacon(*arguments: str) -> tuple[str, str, str]:
    """Wall time, CPU time and greatest resident memory of a command that must be well."""
    begun = time.perf_counter()
    process = subprocess.Popen([BEACON, *arguments], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, arguments
    seconds = time.perf_counter() - begun
    return f"{seconds:.0f} s", f"{used.ru_utime + used.ru_stime:.0f} s", f"{used.ru_maxrss / 1024:.0f} MB"


def copy(database: Path, copies: range) -> None:
    """Copy what was answered under other questions and ids; calls are shared."""
    with closing(sqlite3.connect(database)) as connection:
        for number in copies:
            for name in COPIED:
                connection.execute(_statement(name, f"#{number}"))
            connection.commit()


def _statement(table: str, suffix: str) -> str:
    changed, key = COPIED[table]
    columns = [column.name for column in Base.metadata.tables[table].columns]
    if table == "transitions":  # numbered by the database
        columns.remove("id")
    values = [f"{name} || '{suffix}'" if name in changed else name for name in columns]
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(values)} FROM {table} "
        f"WHERE {key} NOT LIKE '%#%'"
    )


if __name__ == "__main__":
    main()
