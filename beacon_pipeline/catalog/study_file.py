"""The file that `beacon study` takes: a study as people write it. `examples/study.yaml` shows one.

Every problem is found at once, a line each with its place. Short forms are written out here: categories
become questions, a claim about all models or regions becomes one claim for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, field_validator

from beacon_pipeline.catalog.claims import ClaimError, Languages, expanded
from beacon_pipeline.catalog.entries import Catalog, Category, Id, Model, UnknownName
from beacon_pipeline.catalog.plan import PlanError
from beacon_pipeline.catalog.study import (
    LOOKS_LIMIT,
    Asked,
    AskedModel,
    Assumptions,
    Contrast,
    Count,
    Fixed,
    Labeller,
    Outcome,
    Parameters,
    Population,
    Probes,
    Study,
    Texts,
)
from beacon_pipeline.catalog.study_plan import plan_of
from beacon_pipeline.catalog.yaml_lines import compose, node_at, place_of, read_one
from beacon_pipeline.errors import BeaconError
from beacon_pipeline.escaping import visible
from beacon_pipeline.labels.judge import why_no_judge
from beacon_pipeline.ledger.records import PROBE_ARM, REGIONAL_ARM

ALL = "all"
CLAIMS_LIMIT = 1000
AS_WRITTEN = (
    "id",
    "title",
    "samples",
    "probes",
    "parameters",
    "correction",
    "texts",
    "fresh_start",
    "assumptions",
)
Names = Annotated[list[str], Field(min_length=1)]
Place = tuple[str | int, ...]


class ArmInFile(Fixed):
    """An arm of the catalog by its name, or one of the study's own with its system prompt."""

    id: Id
    system_prompt: Annotated[str, Field(min_length=1)] | None = None


class ClaimInFile(Fixed):
    """A claim, or with `all` one for each model, region or pair of regions."""

    id: Id
    contrast: Annotated[Contrast, Field(strict=False)]
    outcome: Annotated[Outcome, Field(strict=False)] | None = None
    models: Names | None = None  # None: all
    regions: Names | None = None
    arms: Names | None = None
    population: Annotated[Population, Field(strict=False)] = Population.THESE
    delta: float | None = Field(default=None, gt=0, lt=1)
    level: float = Field(default=0.05, gt=0, le=0.5)
    test: str | None = None
    correction: str | None = None
    languages: Names | None = None

    @field_validator("models", "regions", mode="before")
    @classmethod
    def _all(cls, given: Any) -> Any:
        return None if given == ALL else given


class StudyInFile(Fixed):
    """The file as written."""

    id: Id
    title: str = ""
    models: Names
    regions: Names
    questions: Names | None = None
    categories: list[Annotated[Category, Field(strict=False)]] | None = Field(default=None, min_length=1)
    arms: list[ArmInFile] = Field(default=[ArmInFile(id=REGIONAL_ARM)], min_length=1)
    blocks: Count | None = None
    samples: Count = 1
    probes: Probes = Probes()
    parameters: Parameters = Parameters()
    labellers: list[Labeller] = Field(default=[Labeller(method="rules")], min_length=1)
    looks: list[Count] | None = Field(default=None, min_length=1, max_length=LOOKS_LIMIT)
    correction: Literal["holm"] = "holm"
    texts: Texts = Texts()
    fresh_start: bool = True
    assumptions: Assumptions = Assumptions()
    claims: list[ClaimInFile] = []
    exploratory: list[ClaimInFile] = []

    @field_validator("arms", mode="before")
    @classmethod
    def _arms_by_name(cls, given: Any) -> Any:
        return _mappings(given, "id")

    @field_validator("labellers", mode="before")
    @classmethod
    def _labellers_by_name(cls, given: Any) -> Any:
        return _mappings(given, "method")


def _mappings(given: Any, key: str) -> Any:
    if not isinstance(given, list):
        return given
    return [{key: one} if isinstance(one, str) else one for one in given]


