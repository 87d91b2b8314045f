"""What a run prints, in the files that the UI shows, and not in the daemon's log once more.

To copy it there Dagster starts two `tail` for each step, and two Pythons that wait for the run's death.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# `dagster.yaml` takes a class for it, whose parts are public in no module.
from dagster._core.execution.compute_logs import redirect_to_file  # noqa: TID251
from dagster._core.storage.compute_log_manager import CapturedLogContext, ComputeIOType  # noqa: TID251
from dagster._core.storage.local_compute_log_manager import (  # noqa: TID251
    IO_TYPE_EXTENSION,
    LocalComputeLogManager,
)
from dagster._serdes import ConfigurableClassData

FOLDER = "storage"  # of the instance folder: where Dagster's own configuration has it


class FilesOfRuns(LocalComputeLogManager):
    """``base_dir``: the instance folder."""

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> FilesOfRuns:
        return cls(str(Path(config_value["base_dir"]) / FOLDER), inst_data=inst_data)

    @contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Iterator[CapturedLogContext]:
        out, err = (
            Path(self.get_captured_local_path(log_key, IO_TYPE_EXTENSION[kind]))
            for kind in (ComputeIOType.STDOUT, ComputeIOType.STDERR)
        )
        out.parent.mkdir(parents=True, exist_ok=True)
        with redirect_to_file(sys.stdout, str(out)), redirect_to_file(sys.stderr, str(err)):
            yield CapturedLogContext(log_key)
        # How Dagster knows that nothing more will come.
        Path(self.complete_artifact_path(log_key)).touch()  # type: ignore[no-untyped-call]
