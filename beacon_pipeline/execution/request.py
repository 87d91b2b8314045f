"""From executions to the request that asks for them. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.ledger.records import Execution
from inference.contract import Deployment, Item, Request


def request_for(catalog: Catalog, executions: Sequence[Execution]) -> Request:
    """One request for executions of one deployment, with a fresh id of our own.

    Item ids are execution ids, so that a reply can be settled without anything else at hand.
    """
    region, model_id = executions[0].region, executions[0].model
    if any((e.region, e.model) != (region, model_id) for e in executions):
        raise ValueError("a request carries executions of one deployment")
    model = catalog.model(model_id)
    system_prompt = catalog.region(region).system_prompt
    return Request(
        id=str(uuid.uuid4()),
        deployment=Deployment(region=region, model=model_id),
        model=catalog.source(model),
        parameters=catalog.parameters(model),
        items=tuple(
            Item(id=e.id, system_prompt=system_prompt, prompt=catalog.question(e.question).text)
            for e in executions
        ),
    )
