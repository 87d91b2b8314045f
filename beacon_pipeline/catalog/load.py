"""The catalog: regions, models and questions, from YAML files into frozen values.

A catalog is a folder with ``regions.yaml``, ``models.yaml``, ``questions.yaml``, ``settings.yaml`` and
where it has any ``arms.yaml``. Two ship, ``demo`` and ``production``; ``BEACON_CATALOG`` names one or a
folder.
"""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import ValidationError

from beacon_pipeline import environment
from beacon_pipeline.catalog.entries import (
    Arm,
    Catalog,
    Entry,
    Model,
    ProviderName,
    Question,
    Region,
    Settings,
    parameters_of,
    spelling,
)
from beacon_pipeline.catalog.limits import beyond_limits, switch_problems
from beacon_pipeline.catalog.plan import AS_REGION
from beacon_pipeline.catalog.problems import in_words
from beacon_pipeline.catalog.study_file import StudyError, read_study
from beacon_pipeline.catalog.yaml_lines import compose, node_at, place_of, read_one
from beacon_pipeline.errors import BeaconError
from beacon_pipeline.ledger.records import PROBE_ARM, REGIONAL_ARM
from inference.http.endpoint import BASE_URL_FORM, is_base_url

SHIPPED = Path(__file__).parent
DEFAULT = "demo"
Kind = TypeVar("Kind", bound=Entry)


class CatalogError(BeaconError):
    """A catalog that cannot be used: every problem at once, one line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load_catalog(name_or_folder: str | None = None) -> Catalog:
    """Read and check a catalog: a shipped one by name, or a folder.

    Without an argument ``BEACON_CATALOG`` decides, and then ``demo``. ``BEACON_PROVIDER`` says who serves its
    models instead of `models.yaml`. Raises CatalogError.
    """
    chosen = name_or_folder or os.environ.get("BEACON_CATALOG") or DEFAULT
    folder = SHIPPED / chosen if chosen in shipped_names() else Path(chosen)
    try:
        found = folder.is_dir()
    except (OSError, ValueError):  # a name too long, or with a NUL
        found = False
    if not found:
        raise CatalogError(
            [
                f"no catalog {chosen!r:.120}: give a folder, or one of {', '.join(shipped_names())} "
                "(BEACON_CATALOG)"
            ]
        )
    problems: list[str] = _provider_problems()
    with _no_search_for_cycles():
        regions = _read_entries(folder / "regions.yaml", "regions", Region, problems)
        models = _read_entries(folder / "models.yaml", "models", Model, problems, look=_missing_weights)
        questions = _read_entries(folder / "questions.yaml", "questions", Question, problems)
        arms = _read_arms(folder / "arms.yaml", problems)
        settings = _read_settings(folder / "settings.yaml", problems)
    models = [model.model_copy(update={"provider": _served_by(model)}) for model in models]
    problems += _cross_checks(regions, models)
    problems += _translation_problems(questions)
    problems += _parameter_problems(models, settings)
    if problems:
        raise CatalogError(problems)
    catalog = Catalog(
        name=folder.name,
        folder=folder.resolve(),
        regions=tuple(regions),
        models=tuple(models),
        questions=tuple(questions),
        arms=tuple(arms),
        settings=settings,
    )
    if problems := _study_problems(catalog):
        raise CatalogError(problems)
    return catalog


@contextmanager
def _no_search_for_cycles() -> Iterator[None]:
    """12,000 questions are a million objects on the way, without cycles: looking for some took two thirds of
    the time, and more in a process that holds much else."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _provider_problems() -> list[str]:
    override = environment.provider_override()
    if override is None or override[0] in list(ProviderName):
        return []
    return [f"no provider {override[0]!r:.80}: known are {', '.join(sorted(ProviderName))}"]


def _served_by(model: Model) -> ProviderName:
    """The provider that serves a model: its own, or the one of ``BEACON_PROVIDER``."""
    name, models = environment.provider_override() or ("", frozenset())
    chosen = name in list(ProviderName) and (not models or model.id in models)
    return ProviderName(name) if chosen else model.provider


def _study_problems(catalog: Catalog) -> list[str]:
    """What is wrong with the studies that schedules name."""
    problems: list[str] = []
    for name, schedule in catalog.settings.schedules.items():
        if schedule.study is None:
            continue
        if schedule.categories:
            problems.append(f"settings.yaml (schedules.{name}): give 'categories' or 'study', not both")
        try:
            read_study(catalog.folder / schedule.study, catalog)
        except StudyError as error:
            problems += error.problems
    return problems


def shipped_names() -> list[str]:
    """The names of the catalogs that ship with the package."""
    return sorted(path.parent.name for path in SHIPPED.glob("*/regions.yaml"))


