"""What a plan would ask, cost, and be able to show; before anything is asked. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from beacon_pipeline.catalog import Catalog, Model, ProviderName
from beacon_pipeline.catalog.study import Study
from beacon_pipeline.catalog.study_plan import plan_of

if TYPE_CHECKING:
    from beacon_pipeline.findings.power import ClaimPower

SECONDS_A_TOKEN = 0.02  # of a batch on one GPU, where nothing was measured: an assumption, and called so
BATCH = 32  # answers that a GPU makes at once, likewise
SECONDS_A_START = 60  # of a container with the model's weights, likewise


@dataclass(frozen=True)
class Cost:
    """What asking takes. ``unpriced`` are models whose GPU has no price in the catalog; ``too_long`` those of
    which a call may end at the model's time limit, with the seconds that one is expected to take."""

    executions: int
    calls: int
    gpu_minutes: float
    dollars: float
    unpriced: tuple[str, ...]
    too_long: Mapping[str, float]


@dataclass(frozen=True)
class Check:
    """A study looked at: what it asks and costs, and each claim's power."""

    study: Study
    cost: Cost
    claims: tuple[ClaimPower, ...]

    @property
    def unreachable(self) -> list[ClaimPower]:
        """The claims that can never be significant under the plan."""
        return [claim for claim in self.claims if not claim.reachable]


def check(study: Study, catalog: Catalog) -> Check:
    """Look at a study. Raises PlanError."""
    from beacon_pipeline.findings.power import power_of  # scipy takes half a second to load

    return Check(study, cost_of(study, catalog), tuple(power_of(study)))


def cost_of(study: Study, catalog: Catalog) -> Cost:
    """Executions, calls, GPU minutes and dollars of all looks, by the assumptions above."""
    items = len(study.questions) * plan_of(study, catalog, 1).executions_of_a_block
    calls = study.blocks * len(study.regions)
    minutes = dollars = 0.0
    unpriced: list[str] = []
    too_long: dict[str, float] = {}
    for name in study.models:
        model = catalog.model(name)
        if model.provider is ProviderName.LOCAL or not model.gpu:
            continue
        gpu, _, number = model.gpu[0].partition(":")
        gpus = int(number) if number.isdigit() else 1
        if (asking := _seconds_of_items(study, model, items)) > model.timeout_seconds:
            too_long[name] = asking
        seconds = calls * _seconds_a_call(study, model, items) * gpus
        minutes += seconds / 60
        price = catalog.settings.gpu_prices_per_second.get(gpu)
        if price is None:
            unpriced.append(name)
        dollars += seconds * (price or 0) * catalog.settings.region_price_factor
    return Cost(
        executions=items * study.blocks * len(study.regions) * len(study.models),
        calls=calls * len(study.models),
        gpu_minutes=minutes,
        dollars=dollars,
        unpriced=tuple(unpriced),
        too_long=too_long,
    )


def _seconds_a_call(study: Study, model: Model, items: int) -> float:
    start = SECONDS_A_START if study.fresh_start else 0
    return start + _seconds_of_items(study, model, items)


def _seconds_of_items(study: Study, model: Model, items: int) -> float:
    tokens = study.parameters.max_new_tokens or model.max_new_tokens
    return -(-items // BATCH) * tokens * SECONDS_A_TOKEN


def assumptions_of(study: Study) -> Mapping[str, str]:
    """What the figures rest on, in words."""
    return {
        "power": f"a base rate of {study.assumptions.base_rate:g}, calls that differ by "
        f"{study.assumptions.call_effect:g} logits",
        "cost": f"answers of full length, {BATCH} at once, {SECONDS_A_TOKEN:g} s a token"
        + (f", {SECONDS_A_START} s to start each call's container" if study.fresh_start else ""),
    }
