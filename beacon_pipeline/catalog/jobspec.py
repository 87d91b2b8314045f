"""The file that `beacon submit` takes: which questions of which models in which regions.

name: taiwan-in-asia            # optional; submitting it again goes on with the same job
questions: [taiwan_status, hongkong_2019]
models:
  - id: mistral-7b
    regions: [eu, apac]         # by any of their names; left out: wherever it is served
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from beacon_pipeline.catalog import Catalog, UnknownName
from beacon_pipeline.catalog.yaml_lines import compose, read_one
from beacon_pipeline.errors import BeaconError
from beacon_pipeline.escaping import visible
from beacon_pipeline.ledger.records import Cell

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=100)]


class Strict(BaseModel):
    """Base of what a job file holds: frozen, no unknown keys, no other types made to fit."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class AskedModel(Strict):
    """A model and where to ask it; without regions wherever it is served."""

    id: str
    regions: list[str] | None = Field(default=None, min_length=1)


class Jobspec(Strict):
    """The file as written."""

    name: Name | None = None
    questions: list[str] = Field(min_length=1)
    models: list[AskedModel] = Field(min_length=1)


@dataclass(frozen=True)
class Wanted:
    """What a job file asks for, in the catalog's own words."""

    name: str | None
    cells: tuple[Cell, ...]


class JobspecError(BeaconError):
    """A job file that cannot be used: every problem at once, one line each."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


def read_jobspec(path: Path, catalog: Catalog) -> Wanted:
    """Read a job file and find everything it names in the catalog. Raises JobspecError."""
    problems: list[str] = []
    node = compose(path, problems)
    spec = None if node is None else read_one(path, node, Jobspec, problems)
    if spec is None:
        raise JobspecError(problems)
    problems = [f"{path.name}: {visible(problem)}" for problem in _problems(spec, catalog)]
    if problems:
        raise JobspecError(problems)
    cells = (
        cell
        for model in spec.models
        for cell in catalog.cells(model.regions or (), [model.id], spec.questions)
    )
    return Wanted(spec.name, tuple(sorted(cells)))


def _problems(spec: Jobspec, catalog: Catalog) -> Iterator[str]:
    yield from _unknown(spec.questions, catalog.question)
    yield from _unknown([model.id for model in spec.models], catalog.model)
    yield from _repeated("question", spec.questions)
    yield from _repeated("model", [model.id for model in spec.models])
    for model in spec.models:
        where = f"model {model.id!r}: "
        yield from (where + problem for problem in _unknown(model.regions or (), catalog.region))
        known = [found for name in model.regions or () if (found := catalog.named_region(name))]
        yield from (where + problem for problem in _repeated("region", known))
        yield from (where + problem for problem in _not_served(model.id, known, catalog))


def _not_served(model_id: str, regions: Iterable[str], catalog: Catalog) -> Iterator[str]:
    served = next((catalog.regions_of(model) for model in catalog.models if model.id == model_id), None)
    if served is not None:
        for region in dict.fromkeys(regions):
            if region not in served:
                yield f"is not served in {region!r}: it is in {', '.join(served)}"


def _unknown(names: Iterable[str], find: Callable[[str], object]) -> Iterator[str]:
    for name in dict.fromkeys(names):
        try:
            find(name)
        except UnknownName as unknown:
            yield str(unknown)


def _repeated(kind: str, names: Iterable[str]) -> Iterator[str]:
    yield from (f"{kind} {name!r} is given twice" for name, count in Counter(names).items() if count > 1)