def _read_entries(
    path: Path,
    key: str,
    kind: type[Kind],
    problems: list[str],
    look: Callable[[Path, yaml.Node, Kind], list[str]] = lambda *_: [],
) -> list[Kind]:
    """The entries of a file; ``look`` gives what is wrong with one beyond its own words."""
    root = compose(path, problems)
    if root is None:
        return []
    pairs = {k.value: v for k, v in root.value} if isinstance(root, yaml.MappingNode) else {}
    listed = pairs.get(key)
    if set(pairs) != {key} or not isinstance(listed, yaml.SequenceNode) or not listed.value:
        problems.append(f"{path.name}: write one list of entries under '{key}:' and nothing else")
        return []
    entries = []
    for node in listed.value:
        entry = read_one(path, node, kind, problems)
        if entry is not None:
            entries.append(entry)
            problems += look(path, node, entry)
    counted = Counter(getattr(entry, "id", "") for entry in entries)
    problems += [f"{path.name}: duplicate id {name!r}: keep one" for name, n in counted.items() if n > 1]
    return entries


def _missing_weights(path: Path, node: yaml.Node, model: Model) -> list[str]:
    # A folder that Modal's images are made from has to be there where they are made, and only then.
    if _served_by(model) is not ProviderName.LOCAL:
        return []
    folders = {("folder",): model.folder} | {
        ("sources", region, "folder"): source.folder for region, source in model.sources.items()
    }
    return [
        f"{place_of(path, node_at(node, place), model.id)}: no folder {weights.resolve()}: a relative one "
        "begins at the catalog; `beacon catalog init` makes a catalog with its weights"
        for place, folder in folders.items()
        if folder is not None and not (weights := path.parent.resolve() / folder).is_dir()
    ]


def _read_arms(path: Path, problems: list[str]) -> list[Arm]:
    return _read_entries(path, "arms", Arm, problems, look=_reserved) if path.exists() else []


def _reserved(path: Path, node: yaml.Node, arm: Arm) -> list[str]:
    if arm.id not in (REGIONAL_ARM, PROBE_ARM) and not arm.id.startswith(AS_REGION):
        return []
    return [
        f"{place_of(path, node, arm.id)}: {REGIONAL_ARM!r}, {PROBE_ARM!r} and names that begin with "
        f"{AS_REGION!r} have a meaning of their own: give the arm another name"
    ]


def _read_settings(path: Path, problems: list[str]) -> Settings:
    root = compose(path, problems) if path.exists() else None
    found = None if root is None else read_one(path, root, Settings, problems)
    return found or Settings()


def _parameter_problems(models: list[Model], settings: Settings) -> list[str]:
    """What of a model's fields cannot be asked for together."""
    problems: list[str] = []
    for model in models:
        try:
            parameters_of(model, settings)
        except ValidationError as error:
            problems += [f"models.yaml ({model.id}): {in_words(detail)}" for detail in error.errors()]
    return problems


def _translation_problems(questions: list[Question]) -> list[str]:
    """What is wrong with questions that say whose translation they are."""
    problems: list[str] = []
    by_id = {question.id: question for question in questions}
    taken: dict[tuple[str, str | None], str] = {}  # by original and language
    for question in questions:
        where = f"questions.yaml ({question.id})"
        original = by_id.get(question.translates or question.id)
        if original is None:
            problems.append(f"{where}: it translates {question.translates!r}, which is no question here")
            continue
        if question.translates is not None and (original is question or original.translates is not None):
            problems.append(f"{where}: {original.id!r} is no original: name the one that all translate")
        if question.translates is not None and None in (question.language, original.language):
            problems.append(f"{where}: give 'language' to it and to {original.id!r}, which it translates")
        owner = taken.setdefault((original.id, question.language), question.id)
        if question.language is not None and owner != question.id:
            problems.append(f"{where}: {owner!r} is that question in {question.language!r} already")
    return problems


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
        for name in {*model.regions, *model.endpoints, *model.sources} - known:
            meant = owners.get(spelling(name))
            way_out = f"write {meant!r}" if meant else f"known are {', '.join(sorted(known))}"
            problems.append(f"{where}: unknown region {name!r}: {way_out}")
        for region_id, source in model.all_sources().items():
            if (source.repository is None) == (source.folder is None):
                at = f"{where}: sources.{region_id}" if region_id else where
                problems.append(f"{at}: give exactly one of 'repository' and 'folder'")
        if model.sources and model.provider is ProviderName.HTTP:
            problems.append(f"{where}: an endpoint has its own weights: leave 'sources' out")
        problems += [f"{where}: {problem}" for problem in switch_problems(model)]
        if model.provider is ProviderName.MODAL:
            problems += [f"{where}: {problem}" for problem in beyond_limits(model)]
        if model.provider is ProviderName.HTTP:
            missing = set(model.regions or known) - set(model.endpoints)
            problems += [f"{where}: no endpoint for region {name!r}" for name in sorted(missing)]
            if model.template_arguments and model.endpoint_style != "vllm":
                problems.append(f"{where}: 'template_arguments' are sent with endpoint_style 'vllm' only")
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
