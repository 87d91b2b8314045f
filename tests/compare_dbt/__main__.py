"""Run the same YAML by the real dbt and by `dbt-like-checks`, and tell every difference.

`make compare-dbt` runs it; `SEED=7 make compare-dbt` on other tables and other configurations. With the
seed that ships it also records what dbt said, which the test suite holds against this package on every
database, and writes the table `docs/compare-dbt.md`. Exits with 1 if anything differs.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from pathlib import Path

import sqlalchemy as sa

from tests.compare_dbt import cases, real_dbt, recording, tables
from tests.compare_dbt.ours import run_ours
from tests.compare_dbt.real_dbt import Verdict
from tests.compare_dbt.table import written

DOCUMENT = Path(__file__).parents[2] / "docs" / "compare-dbt.md"


def main() -> None:
    seed = int(os.environ.get("SEED") or tables.SEED)
    with tempfile.TemporaryDirectory(prefix="compare-dbt-") as temporary:
        theirs, ours, seconds = both(Path(temporary), seed)
    differences = sorted(name for name in theirs | ours if theirs.get(name) != ours.get(name))
    for name in differences:
        print(f"{name}: dbt {theirs.get(name)}, here {ours.get(name)}")
    text = written(
        theirs,
        ours,
        seconds,
        machine=f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.0f}, Python {platform.python_version()}",
    )
    print(text)
    if seed == tables.SEED and not os.environ.get("DBT_PACKAGES"):
        recording.write(theirs)
        DOCUMENT.write_text(text, encoding="utf-8")
    sys.exit(1 if differences else 0)


def both(folder: Path, seed: int) -> tuple[dict[str, Verdict], dict[str, Verdict], tuple[float, float]]:
    """What dbt says, what is said here, and how long each took."""
    database = folder / "compared.duckdb"
    engine = sa.create_engine(f"duckdb:///{database}")
    tables.create(engine, tables.rows_of(seed))
    engine.dispose()  # a DuckDB file is open in one process at a time
    project = real_dbt.prepare(folder, tables.metadata.tables)
    cases.write(project, seed)
    started = time.perf_counter()
    theirs = real_dbt.run_tests(project, database)
    between = time.perf_counter()
    ours = run_ours(project, f"duckdb:///{database}")
    ended = time.perf_counter()
    return theirs, ours, (between - started, ended - between)


if __name__ == "__main__":
    main()
