"""The catalog: regions, models and questions, from YAML files into frozen values.

A catalog is a folder with ``regions.yaml``, ``models.yaml``, ``questions.yaml`` and
``settings.yaml``. Two ship, ``demo`` and ``production``; ``BEACON_CATALOG`` names one or a folder.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError
from rapidfuzz import process

from beacon_pipeline.catalog.model import (
    Catalog,
    Category,
    Entry,
    Model,
    ProviderName,
    Question,
    Region,
    Settings,
    UnknownName,
    spelling,
)
from inference.providers.endpoint import BASE_URL_FORM, is_base_url

__all__ = [
    "Catalog",
    "CatalogError",
    "Category",
    "Model",
    "ProviderName",
    "Question",
    "Region",
    "Settings",
    "UnknownName",
    "load_catalog",
]

SHIPPED = Path(__file__).parent
DEFAULT = "demo"
FILE_LIMIT = 1_000_000  # bytes; a catalog is written by hand
Kind = TypeVar("Kind", bound=Entry)


class CatalogError(Exception):
    """A catalog that cannot be used: every problem at once, one line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load_catalog(name_or_folder: str | None = None) -> Catalog:
    """Read and check a catalog: a shipped one by name, or a folder.

    Without an argument ``BEACON_CATALOG`` decides, and then ``demo``. Raises CatalogError.
    """
    chosen = name_or_folder or os.environ.get("BEACON_CATALOG") or DEFAULT
    folder = SHIPPED / chosen if chosen in shipped_names() else Path(chosen)
    if not folder.is_dir():
        raise CatalogError(
            [f"no catalog {chosen!r}: give a folder, or one of {', '.join(shipped_names())} (BEACON_CATALOG)"]
        )
    problems: list[str] = []
    regions = _read_entries(folder / "regions.yaml", "regions", Region, problems)
    models = _read_entries(folder / "models.yaml", "models", Model, problems)
    questions = _read_entries(folder / "questions.yaml", "questions", Question, problems)
    settings = _read_settings(folder / "settings.yaml", problems)
    problems += _cross_checks(regions, models)
    if problems:
        raise CatalogError(problems)
    content = [[entry.model_dump(mode="json") for entry in group] for group in (regions, models, questions)]
    return Catalog(
        name=folder.name,
        digest=hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest(),
        folder=folder.resolve(),
        regions=tuple(regions),
        models=tuple(models),
        questions=tuple(questions),
        settings=settings,
    )


def shipped_names() -> list[str]:
    """The names of the catalogs that ship with the package."""
    return sorted(path.parent.name for path in SHIPPED.glob("*/regions.yaml"))


def _read_entries(path: Path, key: str, kind: type[Kind], problems: list[str]) -> list[Kind]:
    root = _compose(path, problems)
    if root is None:
        return []
    pairs = {k.value: v for k, v in root.value} if isinstance(root, yaml.MappingNode) else {}
    listed = pairs.get(key)
    if set(pairs) != {key} or not isinstance(listed, yaml.SequenceNode) or not listed.value:
        problems.append(f"{path.name}: write one list of entries under '{key}:' and nothing else")
        return []
    entries = [entry for node in listed.value if (entry := _read_one(path, node, kind, problems)) is not None]
    counted = Counter(getattr(entry, "id", "") for entry in entries)
    problems += [f"{path.name}: duplicate id {name!r}: keep one" for name, n in counted.items() if n > 1]
    return entries


def _read_settings(path: Path, problems: list[str]) -> Settings:
    root = _compose(path, problems) if path.exists() else None
    found = None if root is None else _read_one(path, root, Settings, problems)
    return found or Settings()


def _read_one(path: Path, node: yaml.Node, kind: type[Kind], problems: list[str]) -> Kind | None:
    values = _construct(node)
    name = values.get("id") if isinstance(values, Mapping) else None
    where = f"{path.name}:{node.start_mark.line + 1}" + (f" ({name})" if name else "")
    duplicates = [k for k, n in Counter(_keys(node)).items() if n > 1]
    problems += [f"{where}: key {key!r} is given twice" for key in duplicates]
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        problems += [f"{where}: {_explain(dict(detail), kind)}" for detail in error.errors()]
        return None


def _compose(path: Path, problems: list[str]) -> yaml.Node | None:
    try:
        if path.stat().st_size > FILE_LIMIT:
            problems.append(f"{path.name}: larger than {FILE_LIMIT} bytes")
            return None
        text = path.read_text(encoding="utf-8")
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            problems.append(f"{path.name}: YAML aliases (*name) are not allowed: write the value out")
            return None
        node = yaml.compose(text, yaml.SafeLoader)
    except FileNotFoundError:
        problems.append(f"{path.name}: is missing from {path.parent}")
        return None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        problems.append(f"{path.name}: cannot be read: {' '.join(str(error).split())}")
        return None
    if node is None:
        problems.append(f"{path.name}: is empty")
    return node


def _construct(node: yaml.Node) -> Any:
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        return f"not readable: {' '.join(str(error).split())}"
    finally:
        loader.dispose()


def _keys(node: yaml.Node) -> Iterator[str]:
    if isinstance(node, yaml.MappingNode):
        yield from (str(key.value) for key, _ in node.value)


def _explain(detail: dict[str, Any], kind: type[Entry]) -> str:
    place = ".".join(map(str, detail["loc"]))
    if detail["type"] == "extra_forbidden":
        near = process.extractOne(place, list(kind.model_fields), score_cutoff=60)
        return f"unknown key {place!r}" + (f": did you mean {near[0]!r}?" if near else "")
    if detail["type"] == "missing":
        return f"key {place!r} is missing"
    if detail["type"] == "string_pattern_mismatch":
        return (
            f"{place} {detail['input']!r} is unfit for a partition key: "
            "use a-z, 0-9, '.', '_' and '-', starting with a letter or digit"
        )
    return f"{place}: {detail['msg'].lower()} (given: {detail['input']!r:.60})"


def _cross_checks(regions: list[Region], models: list[Model]) -> list[str]:
    problems: list[str] = []
    owners: dict[str, str] = {}
    for region in regions:
        for alias in {spelling(alias) for alias in (region.id, region.name, *region.aliases)}:
            if owners.setdefault(alias, region.id) != region.id:
                problems.append(
                    f"regions.yaml ({region.id}): alias {alias!r} already stands for {owners[alias]!r}"
                )
    known = {region.id for region in regions}
    for model in models:
        where = f"models.yaml ({model.id})"
        for name in {*model.regions, *model.endpoints} - known:
            meant = owners.get(spelling(name))
            way_out = f"write {meant!r}" if meant else f"known are {', '.join(sorted(known))}"
            problems.append(f"{where}: unknown region {name!r}: {way_out}")
        if (model.repository is None) == (model.folder is None):
            problems.append(f"{where}: give exactly one of 'repository' and 'folder'")
        if model.provider is ProviderName.HTTP:
            missing = set(model.regions or known) - set(model.endpoints)
            problems += [f"{where}: no endpoint for region {name!r}" for name in sorted(missing)]
            if model.endpoint_model is None:
                problems.append(
                    f"{where}: key 'endpoint_model' is missing: the model's name at its endpoints"
                )
        problems += [
            f"{where}: the endpoint for region {name!r} is not usable: {BASE_URL_FORM}"
            for name, url in model.endpoints.items()
            if not is_base_url(url)
        ]
    return problems
