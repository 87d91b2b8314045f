"""Which cells a job was asked for, as the job's row keeps it: so that what is missing can be found. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from beacon_pipeline.ledger.records import Cell

ASKED = "asked"


def specification_of(cells: Iterable[Cell]) -> dict[str, Any]:
    """The cells as JSON can hold them: deployments that are asked the same questions, together.

    A full matrix is one such group, however many cells it has.
    """
    questions: dict[tuple[str, str], list[str]] = {}
    for cell in sorted(set(cells)):
        questions.setdefault((cell.region, cell.model), []).append(cell.question)
    groups: dict[tuple[str, ...], list[list[str]]] = {}
    for (region, model), asked in questions.items():
        groups.setdefault(tuple(asked), []).append([region, model])
    return {
        ASKED: [
            {"deployments": deployments, "questions": list(asked)} for asked, deployments in groups.items()
        ]
    }


def specified_cells(specification: Mapping[str, Any] | None) -> list[Cell] | None:
    """The cells that a job's specification names, in order; None where none was kept."""
    if not specification or ASKED not in specification:
        return None
    return sorted(
        Cell(region, model, question)
        for group in specification[ASKED]
        for region, model in group["deployments"]
        for question in group["questions"]
    )
