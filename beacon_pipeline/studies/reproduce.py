"""Asking again with the same seeds: is the same computed? Equal seeds show nothing about the findings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.catalog.partitions import key_of
from beacon_pipeline.catalog.plan import Plan
from beacon_pipeline.errors import BeaconError
from beacon_pipeline.findings.export.files import read_rows
from beacon_pipeline.findings.export.tables import ANSWERS
from beacon_pipeline.ledger.records import Cell

PLACE = ("region", "model", "question", "arm", "block", "sample")
NAMED = 20  # places that are named

# What may have made the difference, the nearest cause first.
_CAUSES = (
    *("rendered_prompt", "system_prompt", "prompt", "seed", "temperature", "top_p", "max_new_tokens"),
    *("provenance_weights_sha256", "provenance_revision", "provenance_tokenizer_sha256"),
    *("provenance_chat_template_sha256", "provenance_engine", "provenance_dtype", "provenance_gpu"),
    *("provenance_batch_size", "provenance_attention", "provenance_versions", "provenance_cuda"),
)

Row = Mapping[str, Any]


class NotReproducible(BeaconError):
    """An export that cannot be asked again, and why."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A job of an export, as it can be asked again."""

    job: str
    plan: Plan
    cells: tuple[Cell, ...]


@dataclass(slots=True)
class Compared:
    """How many answers of one stream were compared, and which were not the same."""

    equal: int = 0
    differing: list[str] = field(default_factory=list)
    without: int = 0  # no answer on one of the sides: nothing to compare

    @property
    def compared(self) -> int:
        return self.equal + len(self.differing)


def asked_in(folder: Path) -> list[Asked]:
    """The jobs of an opened export. Raises NotReproducible."""
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    cells: dict[str, set[Cell]] = {}
    for row in read_rows(folder, ANSWERS):
        cells.setdefault(row["job"], set()).add(Cell(row["region"], row["model"], row["question"]))
    found = []
    for job in plan["jobs"]:
        # Of no study: what is asked again is no new answer to its questions.
        kept = Plan.of(job["plan"]).model_copy(update={"study": None, "version": None})
        found.append(Asked(job["job"], kept, tuple(sorted(cells.get(job["job"], ())))))
    if not any(asked.cells for asked in found):
        raise NotReproducible("the export has no answers: there is nothing to ask again")
    return found


def require_known(asked: Asked, catalog: Catalog) -> None:
    """Raises NotReproducible where the catalog cannot ask all of a job."""
    unknown = sorted(set(asked.cells).difference(catalog.cells()))
    if unknown:
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise NotReproducible(
            f"the catalog {catalog.name!r} does not ask {key_of(unknown[0])}{more} of the export: set "
            "BEACON_CATALOG to one that does"
        )


def compared(before: Iterable[Row], after: Iterable[Row]) -> dict[str, Compared]:
    """Answers of the same places in two jobs: tokens, or texts where no tokens are on record.

    By stream: ``probes`` and ``samples``.
    """
    now = {_place(row): row for row in after}
    found = {"probes": Compared(), "samples": Compared()}
    for row in before:
        stream = found["probes" if row["probe"] else "samples"]
        other = now.get(_place(row))
        if other is None or not (row["usable"] and other["usable"]):
            stream.without += 1
        elif _output(row, other) == _output(other, row):
            stream.equal += 1
        else:
            stream.differing.append(_named(row, other))
    return found


def lines(found: Mapping[str, Compared]) -> Iterator[str]:
    """What was found, in words."""
    for stream, one in found.items():
        if one.compared or one.without:
            without = f", {one.without} without an answer on one side" if one.without else ""
            yield f"{stream}: {one.equal} of {one.compared} have equal tokens{without}"
        yield from (f"  {named}" for named in one.differing[:NAMED])
        if len(one.differing) > NAMED:
            yield f"  and {len(one.differing) - NAMED} more"


def _place(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in PLACE)


def _output(row: Row, other: Row) -> Any:
    tokens = row["output_token_sha256"] is not None and other["output_token_sha256"] is not None
    return row["output_token_sha256"] if tokens else row["answer"]


def _named(row: Row, other: Row) -> str:
    causes = [name.removeprefix("provenance_") for name in _CAUSES if row[name] != other[name]]
    why = f"also another {', '.join(causes[:4])}" if causes else "all that is on record of how is equal"
    place = f"{row['region']}:{row['model']}|{row['question']}"
    return f"{place}, arm {row['arm']}, block {row['block']}, sample {row['sample']}: {why}"
