"""From executions to the request that asks for them. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.catalog.plan import DEFAULT_PLAN, Plan
from beacon_pipeline.ledger.records import Execution
from inference.contract import Deployment, Item, Request


def request_for(catalog: Catalog, executions: Sequence[Execution], plan: Plan = DEFAULT_PLAN) -> Request:
    """One request for executions of one deployment, with a fresh id of our own.

    Item ids are execution ids, so that a reply can be settled without anything else at hand. The items of
    a plan are in its order, which is the same in every region: so every item has the same batch mates.
    """
    region, model_id = executions[0].region, executions[0].model
    if any((e.region, e.model) != (region, model_id) for e in executions):
        raise ValueError("a request carries executions of one deployment")
    model = catalog.model(model_id)
    regional = catalog.region(region).system_prompt
    ordered = executions if plan.is_default else sorted(executions, key=lambda e: plan.item_order(e.slot))
    return Request(
        id=str(uuid.uuid4()),
        deployment=Deployment(region=region, model=model_id),
        model=catalog.source(model, region),
        parameters=plan.parameters(catalog.parameters(model)),
        items=tuple(
            Item(
                id=e.id,
                system_prompt=plan.system_prompt(e.arm, regional),
                prompt=catalog.question(e.question).text,
                seed=e.seed,
                greedy=e.greedy,
            )
            for e in ordered
        ),
        fresh_start=plan.fresh_start,
    )
