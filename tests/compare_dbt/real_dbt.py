"""Run the real dbt, from an environment of its own, on tables that are there already."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

HERE = Path(__file__).parent
SKELETON = HERE / "project"
VENV = HERE.parents[1] / ".venv-dbt"  # `make compare-dbt` makes it
STORED = "main_dbt_test__audit"  # the schema of dbt's stored failures


@dataclass(frozen=True, order=True)
class Verdict:
    """What was said of one test."""

    status: str  # pass, warn, fail or error
    failures: int | None
    stored: int | None = None  # rows in its table of stored failures
    columns: tuple[str, ...] = ()  # and the names of that table's columns, in order


def prepare(folder: Path, models: Iterable[str]) -> Path:
    """A dbt project with these models in ``folder``; the tests are written into it by others.

    The models' tables exist, and are tested without ever being built.
    """
    project = Path(shutil.copytree(SKELETON, folder / "project"))
    if published := os.environ.get("DBT_PACKAGES"):  # a folder with checkouts of all three
        for name in ("dbt_utils", "dbt_expectations", "dbt_date"):
            shutil.rmtree(project / "packages" / name, ignore_errors=True)
            shutil.copytree(Path(published) / name, project / "packages" / name)
    (project / "models").mkdir()
    for model in models:
        (project / "models" / f"{model}.sql").write_text(
            "select 'a table that is there already' as never_built\n"
        )
    return project


def run_tests(project: Path, database: Path, *, threads: int = 2) -> dict[str, Verdict]:
    """`dbt test` of the whole project on a DuckDB file; the verdicts by test name.

    Raises RuntimeError with dbt's own output when it did not get as far as results.
    """
    results = project / "target" / "run_results.json"
    results.unlink(missing_ok=True)
    done = dbt(project, database, "test", "--threads", str(threads))
    if not results.is_file():
        raise RuntimeError(done.stdout + done.stderr)
    engine = sa.create_engine(f"duckdb:///{database}")
    names = sa.text("SELECT table_name FROM information_schema.tables WHERE table_schema = :schema")
    verdicts = {}
    with engine.connect() as connection:
        kept = set(connection.scalars(names, {"schema": STORED}))
        for result in json.loads(results.read_text(encoding="utf-8"))["results"]:
            name = result["unique_id"].split(".")[2]
            # What was stored before an error is nobody's verdict.
            is_kept = name in kept and result["status"] != "error"
            stored = stored_in(connection, name, STORED) if is_kept else (None, ())
            verdicts[name] = Verdict(result["status"], result["failures"], *stored)
    engine.dispose()
    return verdicts


def stored_in(connection: sa.Connection, name: str, schema: str | None) -> tuple[int, tuple[str, ...]]:
    """How many rows a table has, and the names of its columns."""
    table = sa.table(name, schema=schema)
    rows = connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
    found = connection.execute(sa.select(sa.literal_column("*")).select_from(table).limit(0))
    return rows, tuple(found.keys())


def dbt(project: Path, database: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The dbt command in a project. Needs the environment that `make compare-dbt` makes."""
    command = VENV / "bin" / "dbt"
    if not command.is_file():
        raise FileNotFoundError(f"no dbt at {command}: `make compare-dbt` installs it")
    environment = os.environ | {"COMPARED_DATABASE": str(database), "DBT_PROFILES_DIR": str(project)}
    return subprocess.run(
        [str(command), "--no-use-colors", "--quiet", *arguments],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def version() -> str:
    """The versions of dbt and its adapter, as the environment has them."""
    script = """if True:
        from importlib.metadata import version
        print(f"dbt-core {version('dbt-core')}, dbt-duckdb {version('dbt-duckdb')}")"""
    done = subprocess.run([VENV / "bin" / "python", "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.strip()
