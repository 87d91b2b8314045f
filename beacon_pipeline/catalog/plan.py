"""What a job asks of each of its cells: arms, blocks, samples and probes, and with which parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from beacon_pipeline.catalog.problems import placed
from beacon_pipeline.catalog.seeds import derived, probe_seed, sampling_seed, shuffled
from beacon_pipeline.errors import BeaconError
from beacon_pipeline.ledger.records import PROBE_ARM, REGIONAL_ARM, Cell, Slot
from inference.contract import MAX_TEMPERATURE, Deployment, GenerationParameters

if TYPE_CHECKING:
    from beacon_pipeline.catalog.entries import Catalog, Model

AS_REGION = "as-"  # the arm `as-eu`: the prompt of eu in every region
NEUTRAL = "neutral"  # the arm whose prompt the probes take
NEUTRAL_PROMPT = "You are a helpful AI assistant."  # of probes, where a catalog has no such arm
WITHOUT_SEED = "0"  # orders what a plan without a seed asks

ArmName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)]
Seed = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8,128}$")]
Number = Annotated[int, Field(ge=1, le=10_000)]


class PlanError(BeaconError, ValueError):
    """A plan that cannot be asked: one line that says why, and what to write instead."""


class Plan(BaseModel):
    """What is asked of each cell of a job.

    ``prompts`` has the system prompt of every arm but `regional`, and of the probes. ``samples`` are for each
    arm and block, ``shared_probes`` for each block. ``seed`` is the one that all others are derived from;
    without it everything is asked with the model's own. ``fresh_start``: a block's calls start in fresh
    processes, where the provider can give them. What is None is the model's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    arms: tuple[ArmName, ...] = Field(default=(REGIONAL_ARM,), min_length=1, strict=False)
    prompts: dict[str, str] = Field(default_factory=dict)
    blocks: tuple[Number, ...] = Field(default=(1,), min_length=1, strict=False)
    samples: Number = 1
    greedy_probes: Literal[0, 1] = 0
    shared_probes: int = Field(default=0, ge=0, le=1000)
    temperature: float | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_new_tokens: int | None = Field(default=None, gt=0)
    seed: Seed | None = None
    study: str | None = None
    version: int | None = None
    fresh_start: bool = False

    @classmethod
    def of(cls, kept: Mapping[str, Any] | None) -> Plan:
        """The plan as a job's row keeps it."""
        return cls() if kept is None else cls.model_validate(kept)

    def kept(self) -> dict[str, Any] | None:
        """As a job's row keeps it: what has its default is left out, and the default plan is None."""
        return self.model_dump(mode="json", exclude_defaults=True) or None

    @property
    def is_default(self) -> bool:
        """Whether every cell is asked once, as the catalog has it."""
        return self == Plan()

    def asks_as(self, other: Plan) -> bool:
        """Whether both ask the same, apart from the random numbers."""
        return self.model_copy(update={"seed": None}) == other.model_copy(update={"seed": None})

    def __str__(self) -> str:
        """For a person: `2 arms (neutral, regional), 5 samples, temperature 0.8`; empty for the default."""
        parts = [f"study {self.study} version {self.version}"] if self.study else []
        if self.arms != (REGIONAL_ARM,):
            parts.append(f"{_counted(len(self.arms), 'arm')} ({', '.join(self.arms)})")
        parts += [_counted(len(self.blocks), "block")] if len(self.blocks) > 1 else []
        parts += [_counted(self.samples, "sample")] if self.samples > 1 else []
        probes = self.greedy_probes + self.shared_probes
        parts += [_counted(probes, "probe")] if probes else []
        parts += [
            f"{name.replace('_', ' ')} {value:g}"
            for name in ("temperature", "top_p", "max_new_tokens")
            if (value := getattr(self, name)) is not None
        ]
        return ", ".join(parts) or ("" if self.is_default else "1 sample")

    @property
    def executions_of_a_cell(self) -> int:
        """How many answers a cell gets."""
        return len(self.blocks) * self.executions_of_a_block

    @property
    def executions_of_a_block(self) -> int:
        """How many answers a cell gets in one block."""
        return len(self.arms) * self.samples + self.greedy_probes + self.shared_probes

    def executions_of(self, cell: Cell) -> tuple[Slot, ...]:
        """The places of all answers of a cell, block by block."""
        return tuple(slot for block in self.blocks for slot in self._slots(cell, block))

    def _slots(self, cell: Cell, block: int) -> Iterable[Slot]:
        for arm in self.arms:
            for sample in range(1, self.samples + 1):
                yield Slot(cell, arm, block, sample, self._sampling_seed(cell, arm, block, sample))
        if self.greedy_probes:
            yield Slot(cell, PROBE_ARM, block, 1, greedy=True)
        for sample in range(2, self.shared_probes + 2):
            seed = probe_seed(self.seed or WITHOUT_SEED, cell.model, cell.question, sample)
            yield Slot(cell, PROBE_ARM, block, sample, seed)

    def _sampling_seed(self, cell: Cell, arm: str, block: int, sample: int) -> int | None:
        if self.seed is None:
            return None
        return sampling_seed(self.seed, cell.region, cell.model, arm, cell.question, block, sample)

    def system_prompt(self, arm: str, regional: str) -> str:
        """The system prompt of an arm, given the region's own. Raises KeyError for an arm without one."""
        return regional if arm == REGIONAL_ARM else self.prompts[arm]

    def parameters(self, of_model: GenerationParameters) -> GenerationParameters:
        """A model's parameters with this plan's in their place. Raises ValueError where they disagree."""
        own = {"temperature": self.temperature, "top_p": self.top_p, "max_new_tokens": self.max_new_tokens}
        if self.temperature == 0 and self.top_p is None:
            own["top_p"] = 1.0  # a model's own, of sampling, has no meaning then
        given = {name: value for name, value in own.items() if value is not None}
        return GenerationParameters.model_validate(of_model.model_dump() | given) if given else of_model

    def item_order(self, slot: Slot) -> tuple[int, Slot]:
        """Sorts a block's items: at random, in another order in each block, and alike in all regions."""
        names = (slot.cell.model, slot.cell.question, slot.arm, slot.sample)
        return derived(self.seed or WITHOUT_SEED, "items", slot.block, *names), slot

    def deployment_order(self, block: int, deployments: Iterable[Deployment]) -> list[Deployment]:
        """The order in which a block's calls are made: at random, in another order in each block."""
        by_name = {str(deployment): deployment for deployment in deployments}
        return [by_name[name] for name in shuffled(self.seed or WITHOUT_SEED, "regions", block, by_name)]

    @model_validator(mode="after")
    def _names_are_there(self) -> Plan:
        if PROBE_ARM in self.arms:
            raise ValueError(f"arm {PROBE_ARM!r} is reserved: give it another name")
        if REGIONAL_ARM in self.prompts:
            raise ValueError(f"arm {REGIONAL_ARM!r} has no prompt of its own: it is each region's")
        for kind, given in (("arm", self.arms), ("block", self.blocks)):
            if repeated := next((one for one in given if given.count(one) > 1), None):
                raise ValueError(f"{kind} {repeated!r} is given twice")
        wanted = {*self.arms, *((PROBE_ARM,) if self._has_probes else ())} - {REGIONAL_ARM}
        if missing := sorted(wanted - set(self.prompts)):
            raise ValueError(f"arm {missing[0]!r} has no system prompt")
        return self

    @model_validator(mode="after")
    def _samples_differ(self) -> Plan:
        if (self.samples > 1 or self.shared_probes) and self.seed is None:
            raise ValueError("more than one sample needs a seed, or all would be the same")
        return self

    @property
    def _has_probes(self) -> bool:
        return bool(self.greedy_probes or self.shared_probes)


