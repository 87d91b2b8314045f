"""The demo catalog, its tiny models served by Modal instead of by this machine."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import yaml

from beacon_pipeline.catalog import SHIPPED

DEMO = SHIPPED / "demo"


def write_modal_catalog(folder: Path, models: Sequence[str] = (), **of_each_model: object) -> Path:
    """Write it, with these models or all; returns its folder, for BEACON_CATALOG."""
    shutil.copytree(DEMO, folder)
    entries = yaml.safe_load((DEMO / "models.yaml").read_text())["models"]
    entries = [entry for entry in entries if entry["id"] in (models or entry["id"])]
    for model in entries:
        model["provider"] = "modal"
        model["folder"] = str((DEMO / model["folder"]).resolve())
        model["memory_mib"] = 1024
        model.update(of_each_model)
    (folder / "models.yaml").write_text(yaml.safe_dump({"models": entries}, sort_keys=False))
    return folder
