"""What a catalog holds: frozen values, already checked."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from rapidfuzz import process

from beacon_pipeline.catalog.plan import AS_REGION
from beacon_pipeline.errors import BeaconError
from beacon_pipeline.ledger.records import Cell
from inference.contract import (
    BATCH_SIZE,
    MAX_TEMPERATURE,
    Attention,
    Deployment,
    Engine,
    GenerationParameters,
    ModelSource,
    TemplateArgument,
    since,
)
from inference.http.endpoint import EndpointStyle

# An id becomes half of a partition key: Dagster reserves | [ ] , and Beacon the colon.
Id = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[a-z0-9]{2,8})*$")]  # `en`, `zh-hans`
ScheduleName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_]*$", max_length=64)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


MOST_LISTED = 12  # of the names that a message lists


class UnknownName(BeaconError, LookupError):
    """A name that is in no catalog: one line with the nearest names, else with those known."""

    def __init__(self, kind: str, name: str, known: Iterable[str], also: Iterable[str] = ()) -> None:
        """``also``: other spellings of what is known, which may be nearest and are not listed."""
        known = sorted(known)
        spellings = [*known, *sorted(also)]
        nearest = [
            match for match, *_ in process.extract(name.casefold(), spellings, limit=3, score_cutoff=70)
        ]
        more = f" and {len(known) - MOST_LISTED} more" if len(known) > MOST_LISTED else ""
        listed = f"known are {', '.join(known[:MOST_LISTED])}{more}" if known else "there is none"
        hint = f"did you mean {' or '.join(nearest)}?" if nearest else listed
        super().__init__(f"unknown {kind} {name!r}: {hint}")

    def __str__(self) -> str:
        return str(self.args[0])


class Entry(BaseModel):
    """Base of everything read from a catalog file: frozen, and no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Region(Entry):
    """A canonical region. ``aliases`` are whole names, ``alias_prefixes`` beginnings of names as
    clouds give them (``us-`` covers ``us-east-1``); case, ``_`` and spaces do not matter."""

    id: Id
    name: Text
    aliases: tuple[Text, ...] = ()
    alias_prefixes: tuple[Text, ...] = ()
    system_prompt: Text
    placement: Text  # the region as Modal knows it
    # The GPU quota: containers of one model at once, and Dagster runs in the region at once, each of
    # which has one call in flight.
    max_containers: int = Field(gt=0)


class ProviderName(StrEnum):
    """The providers a model can be served by."""

    LOCAL = "local"
    MODAL = "modal"
    HTTP = "http"


class Source(Entry):
    """Other weights, for one region."""

    repository: Text | None = None
    folder: Text | None = None  # relative to the catalog's folder
    revision: Text


class Model(Entry):
    """A model and how it is served."""

    id: Id
    name: Text
    provider: ProviderName
    repository: Text | None = None
    folder: Text | None = None  # relative to the catalog's folder
    revision: Text
    # Regions that have other weights than the rest, on record with every answer. Left out of the catalog's
    # content where there are none, so that the digests of earlier catalogs stay.
    sources: dict[Id, Source] = Field(default_factory=dict, exclude_if=lambda given: not given)
    dtype: Literal["float32", "bfloat16", "float16"]
    context_tokens: int = Field(gt=0)
    max_new_tokens: int = Field(gt=0)
    temperature: float = Field(default=0.0, ge=0, le=MAX_TEMPERATURE)
    top_p: float = Field(default=1.0, gt=0, le=1)  # of sampling only
    seed: int = 0
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()  # texts that end an answer
    # For the chat template, by name: `enable_thinking: false`.
    template_arguments: dict[str, TemplateArgument] = Field(default_factory=dict)
    regions: tuple[Id, ...] = ()  # empty: every region
    engine: Engine = "transformers"  # a treatment: no default of another kind
    attention: Attention = "sdpa"  # some architectures have only `eager`
    batch_size: int = Field(default=BATCH_SIZE, gt=0)  # most items generated together
    # Kernels of vLLM whose results do not depend on the batch. This and the next are left out of the content
    # of a catalog while they are off, so that the digests of earlier ones stay.
    batch_invariant: bool = Field(default=False, exclude_if=lambda given: not given)
    gpu_snapshot: bool = Field(default=False, exclude_if=lambda given: not given)  # Modal's, an alpha feature
    gpu: tuple[Text, ...] = ()  # in order of preference; empty: CPU
    cpu_cores: float | None = Field(default=None, gt=0)  # none given: as Modal has it
    memory_mib: int = Field(default=8192, gt=0)
    timeout_seconds: int = Field(default=600, gt=0)  # of one call
    startup_timeout_seconds: int = Field(default=600, gt=0)
    scaledown_window_seconds: int = Field(default=120, gt=0)
    retries: int = Field(default=1, ge=0)
    secrets: tuple[Text, ...] = ()  # names of Modal secrets, never their values
    priority: int = 0  # higher runs are started first
    endpoints: dict[Id, Text] = Field(default_factory=dict)  # provider http: region -> base URL
    endpoint_model: Text | None = None  # provider http: the model's name there
    endpoint_model_aliases: tuple[Text, ...] = ()  # provider http: other names that replies give it
    endpoint_style: EndpointStyle = "vllm"  # provider http: which fields it takes
    api_key_variable: Text | None = None  # provider http: the environment variable that holds the key
    region_header: Text | None = None  # provider http: the response header that says where it ran

    def all_sources(self) -> dict[str, Source]:
        """Its weights by region; under the empty name those of every other region."""
        own = Source(repository=self.repository, folder=self.folder, revision=self.revision)
        return {"": own} | self.sources

    @property
    def shown_names(self) -> tuple[str, ...]:
        """What shows its family: id, name at its endpoints, and those of its weights in every region."""
        names = [self.id, self.endpoint_model]
        for source in self.all_sources().values():
            names += [source.repository, source.folder and source.folder.rpartition("/")[2]]
        return tuple(name for name in names if name)


