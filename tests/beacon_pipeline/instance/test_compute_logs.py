"""What a run prints is in the files that the UI shows, without a process that copies it."""

import sys
from pathlib import Path

import psutil
import pytest

from beacon_pipeline.catalog import load_catalog
from beacon_pipeline.instance.compute_logs import FilesOfRuns
from beacon_pipeline.instance.dagster_yaml import Kind, write_configuration
from beacon_pipeline.instance.making import opened_instance


def test_what_a_run_prints_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.delenv("DAGSTER_POSTGRES_URL", raising=False)
    write_configuration(tmp_path, Kind.LOCAL, load_catalog("demo"))
    key = ["a run", "compute_logs", "a step"]
    with opened_instance(tmp_path) as instance:
        files = instance.compute_log_manager
        assert isinstance(files, FilesOfRuns)
        with files.capture_logs(key):
            print("an answer")
            print("a warning", file=sys.stderr)
            assert [p.name() for p in psutil.Process().children() if p.name() == "tail"] == []
            assert not files.is_capture_complete(key)
        told = files.get_log_data(key)
        assert (told.stdout, told.stderr) == (b"an answer\n", b"a warning\n")
        assert files.is_capture_complete(key)
        file = Path(files.get_log_metadata(key).stdout_location or "")
        assert file.is_relative_to(tmp_path / "storage"), "where Dagster's own configuration has it"