class StudyError(BeaconError):
    """A study file that cannot be used: every problem at once, one line each."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True)
class Problem:
    """What is wrong, and at which place of the file."""

    at: Place
    text: str


def read_study(path: Path, catalog: Catalog) -> Study:
    """Read a study file and find everything it names in the catalog. Raises StudyError."""
    problems: list[str] = []
    node = compose(path, problems)
    written = None if node is None else read_one(path, node, StudyInFile, problems, deep=True)
    if node is None or written is None:
        raise StudyError(problems)
    found: list[Problem] = []
    study = _resolved(written, catalog, found)
    if study is None or found:
        raise StudyError(_lines(path, node, found))
    return study


def _lines(path: Path, node: yaml.Node, problems: Iterable[Problem]) -> list[str]:
    return [f"{place_of(path, node_at(node, p.at))}: {visible(p.text)}" for p in problems]


def _resolved(written: StudyInFile, catalog: Catalog, found: list[Problem]) -> Study | None:
    """The study with every name resolved; None where ``found`` has something that leaves none."""
    models = [m.id for m in _named(written.models, "models", "model", catalog.model, found)]
    regions = [r.id for r in _named(written.regions, "regions", "region", catalog.region, found)]
    questions = _questions(written, catalog, found)
    prompts = _prompts(written, catalog, found)
    found += _not_served(written, catalog, models, regions)
    found += _labeller_problems(written.labellers, catalog, models)
    looks = _looks(written, found)
    if found:
        return None
    values: dict[str, Any] = {
        "models": tuple(models),
        "regions": tuple(regions),
        "questions": tuple(questions),
        "arms": tuple(arm.id for arm in written.arms),
        "prompts": prompts,
        "looks": looks,
        "blocks": sum(looks),
        "labellers": tuple(written.labellers),
        "asked": asked_of(catalog, models, regions, questions),
    }
    study = Study(**values, **{name: getattr(written, name) for name in AS_WRITTEN})
    try:
        plan_of(study, catalog, 1)
    except PlanError as error:
        found.append(Problem(("parameters",), str(error)))
    found += _error_problems(study)
    return _with_claims(study, written, languages_of(catalog), found)


def languages_of(catalog: Catalog) -> Languages:
    """In which language a question is, and of which question, of those that say so."""
    return {q.id: (q.language, q.translates or q.id) for q in catalog.questions if q.language is not None}


def _with_claims(study: Study, written: StudyInFile, languages: Languages, found: list[Problem]) -> Study:
    made: dict[str, list[Any]] = {"claims": [], "exploratory": []}
    for key, claims in made.items():
        for index, claim in enumerate(getattr(written, key)):
            try:
                fields = claim.model_dump()
                claims += expanded(fields, study, planned=key == "claims", languages=languages)
            except ClaimError as error:
                found.append(Problem((key, index, *error.at), f"claim {claim.id!r}: {error}"))
    names = [claim.id for claims in made.values() for claim in claims]
    found += [Problem(("claims",), f"claim {name!r} is given twice") for name in _repeated(names)]
    if len(names) > CLAIMS_LIMIT:
        found.append(Problem(("claims",), f"{len(names)} claims: at most {CLAIMS_LIMIT}"))
    return study.model_copy(update={key: tuple(claims) for key, claims in made.items()})


def _named(
    names: Sequence[str], key: str, kind: str, find: Callable[[str], Any], found: list[Problem]
) -> list[Any]:
    """What the names stand for, each once."""
    entries: dict[str, Any] = {}
    for index, name in enumerate(names):
        try:
            entry = find(name)
        except UnknownName as unknown:
            found.append(Problem((key, index), str(unknown)))
            continue
        if entry.id in entries:
            found.append(Problem((key, index), f"{kind} {entry.id!r} is given twice"))
        entries[entry.id] = entry
    return list(entries.values())


def _questions(written: StudyInFile, catalog: Catalog, found: list[Problem]) -> list[str]:
    if (written.questions is None) == (written.categories is None):
        found.append(Problem((), "give either 'questions' or 'categories'"))
        return []
    if written.questions is not None:
        named = _named(written.questions, "questions", "question", catalog.question, found)
        return [question.id for question in named]
    chosen = [q.id for q in catalog.questions if q.category in (written.categories or ())]
    if not chosen:
        found.append(Problem(("categories",), "the catalog has no question of these categories"))
    return chosen


def _prompts(written: StudyInFile, catalog: Catalog, found: list[Problem]) -> dict[str, str]:
    """The system prompt of every arm but `regional`."""
    known = catalog.arm_prompts
    prompts: dict[str, str] = {}
    for name in _repeated([arm.id for arm in written.arms]):
        found.append(Problem(("arms",), f"arm {name!r} is given twice"))
    for index, arm in enumerate(written.arms):
        at = ("arms", index)
        if arm.id == PROBE_ARM:
            found.append(Problem(at, f"arm {PROBE_ARM!r} is reserved: probes are asked for under 'probes'"))
        elif arm.system_prompt is not None:
            if arm.id in (REGIONAL_ARM, *known):
                found.append(Problem(at, f"arm {arm.id!r} has a system prompt already: take another name"))
            prompts[arm.id] = arm.system_prompt
        elif arm.id in known:
            prompts[arm.id] = known[arm.id]
        elif arm.id != REGIONAL_ARM:
            unknown = UnknownName("arm", arm.id, [REGIONAL_ARM, *known])
            found.append(Problem(at, f"{unknown}; or give it a system_prompt"))
    return prompts


def _not_served(
    written: StudyInFile, catalog: Catalog, models: Sequence[str], regions: Sequence[str]
) -> Iterator[Problem]:
    for model in models:
        served = catalog.regions_of(catalog.model(model))
        if missing := [region for region in regions if region not in served]:
            yield Problem(
                ("models", written.models.index(model)),
                f"model {model!r} is not served in {', '.join(missing)}: it is in {', '.join(served)}",
            )


def _labeller_problems(
    labellers: Sequence[Labeller], catalog: Catalog, models: Sequence[str]
) -> Iterator[Problem]:
    for index, labeller in enumerate(labellers):
        at = ("labellers", index)
        if (labeller.method == "judge") != (labeller.model is not None):
            yield Problem(at, "a judge, and only a judge, has a 'model' of the catalog")
        elif labeller.model is not None:
            try:
                judge = catalog.model(labeller.model)
            except UnknownName as unknown:
                yield Problem((*at, "model"), str(unknown))
                continue
            judged = {name: catalog.model(name).shown_names for name in models}
            if reason := why_no_judge(judge.id, judge.shown_names, judged):
                yield Problem((*at, "model"), reason)


def _error_problems(study: Study) -> Iterator[Problem]:
    """What error rates measured elsewhere refer to that the study does not have."""
    for index, labeller in enumerate(study.labellers):
        at = ("labellers", index, "errors")
        if labeller.errors and labeller.method == "people":
            yield Problem(at, "what people say is what error rates are measured against: leave 'errors' out")
        of = [(one.model, one.arm, one.language, one.outcome) for one in labeller.errors]
        for number, one in enumerate(labeller.errors):
            if one.model not in study.models:
                yield Problem((*at, number, "model"), f"{one.model!r} is not among the study's models")
            if one.arm is not None and one.arm not in study.arms:
                yield Problem((*at, number, "arm"), f"{one.arm!r} is not among the study's arms")
            if of.index(of[number]) < number:
                yield Problem((*at, number), f"error rates of {one.model!r} are given twice")


def _looks(written: StudyInFile, found: list[Problem]) -> tuple[int, ...]:
    looks = tuple(written.looks or (written.blocks or 1,))
    if written.blocks is not None and sum(looks) != written.blocks:
        found.append(
            Problem(("looks",), f"the looks add {sum(looks)} blocks, and 'blocks' is {written.blocks}")
        )
    return looks


def asked_of(catalog: Catalog, models: list[str], regions: list[str], questions: list[str]) -> Asked:
    return Asked(
        questions={name: catalog.question(name).text for name in questions},
        system_prompts={name: catalog.region(name).system_prompt for name in regions},
        models={name: _asked_model(catalog, catalog.model(name), regions) for name in models},
    )


def _asked_model(catalog: Catalog, model: Model, regions: Sequence[str]) -> AskedModel:
    # Of a folder the revision says all: where it lies differs from machine to machine.
    def source(region: str) -> dict[str, Any]:
        return catalog.source(model, region).model_dump(mode="json", exclude={"id", "folder"})

    own = {region: source(region) for region in regions if region in model.sources}
    rest = next((region.id for region in catalog.regions if region.id not in model.sources), "")
    return AskedModel(source=source(rest), parameters=catalog.parameters(model), sources=own)


def _repeated(names: Sequence[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})
