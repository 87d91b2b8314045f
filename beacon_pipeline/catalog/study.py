"""A study: the plan of what is asked and what is claimed, as values that can be hashed.

`study_file.py` reads one from a file. The hash is over the canonical content: everything that could change
an answer or a verdict, with the texts and revisions that the catalog had, and nothing of how the file is
written.
"""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from beacon_pipeline.catalog.entries import Id
from beacon_pipeline.ledger.records import Cell
from inference.contract import GenerationParameters, since

LOOKS_LIMIT = 3
FEWEST_QUESTIONS = 6  # below it nothing can be found of "questions like these"

# A claim that stands for many gets their names behind its own.
ClaimId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=300)]
Count = Annotated[int, Field(gt=0, le=10_000)]


class Fixed(BaseModel):
    """Base of what a study holds: frozen, no unknown keys, no other types made to fit."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Contrast(StrEnum):
    """What a claim sets against what."""

    PROMPT = "prompt"  # two arms in one region
    DEPLOYMENT = "deployment"  # two regions in one arm
    INTERACTION = "interaction"  # the prompt effect of one region against that of another
    MODELS = "models"  # two models in one region and arm
    LANGUAGES = "languages"  # the same questions in two languages, in one region and arm
    COMPUTATION = "computation"  # the probes of two regions: is the same computed?


class Outcome(StrEnum):
    """Of what a claim compares the rates; `text` compares the texts."""

    REFUSAL = "refusal"
    EVASIVE = "evasive"
    COMPLETE = "complete"
    EMPTY = "empty"
    TEXT = "text"


class Population(StrEnum):
    """What a claim is about: the questions that are asked, or questions like them."""

    THESE = "these"
    LIKE_THESE = "like_these"


class Claim(Fixed):
    """One contrast that is tested.

    ``regions``: one for prompt, models and languages, two for the others. ``arms``: two for prompt and
    interaction, one for deployment, models and languages, none for computation. ``languages``: two, and
    ``pairs`` the questions that are one another's translation, in these. ``delta``: differences below it
    count as none. The effect is the first region, arm, model or language less the second. ``test`` follows
    from the rest and is written down so that the plan holds it.
    """

    id: ClaimId
    contrast: Contrast
    outcome: Outcome
    model: Id
    other_model: Id | None = None
    regions: tuple[Id, ...]
    arms: tuple[Id, ...] = ()
    population: Population = Population.THESE
    delta: float | None = Field(default=None, gt=0, lt=1)
    level: float = Field(default=0.05, gt=0, le=0.5)
    planned: bool = True
    test: str = ""
    # Left out of the content where there are none, so that the hashes of earlier studies stay.
    languages: tuple[str, ...] = since(())
    pairs: tuple[tuple[Id, Id], ...] = since(())


WITHIN_A_CALL = (Contrast.PROMPT, Contrast.LANGUAGES)  # both sides are in each call: the sample is the unit
ERRORS_DIFFER = (Contrast.PROMPT, Contrast.MODELS, Contrast.LANGUAGES)  # of a labeller, between the sides


def judged_by(contrast: Contrast, outcome: Outcome, population: Population) -> str:
    """The one test that a contrast is judged by; docs/studies.md says why these."""
    if contrast is Contrast.COMPUTATION:
        return "whole calls permuted"
    if contrast is Contrast.MODELS or (contrast is Contrast.LANGUAGES and outcome is not Outcome.EMPTY):
        return "prediction-powered"
    within_a_call = contrast in WITHIN_A_CALL
    if outcome is Outcome.TEXT:
        return "MMD, samples permuted" if within_a_call else "MMD, blocks flipped"
    if population is Population.LIKE_THESE:
        return "t over questions"
    return "exact stratified" if within_a_call else "sign flips over blocks"


class Probes(Fixed):
    """How many items of each cell and block serve the contrast `computation` alone."""

    greedy: Literal[0, 1] = 0
    shared: int = Field(default=0, ge=0, le=1000)  # with seeds that all regions share


class Parameters(Fixed):
    """How the answers are sampled; what is None is the model's own."""

    temperature: float | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_new_tokens: int | None = Field(default=None, gt=0)