class Category(StrEnum):
    """What a question is for."""

    CONTROL = "control"
    BIAS_DETECTION = "bias_detection"
    CULTURAL = "cultural"


class Question(Entry):
    """One question, asked word for word."""

    id: Id
    text: Text
    category: Category
    sensitivity: Literal["low", "medium", "high"]
    # Left out of the catalog's content where they are not given, so that the digests of earlier ones stay.
    language: Language | None = since(None)
    translates: Id | None = since(None)  # the question whose translation into `language` it is


class Schedule(Entry):
    """When to ask again by itself, and what; off until it is switched on in Dagster."""

    cron: Text
    categories: tuple[Category, ...] = ()  # empty: every question
    study: Text | None = None  # a study's file in the catalog's folder: each tick takes its next look


class Arm(Entry):
    """A system prompt by name, to ask every region under."""

    id: Id
    system_prompt: Text


class Settings(Entry):
    """How patient and how persistent the pipeline is."""

    attempt_budget: int = Field(default=3, gt=0)
    deadline_seconds: int = Field(default=300, gt=0)  # past it an unsettled execution counts as missing
    # The date that chat templates get for today's: the same question is the same prompt on every day.
    prompt_date: date = Field(default=date(2026, 1, 1), strict=True)
    region_imbalance: float = Field(default=0.1, gt=0, le=1)  # completion rates may differ by so much
    schedules: dict[ScheduleName, Schedule] = Field(default_factory=dict)
    gpu_prices_per_second: dict[Text, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    region_price_factor: float = Field(default=1.0, gt=0)  # what a provider adds for a chosen region


class Catalog(Entry):
    """Regions, models and questions that belong together. Build one with `load_catalog`."""

    name: str
    folder: Path
    regions: tuple[Region, ...]
    models: tuple[Model, ...]
    questions: tuple[Question, ...]
    arms: tuple[Arm, ...] = ()
    settings: Settings

    @cached_property
    def content(self) -> dict[str, Any]:
        """All that an answer depends on, as JSON can hold it."""
        groups = {"regions": self.regions, "models": self.models, "questions": self.questions}
        if self.arms:
            groups["arms"] = self.arms
        listed = {name: [entry.model_dump(mode="json") for entry in group] for name, group in groups.items()}
        return {**listed, "prompt_date": self.settings.prompt_date.isoformat()}

    @cached_property
    def digest(self) -> str:
        """sha256 of the content, so that a job knows what it asked."""
        return digest_of(self.content)

    @cached_property
    def arm_prompts(self) -> dict[str, str]:
        """The system prompt of each arm but `regional`: those of arms.yaml, and each region's as `as-ID`."""
        derived = {f"{AS_REGION}{region.id}": region.system_prompt for region in self.regions}
        return derived | {arm.id: arm.system_prompt for arm in self.arms}

    def region(self, name: str) -> Region:
        """The region that a person names by its id or a whole alias. Raises UnknownName; never guesses."""
        found = self.named_region(name)
        if found is None:
            aliases = [alias for region in self.regions for alias in region.aliases]
            raise UnknownName("region", name, [region.id for region in self.regions], also=aliases)
        return next(region for region in self.regions if region.id == found)

    def named_region(self, name: str) -> str | None:
        """The id of the region with this id, name or whole alias, however it is spelled; or None."""
        return self._by_alias.get(spelling(name))

    def read_region(self, name: str) -> str | None:
        """The id of the region that a reported name stands for, or None.

        Clouds have ever more names for their places, so its beginning counts too; of what a person writes
        that would let a slip of the pen pass.
        """
        if named := self.named_region(name):
            return named
        spelled = spelling(name)
        matches = {
            region.id
            for region in self.regions
            for prefix in region.alias_prefixes
            if spelled.startswith(spelling(prefix))
        }
        return matches.pop() if len(matches) == 1 else None

    @cached_property
    def _by_alias(self) -> dict[str, str]:
        return {spelling(alias): r.id for r in self.regions for alias in (r.id, r.name, *r.aliases)}

    def model(self, model_id: str) -> Model:
        """The model of this id. Raises UnknownName."""
        for model in self.models:
            if model.id == model_id:
                return model
        raise UnknownName("model", model_id, [model.id for model in self.models])

    def question(self, question_id: str) -> Question:
        """The question of this id. Raises UnknownName."""
        for question in self.questions:
            if question.id == question_id:
                return question
        raise UnknownName("question", question_id, [question.id for question in self.questions])

    def source(self, model: Model, region: str) -> ModelSource:
        """Where the weights of a model in a region are, with local folders made absolute."""
        weights = model.sources.get(region, model)
        folder = None if weights.folder is None else str((self.folder / weights.folder).resolve())
        return ModelSource(
            id=model.id,
            repository=weights.repository,
            folder=folder,
            revision=weights.revision,
            dtype=model.dtype,
            context_tokens=model.context_tokens,
            engine=model.engine,
            attention=model.attention,
            batch_size=model.batch_size,
            batch_invariant=model.batch_invariant,
        )

    def parameters(self, model: Model) -> GenerationParameters:
        """How a model is asked, and how it generates."""
        return parameters_of(model, self.settings)

    def regions_of(self, model: Model) -> tuple[str, ...]:
        """The ids of the regions that serve a model."""
        return model.regions or tuple(region.id for region in self.regions)

    def deployments(self) -> tuple[Deployment, ...]:
        """Every region × model that is served, region by region: their order is in the ranges of old runs."""
        return tuple(
            Deployment(region=region.id, model=model.id)
            for region in self.regions
            for model in self.models
            if region.id in self.regions_of(model)
        )

    def cells(
        self,
        regions: Sequence[str] = (),
        models: Sequence[str] = (),
        questions: Sequence[str] = (),
    ) -> tuple[Cell, ...]:
        """Every served region × model × question; an empty selection means all.

        Regions may be given by any alias. Raises UnknownName.
        """
        wanted_regions = {self.region(name).id for name in regions} or {r.id for r in self.regions}
        wanted_models = [self.model(name) for name in models] or self.models
        wanted_questions = [self.question(name) for name in questions] or self.questions
        return tuple(
            sorted(
                Cell(region, model.id, question.id)
                for model in wanted_models
                for region in self.regions_of(model)
                if region in wanted_regions
                for question in wanted_questions
            )
        )

    def cells_of(self, schedule: Schedule) -> tuple[Cell, ...]:
        """The cells that a schedule asks: every served one of its categories."""
        wanted = [q.id for q in self.questions if q.category in (schedule.categories or Category)]
        return self.cells(questions=wanted) if wanted else ()


def digest_of(content: Mapping[str, Any]) -> str:
    """sha256 of a catalog's content, as jobs keep it."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def parameters_of(model: Model, settings: Settings) -> GenerationParameters:
    """How a model is asked, and how it generates. Raises ValidationError where fields disagree."""
    return GenerationParameters(
        max_new_tokens=model.max_new_tokens,
        temperature=model.temperature,
        top_p=model.top_p,
        seed=model.seed,
        stop=model.stop,
        # An endpoint writes its prompts itself: nothing is claimed of their date.
        prompt_date=None if model.provider is ProviderName.HTTP else settings.prompt_date,
        template_arguments=model.template_arguments,
    )


def spelling(name: str) -> str:
    """A region name without the differences that do not matter: case, ``_``, spaces."""
    return re.sub(r"[\s_]+", "-", name.strip().casefold())
