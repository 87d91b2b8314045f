"""Asking again with fresh seeds and blocks: do the findings come again?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from beacon_pipeline.catalog.entries import Catalog
from beacon_pipeline.catalog.study import AskedModel, Claim, Study
from beacon_pipeline.catalog.study_file import asked_of
from beacon_pipeline.errors import BeaconError
from beacon_pipeline.findings.finding import Finding, Verdict
from beacon_pipeline.findings.power import chance_of
from beacon_pipeline.findings.replication import Replication, replication

POWER = 0.9  # for half of the effect that was found
WITHOUT_FORMULA = 4  # times the blocks, where no closed form gives the power: half an effect needs as many
BLOCKS_LIMIT = 400
SUFFIX = "-replication"
ID_LIMIT = 64


class NotReplicable(BeaconError):
    """An export whose findings cannot be asked for again, and why."""


def replication_of(study: Study, found: Sequence[Finding]) -> Study:
    """The plan that asks again what a study found, with the power for half of each effect.

    A study of its own: fresh seeds follow from its registration. Raises NotReplicable.
    """
    effects = {one.claim: one.effect for one in found if one.verdict is Verdict.DIFFERS and one.effect}
    claims = tuple(claim for claim in study.claims if claim.id in effects)
    if not claims:
        raise NotReplicable(f"study {study.id} found no difference: there is nothing to replicate")
    again = study.model_copy(
        update={
            "id": f"{study.id[: ID_LIMIT - len(SUFFIX)]}{SUFFIX}",
            "version": 1,
            "seed": None,
            "registered": None,
            "claims": claims,
            "exploratory": (),
        }
    )
    blocks = max(_blocks_for(again, claim, abs(effects[claim.id]) / 2) for claim in claims)
    return Study.model_validate(again.model_copy(update={"blocks": blocks, "looks": (blocks,)}).model_dump())


def as_asked_here(study: Study, catalog: Catalog) -> Study:
    """The plan with what its names stand for in this catalog.

    Raises NotReplicable where that is something else than it was for the study.
    """
    for kind, named, known in (
        ("question", study.questions, {one.id for one in catalog.questions}),
        ("model", study.models, {one.id for one in catalog.models}),
        ("region", study.regions, {one.id for one in catalog.regions}),
    ):
        if missing := [name for name in named if name not in known]:
            raise NotReplicable(
                f"this catalog has no {kind} {missing[0]}: set BEACON_CATALOG to one that has"
            )
    now = asked_of(catalog, list(study.models), list(study.regions), list(study.questions))
    for kind, before, after in (
        ("question", study.asked.questions, now.questions),
        ("system prompt", study.asked.system_prompts, now.system_prompts),
        ("model", _alike(study.asked.models, now.models), _alike(now.models, study.asked.models)),
    ):
        if other := [name for name, value in before.items() if after.get(name) != value]:
            raise NotReplicable(f"{kind} {other[0]} is another one in this catalog than the study asked")
    return study.model_copy(update={"asked": now})


def _alike(models: Mapping[str, AskedModel], others: Mapping[str, AskedModel]) -> dict[str, AskedModel]:
    """``models`` without the date of prompts where ``others`` have none: an endpoint writes its own."""
    return {
        name: model.model_copy(
            update={"parameters": model.parameters.model_copy(update={"prompt_date": None})}
        )
        if name in others and others[name].parameters.prompt_date is None
        else model
        for name, model in models.items()
    }


def _blocks_for(study: Study, claim: Claim, effect: float) -> int:
    """The least number of blocks with enough power. Raises NotReplicable where that is too many."""
    blocks = study.blocks
    while blocks <= BLOCKS_LIMIT:
        chance = chance_of(study.model_copy(update={"blocks": blocks, "looks": (blocks,)}), claim, effect)
        if chance is None:
            return min(WITHOUT_FORMULA * study.blocks, BLOCKS_LIMIT)
        if chance >= POWER:
            return blocks
        blocks += max(1, blocks // 8)
    raise NotReplicable(
        f"claim {claim.id}: half of its effect ({effect:.3f}) needs more than {BLOCKS_LIMIT} blocks; "
        "a study of more questions or samples can ask for it"
    )


def judged(
    study: Study, original_seed: str | None, original: Sequence[Finding], new: Sequence[Finding]
) -> list[tuple[Finding, Finding, Replication]]:
    """Each finding that was asked for again, beside what came, and what that says of it.

    Raises NotReplicable where both were asked with one seed: the same answers once more replicate nothing.
    """
    if study.seed is not None and study.seed == original_seed:
        raise NotReplicable("both have the same seed: the same answers once more replicate nothing")
    deltas = {claim.id: claim.delta for claim in study.claims}
    before = {one.claim: one for one in original}
    return [
        (before[one.claim], one, replication(before[one.claim], one, deltas[one.claim]))
        for one in new
        if one.claim in deltas and one.claim in before
    ]
