"""A Dagster instance on the shipped SQLite storage, copied from one that Dagster made."""

import atexit
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import dagster as dg

STORAGE = {"module": "beacon_pipeline.instance.pooled_storage", "class": "PooledSqliteStorage"}


@contextmanager
def copied_instance(folder: Path) -> Iterator[dg.DagsterInstance]:
    """An instance whose files are in this folder: making its three databases takes longer than most tests."""
    shutil.copytree(_template(), folder, dirs_exist_ok=True)
    with _opened(folder) as instance:
        yield instance


@cache
def _template() -> Path:
    """The files of a new instance, deleted when this process ends."""
    folder = Path(tempfile.mkdtemp(prefix="beacon-template-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with _opened(folder):
        return folder


def _opened(folder: Path) -> dg.DagsterInstance:
    storage = {"custom": STORAGE | {"config": {"base_dir": str(folder)}}}
    return dg.DagsterInstance.local_temp(str(folder), overrides={"storage": storage})
