"""How a benchmark reports: the machine it ran on, and a table in its file, whose notes are kept."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

START, END = "<!-- measured -->", "<!-- /measured -->"


def machine() -> str:
    """The machine and what ran on it, in a line."""
    return (
        f"{os.cpu_count()} CPUs ({platform.machine()}), Python {platform.python_version()}, "
        f"Dagster {version('dagster')}"
    )


def keep(path: Path, text: str) -> None:
    """Print what was measured and put it into ``path``, between the marks; the notes around it stay."""
    print(text)
    before, _, after = path.read_text().partition(START) if path.exists() else ("", "", "")
    _, _, notes = after.partition(END)
    path.write_text(f"{before}{START}\n{text}\n{END}{notes}")
