"""What a request asks of each execution."""

import pytest

from beacon_pipeline.catalog import load_catalog
from beacon_pipeline.catalog.plan import planned
from beacon_pipeline.execution.request import request_for
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Execution
from beacon_pipeline.ledger.status import Status
from tests.beacon_pipeline.executions import an_execution

CATALOG = load_catalog("demo")
PLAN = planned(
    CATALOG,
    CATALOG.models,
    arms=("regional", "neutral"),
    blocks=(2,),
    samples=2,
    greedy_probes=1,
    shared_probes=1,
    temperature=0.8,
    top_p=0.95,
    max_new_tokens=7,
    seed="0a1b2c3d",
    fresh_start=True,
)


def executions(region: str) -> list[Execution]:
    """Those of a block of two questions, in no order that matters."""
    cells = CATALOG.cells([region], ["tiny-qwen"], ["math_basic", "geography_basic"])
    return [
        an_execution(
            Status.PENDING,
            id=f"{slot.cell.question} {slot.arm} {slot.sample}",
            region=region,
            question=slot.cell.question,
            **{name: getattr(slot, name) for name in ("arm", "block", "sample", "seed")},
        )
        for cell in cells
        for slot in PLAN.executions_of(cell)
    ]


def test_a_block_has_the_same_items_in_the_same_order_in_every_region() -> None:
    european = request_for(CATALOG, executions("eu"), PLAN)
    american = request_for(CATALOG, executions("us")[::-1], PLAN)
    assert [item.id for item in european.items] == [item.id for item in american.items]
    assert [item.id for item in european.items] != sorted(item.id for item in european.items)
    assert len(european.items) == 2 * (2 * 2 + 2)
    assert european.fresh_start
    assert european.parameters.max_new_tokens == 7


def test_every_item_has_its_own_prompt_and_seed() -> None:
    requests = {region: request_for(CATALOG, executions(region), PLAN) for region in ("eu", "us")}
    items = {region: {item.id: item for item in request.items} for region, request in requests.items()}
    european = CATALOG.region("eu").system_prompt
    neutral = CATALOG.arm_prompts["neutral"]
    for name, prompt in {"regional": european, "neutral": neutral, "probe": neutral}.items():
        assert items["eu"][f"math_basic {name} 1"].system_prompt == prompt
    assert items["us"]["math_basic regional 1"].system_prompt == CATALOG.region("us").system_prompt
    seeds = [item.seed for item in items["eu"].values() if item.seed is not None]
    assert len(set(seeds)) == len(seeds) == 10
    greedy, shared = (items["eu"][f"math_basic probe {sample}"] for sample in (1, 2))
    assert (greedy.greedy, greedy.seed, shared.greedy) == (True, None, False)
    assert shared.seed == items["us"]["math_basic probe 2"].seed
    assert greedy.parameters(requests["eu"].parameters).temperature == 0
    assert shared.parameters(requests["eu"].parameters).seed == shared.seed


def test_without_a_plan_a_request_is_what_it_was() -> None:
    asked = an_execution(Status.PENDING)
    request = request_for(CATALOG, [asked])
    (item,) = request.items
    assert item.system_prompt == CATALOG.region("eu").system_prompt
    assert '"seed":null' not in request.model_dump_json()
    assert "fresh_start" not in request.model_dump_json()
    with pytest.raises(ValueError, match="one deployment"):
        request_for(CATALOG, [asked, an_execution(Status.PENDING, region="us")])


def test_what_was_asked_of_a_sample_is_on_record_with_it(ledger: Ledger) -> None:
    cells = CATALOG.cells(["eu"], ["tiny-qwen"], ["math_basic"])
    job = ledger.jobs.ensure("j", source="s", catalog="demo", catalog_digest="d", plan=PLAN.kept())
    ledger.executions.ensure(job.id, cells, actor="test", slots_of=PLAN.executions_of)
    pending = ledger.executions.of_job(job.id)
    ledger.calls.open(pending, lambda some: request_for(CATALOG, some, PLAN), provider="local", actor="test")
    for execution in ledger.executions.of_job(job.id):
        assert execution.parameters is not None
        expected = (0, 1) if execution.greedy else (0.8, 0.95)
        assert (execution.parameters["temperature"], execution.parameters["top_p"]) == expected
        if not execution.greedy:
            assert execution.parameters["seed"] == execution.seed
        assert execution.system_prompt == PLAN.system_prompt(
            execution.arm, CATALOG.region("eu").system_prompt
        )
