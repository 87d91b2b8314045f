"""The catalog as a job asks it: models and regions as it is now, questions as it was then. Pure.

A job is asked over hours, and healed later. Were a question reworded or the date for templates moved
meanwhile, one region would answer another prompt than the next, and nothing about the answers would show it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, TypeVar

from beacon_pipeline.catalog.entries import Catalog, Model, Question, Region

# What of an entry is asked. The rest (weights, endpoints, limits, budgets) is how it is run, and is of now:
# an answer's provenance says which weights made it.
_ASKED: Mapping[str, Sequence[str]] = {
    "questions": ("text",),
    "regions": ("system_prompt",),
    "models": ("max_new_tokens", "temperature", "top_p", "seed", "stop", "template_arguments"),
}

AnEntry = TypeVar("AnEntry", Region, Model, Question)


def as_kept(catalog: Catalog, content: Mapping[str, Any]) -> Catalog:
    """The catalog with the texts, prompts, parameters and date of the ``content`` that a job keeps.

    An entry that the content lacks came later, and is as it is now.
    """
    settings = catalog.settings
    if kept_date := content.get("prompt_date"):
        settings = settings.model_copy(update={"prompt_date": date.fromisoformat(kept_date)})
    return Catalog(
        name=catalog.name,
        folder=catalog.folder,
        regions=_as_kept(catalog.regions, "regions", content),
        models=_as_kept(catalog.models, "models", content),
        questions=_as_kept(catalog.questions, "questions", content),
        arms=catalog.arms,
        settings=settings,
    )


def _as_kept(entries: Iterable[AnEntry], group: str, content: Mapping[str, Any]) -> tuple[AnEntry, ...]:
    kept = {entry["id"]: entry for entry in content.get(group, ())}
    return tuple(
        entry.model_copy(update=_fields(kept[entry.id], _ASKED[group])) if entry.id in kept else entry
        for entry in entries
    )


def _fields(kept: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    found = {name: kept[name] for name in names if name in kept}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}
