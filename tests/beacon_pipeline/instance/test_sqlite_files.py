"""The file of a run's events is Dagster's own, and put in its place whole."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

# Dagster's storage class has no public name.
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage  # noqa: TID251

from beacon_pipeline.instance import sqlite_files
from beacon_pipeline.instance.pooled_storage import PooledSqliteEventLog, PooledSqliteStorage

RUN = "11111111-2222-3333-4444-555555555555"
ASPECTS = (
    "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name",
    "SELECT * FROM alembic_version",
    *(f"PRAGMA {name}" for name in ("journal_mode", "page_size", "auto_vacuum", "encoding", "user_version")),
)


def made_by(kind: type[SqliteEventLogStorage], folder: Path) -> list[list[tuple[object, ...]]]:
    storage = kind(str(folder))
    with storage.run_connection(RUN):
        pass
    storage.dispose()
    assert sorted(path.name for path in folder.iterdir() if path.suffix != ".db") == []
    with closing(sqlite3.connect(folder / f"{RUN}.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return [connection.execute(aspect).fetchall() for aspect in ASPECTS]


def test_it_is_the_file_that_dagster_makes(tmp_path: Path) -> None:
    ours, theirs = (
        made_by(kind, tmp_path / kind.__name__) for kind in (PooledSqliteEventLog, SqliteEventLogStorage)
    )
    assert ours == theirs
    assert ours[2] == [("wal",)]


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    """Two processes may open the events of a new run at once, and one has already written."""
    path = tmp_path / "run.db"
    sqlite_files.put(path, b"first")
    sqlite_files.put(path, b"second")
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_without_links_dagster_makes_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    assert made_by(PooledSqliteEventLog, tmp_path / "without") == made_by(
        SqliteEventLogStorage, tmp_path / "stock"
    )


def test_a_file_that_a_process_left_half_made_is_completed(tmp_path: Path) -> None:
    (tmp_path / f"{RUN}.db").touch()
    assert ("event_logs",) in {row[1:2] for row in made_by(PooledSqliteEventLog, tmp_path)[0]}


def test_what_is_complete_is_opened_without_reading_dagsters_migrations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    PooledSqliteStorage.from_local(str(tmp_path)).dispose()
    with PooledSqliteEventLog(str(tmp_path / "history" / "runs")).run_connection(RUN):
        pass
    monkeypatch.setattr(ScriptDirectory, "from_config", lambda *_: pytest.fail("the migrations are read"))
    again = PooledSqliteStorage.from_local(str(tmp_path))
    assert again.run_storage.get_runs() == []
    assert again.schedule_storage.all_instigator_state() == []
    assert again.event_log_storage.get_logs_for_run(RUN) == []
    again.dispose()
