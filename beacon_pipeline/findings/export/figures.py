"""The figures of an export, computed from its rows alone: by whoever writes it and by whoever checks it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from beacon_pipeline.catalog.study import Study
from beacon_pipeline.findings.evaluate import evaluate
from beacon_pipeline.findings.export.files import read_frame, read_rows
from beacon_pipeline.findings.export.tables import ANSWERS, COMPARISONS, LABELS
from beacon_pipeline.findings.finding import Finding
from beacon_pipeline.findings.summary import sides_of


def rates(folder: Path) -> Iterator[dict[str, Any]]:
    """The rows of `RATES`."""
    for side in sides_of(read_rows(folder, ANSWERS)):
        low, high = side.refusals.interval
        yield {
            "model": side.model,
            "region": side.region,
            "arm": side.arm,
            "asked": side.asked,
            "answered": side.answered,
            "lost": side.lost,
            "unusable": side.unusable,
            "texts": side.texts,
            "refusals": side.refusals.part,
            "refusal_rate": side.refusals.rate,
            "low": low,
            "high": high,
        }


def findings(folder: Path, study: Study | None) -> list[Finding]:
    """What the study finds in the exported rows; nothing without one."""
    if study is None:
        return []
    labels = read_frame(folder, LABELS)
    return evaluate(study, read_frame(folder, ANSWERS), None if labels.empty else labels)


def comparisons(found: list[Finding]) -> Iterator[dict[str, Any]]:
    """The rows of `COMPARISONS`."""
    for finding in found:
        values = finding.as_dict() | {"side_a": finding.sides[0], "side_b": finding.sides[1]}
        values["qualifiers"] = "; ".join(finding.qualifiers)
        yield {name: _plain(values[name]) for name in COMPARISONS.types}


def _plain(value: Any) -> Any:
    """A numpy number as a Python one, an enum's value as text."""
    if isinstance(value, str):
        return str(value)
    return value.item() if hasattr(value, "item") else value