def _counted(number: int, name: str) -> str:
    return f"{number} {name}{'s' if number > 1 else ''}"


DEFAULT_PLAN = Plan()


def planned(
    catalog: Catalog,
    models: Iterable[Model],
    *,
    arms: Sequence[str] = (REGIONAL_ARM,),
    named: Mapping[str, str] | None = None,
    **fields: Any,
) -> Plan:
    """A plan over these models, with the prompts that its arms have in the catalog or in ``named``.

    ``fields`` are those of `Plan`. Raises PlanError, for sampling without a temperature too, and UnknownName
    for an arm.
    """
    prompt_of = _prompts(catalog, named or {})
    wanted = {arm: prompt_of(arm) for arm in arms if arm not in (REGIONAL_ARM, PROBE_ARM)}
    if fields.get("greedy_probes") or fields.get("shared_probes"):
        wanted[PROBE_ARM] = (named or {}).get(NEUTRAL) or catalog.arm_prompts.get(NEUTRAL, NEUTRAL_PROMPT)
    try:
        plan = Plan(arms=tuple(arms), prompts=wanted, **fields)
    except ValidationError as error:
        raise PlanError(placed(error.errors()[0])) from None
    for model in models:
        _check_parameters(plan, model, catalog.parameters(model))
    return plan


def _prompts(catalog: Catalog, named: Mapping[str, str]) -> Callable[[str], str]:
    from beacon_pipeline.catalog.entries import UnknownName

    known = {**catalog.arm_prompts, **named}

    def prompt_of(arm: str) -> str:
        if arm not in known:
            raise UnknownName("arm", arm, [REGIONAL_ARM, *known])
        return known[arm]

    return prompt_of


def _check_parameters(plan: Plan, model: Model, of_model: GenerationParameters) -> None:
    try:
        parameters = plan.parameters(of_model)
    except ValidationError as error:
        raise PlanError(f"model {model.id!r}: {placed(error.errors()[0])}") from None
    if parameters.temperature == 0 and (plan.samples > 1 or plan.shared_probes):
        what = f"{plan.samples} samples" if plan.samples > 1 else "shared-seed probes"
        raise PlanError(
            f"{what} of model {model.id!r} at temperature 0 would all be the same: give a temperature above 0"
        )
    if parameters.temperature > MAX_TEMPERATURE:
        raise PlanError(f"temperature {parameters.temperature:g}: engines take {MAX_TEMPERATURE:g} at most")
    if parameters.max_new_tokens >= model.context_tokens:
        raise PlanError(
            f"max_new_tokens {parameters.max_new_tokens} leaves no room for a question in the "
            f"{model.context_tokens} tokens of model {model.id!r}: give less"
        )
