"""The one place where region × model × question becomes a partition key, and back.

Dagster's multi-partitions have exactly two dimensions. ``deployment`` (``eu:mistral-7b``) ×
``question`` lets a person pick in the UI all of one region (type ``eu:`` and select all), one model
everywhere (``:mistral-7b``), or one question everywhere; and one deployment with many questions is
what one warm GPU takes as a batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import dagster as dg

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.errors import BeaconError
from beacon_pipeline.ledger.records import Cell
from inference.contract import Deployment

DEPLOYMENT = "deployment"
QUESTION = "question"


@dataclass(frozen=True)
class KeyRange:
    """Consecutive questions of consecutive deployments, as one Dagster run takes them."""

    deployments: tuple[Deployment, ...]
    start: str  # the first and the last partition key, both included
    end: str


class NotAPartitionKey(BeaconError, ValueError):
    """A text that names no cell; the message shows what one looks like."""


def partitions_definition(catalog: Catalog) -> dg.MultiPartitionsDefinition:
    """Every deployment × every question of the catalog."""
    return dg.MultiPartitionsDefinition(
        {
            DEPLOYMENT: dg.StaticPartitionsDefinition(
                [str(deployment) for deployment in catalog.deployments()]
            ),
            QUESTION: dg.StaticPartitionsDefinition([question.id for question in catalog.questions]),
        }
    )


def key_of(cell: Cell) -> str:
    """The partition key of a cell, as Dagster writes it: ``eu:mistral-7b|taiwan_status``."""
    # Dagster renders the dimensions in the alphabetical order of their names.
    return f"{cell.deployment}|{cell.question}"


def question_key(model: str, question: str) -> str:
    """The key of a model's answers to a question in all regions, as Dagster writes it: ``m|q``."""
    return f"{model}|{question}"


def cell_of(key: str) -> Cell:
    """The cell of a partition key. Raises NotAPartitionKey."""
    deployment, bar, question = key.partition("|")
    region, colon, model = deployment.partition(":")
    if not (bar and colon and region and model and question) or "|" in question or ":" in model:
        raise NotAPartitionKey(f"{key!r} is not a partition key: write REGION:MODEL|QUESTION")
    return Cell(region, model, question)


def cells_between(catalog: Catalog, start: str, end: str) -> list[Cell]:
    """The cells of the range of keys from ``start`` to ``end``, both included.

    As Dagster reads it: every deployment between × every question between. Raises NotAPartitionKey,
    also where the catalog no longer has one of the ends.
    """
    first, last = cell_of(start), cell_of(end)
    deployments = [(d.region, d.model) for d in catalog.deployments()]
    questions = [question.id for question in catalog.questions]
    try:
        regions_and_models = deployments[
            deployments.index((first.region, first.model)) : deployments.index((last.region, last.model)) + 1
        ]
        asked = questions[questions.index(first.question) : questions.index(last.question) + 1]
    except ValueError:
        raise NotAPartitionKey(f"{start!r} to {end!r} is no range of the catalog's partitions") from None
    return [Cell(region, model, question) for region, model in regions_and_models for question in asked]


def key_ranges(catalog: Catalog, cells: Iterable[Cell]) -> list[KeyRange]:
    """The fewest ranges of consecutive questions, one deployment each, that hold exactly these cells."""
    position = {question.id: index for index, question in enumerate(catalog.questions)}
    wanted: dict[tuple[str, str], list[int]] = {}
    for cell in sorted(set(cells)):
        wanted.setdefault((cell.region, cell.model), []).append(position[cell.question])
    return [
        KeyRange(
            (Deployment(region=region, model=model),),
            key_of(Cell(region, model, catalog.questions[first].id)),
            key_of(Cell(region, model, catalog.questions[last].id)),
        )
        for (region, model), positions in wanted.items()
        for first, last in _consecutive(sorted(positions))
    ]


def rectangle(catalog: Catalog, cells: Iterable[Cell]) -> KeyRange:
    """The smallest range that holds all these cells; it may hold others too, which lie between them."""
    wanted = set(cells)
    asked = {cell.deployment for cell in wanted}
    deployments = [deployment for deployment in catalog.deployments() if deployment in asked]
    questions = [q.id for q in catalog.questions if q.id in {cell.question for cell in wanted}]
    first, last = (
        key_of(Cell(deployment.region, deployment.model, question))
        for deployment, question in ((deployments[0], questions[0]), (deployments[-1], questions[-1]))
    )
    return KeyRange(tuple(deployments), first, last)


def _consecutive(numbers: Sequence[int]) -> list[tuple[int, int]]:
    runs = groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0])
    groups = [[number for _, number in group] for _, group in runs]
    return [(group[0], group[-1]) for group in groups]