class ErrorRates(Fixed):
    """How a labeller errs at ``outcome``, as it was measured on other answers than the study's: on those of
    a model, and of one arm or language only where these are given. ``source`` says where."""

    model: Id
    arm: Id | None = None
    language: str | None = None
    outcome: Outcome = Field(default=Outcome.REFUSAL, strict=False)
    sensitivity: float = Field(ge=0, le=1)
    specificity: float = Field(ge=0, le=1)
    source: str = Field(min_length=1, max_length=300)


class Labeller(Fixed):
    """Who labels: rules, a judge (``model`` is its id), people. ``version`` pins rules or rubric; ``errors``
    serve a sensitivity analysis, never a test."""

    method: Literal["rules", "judge", "people"]
    model: Id | None = None
    version: str | None = None
    errors: tuple[ErrorRates, ...] = since((), strict=False)


class Texts(Fixed):
    """How texts are compared: by edit similarity of their first ``characters``."""

    kernel: Literal["edit"] = "edit"
    characters: int = Field(default=1000, gt=0, le=100_000)


class Assumptions(Fixed):
    """What the power is computed under: the rate on one side, and how much calls differ (sd of logits)."""

    base_rate: float = Field(default=0.3, gt=0, lt=1)
    call_effect: float = Field(default=0.25, ge=0, le=5)


class AskedModel(Fixed):
    """A model as the catalog had it: what weights, and how they are asked."""

    source: dict[str, Any]  # repository or folder's name, revision, dtype, engine, attention
    parameters: GenerationParameters
    sources: dict[Id, dict[str, Any]] = Field(default_factory=dict)  # of regions that have others


class Asked(Fixed):
    """What the names stood for in the catalog when the study was read."""

    questions: dict[Id, str]
    system_prompts: dict[Id, str]  # by region
    models: dict[Id, AskedModel]


class Study(Fixed):
    """A plan, written down before anything is asked. ``version``, ``seed`` and ``registered`` come with
    its registration; the hash is over everything else."""

    id: Id
    title: str = ""
    version: int = Field(default=1, gt=0)
    models: tuple[Id, ...]
    regions: tuple[Id, ...]
    questions: tuple[Id, ...]
    arms: tuple[Id, ...]
    prompts: dict[Id, str]  # of every arm but `regional`
    blocks: Count  # of all looks
    samples: Count  # of an arm, in a block
    probes: Probes = Probes()
    parameters: Parameters = Parameters()
    labellers: tuple[Labeller, ...] = (Labeller(method="rules"),)
    looks: tuple[Count, ...]  # how many blocks each adds
    correction: Literal["holm"] = "holm"
    texts: Texts = Texts()
    fresh_start: bool = True  # a block's calls in containers or processes of their own, where they can be had
    assumptions: Assumptions = Assumptions()
    claims: tuple[Claim, ...] = ()
    exploratory: tuple[Claim, ...] = ()  # screened by Benjamini-Hochberg, and called so
    asked: Asked
    seed: str | None = None  # hexadecimal
    registered: Literal["outside", "self"] | None = None

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Every region × model × question."""
        return tuple(sorted(Cell(r, m, q) for r in self.regions for m in self.models for q in self.questions))

    def blocks_of(self, look: int) -> tuple[int, ...]:
        """The numbers of the blocks that a look adds, the first look being 1."""
        before = sum(self.looks[: look - 1])
        return tuple(range(before + 1, before + self.looks[look - 1] + 1))

    @cached_property
    def content(self) -> str:
        """The canonical content: JSON with sorted keys, without what registration adds."""
        values = self.model_dump(mode="json", exclude={"version", "seed", "registered"})
        return json.dumps(values, sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False)

    @property
    def hash(self) -> str:
        """sha256 of the canonical content."""
        return hashlib.sha256(self.content.encode()).hexdigest()

    @classmethod
    def on_record(cls, content: str, version: int, seed: str, registered: str) -> Study:
        """The study of a canonical content, as it was registered. Raises ValidationError."""
        values = json.loads(content) | {"version": version, "seed": seed, "registered": registered}
        return cls.model_validate_json(json.dumps(values))
