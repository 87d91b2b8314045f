"""What is found out of the machine that a model is loaded on."""

from pathlib import Path

import pytest

from inference.runtime.loading import driver_version


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo 550.54.15\necho 550.54.15\n", "550.54.15"),  # one line for each GPU
        ("echo broken; exit 9\n", None),
        ("", None),
        (None, None),
    ],
)
def test_the_drivers_version_is_what_nvidia_smi_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, expected: str | None
) -> None:
    if script is not None:
        tool = tmp_path / "nvidia-smi"
        tool.write_text(f"#!/bin/sh\n{script}")
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert driver_version() == expected
