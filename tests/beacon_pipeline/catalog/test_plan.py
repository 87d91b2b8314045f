"""What a job asks of a cell, its seeds and its orders: all of it can be computed again."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from beacon_pipeline.catalog import load_catalog
from beacon_pipeline.catalog.entries import UnknownName
from beacon_pipeline.catalog.plan import DEFAULT_PLAN, NEUTRAL_PROMPT, Plan, PlanError, planned
from beacon_pipeline.catalog.seeds import derived, probe_seed, sampling_seed, shuffled
from beacon_pipeline.ledger.records import Cell, Slot
from inference.contract import Deployment, GenerationParameters

CATALOG = load_catalog("demo")
CELL = Cell("eu", "tiny-qwen", "math_basic")
SEED = "00112233"
STUDY = Plan(
    arms=("regional", "neutral"),
    prompts={"neutral": "You answer.", "probe": "You answer."},
    blocks=(1, 2, 3),
    samples=4,
    greedy_probes=1,
    shared_probes=2,
    temperature=0.8,
    seed=SEED,
)


def test_the_default_plan_asks_a_cell_once_and_leaves_nothing_in_a_row() -> None:
    assert DEFAULT_PLAN.executions_of(CELL) == (Slot(CELL),)
    assert DEFAULT_PLAN.kept() is None
    assert Plan.of(None) == DEFAULT_PLAN
    assert DEFAULT_PLAN.parameters(CATALOG.parameters(CATALOG.model("tiny-qwen"))) == CATALOG.parameters(
        CATALOG.model("tiny-qwen")
    )


def test_a_plan_comes_back_from_the_json_of_its_row() -> None:
    assert Plan.of(json.loads(json.dumps(STUDY.kept()))) == STUDY


def test_a_cell_has_every_arm_block_sample_and_probe_once() -> None:
    slots = STUDY.executions_of(CELL)
    assert len(slots) == STUDY.executions_of_a_cell == 3 * (2 * 4 + 1 + 2)
    assert len({(s.arm, s.block, s.sample) for s in slots}) == len(slots)
    probes = [s for s in slots if s.arm == "probe" and s.block == 1]
    assert [(s.sample, s.greedy, s.seed is None) for s in probes] == [
        (1, True, True),
        (2, False, False),
        (3, False, False),
    ]


def test_samples_never_share_a_seed_and_probes_share_theirs_over_regions_and_blocks() -> None:
    regions = ("us", "eu", "apac")
    slots = [s for region in regions for s in STUDY.executions_of(Cell(region, "tiny-qwen", "math_basic"))]
    sampled = [s.seed for s in slots if s.arm != "probe"]
    shared = [s.seed for s in slots if s.arm == "probe" and not s.greedy]
    assert len(set(sampled)) == len(sampled) == 3 * 3 * 8
    assert (len(shared), len(set(shared))) == (3 * 3 * 2, 2)
    assert not set(sampled) & set(shared)


def test_seeds_are_what_they_were_and_fit_into_json() -> None:
    """They are on record with answers: another number would be another study."""
    assert sampling_seed(SEED, "eu", "m", "regional", "q", 1, 1) == 2564526677005312
    assert probe_seed(SEED, "m", "q", 2) == 5035150840997996
    numbers = [derived(SEED, "x", "name", n) for n in range(2000)]
    assert len(set(numbers)) == 2000
    assert all(0 <= n < 2**53 and json.loads(json.dumps(float(n))) == n for n in numbers)


def test_names_cannot_run_into_one_another() -> None:
    assert derived(SEED, "x", "a", "bc") != derived(SEED, "x", "ab", "c")
    assert derived(SEED, "x", "1") != derived(SEED, "x", 1)


def test_items_have_one_order_in_all_regions_and_others_in_other_blocks() -> None:
    def order(region: str, block: int) -> list[tuple[str, str, int]]:
        slots = [
            s
            for question in CATALOG.questions
            for s in STUDY.executions_of(Cell(region, "tiny-qwen", question.id))
            if s.block == block
        ]
        return [(s.cell.question, s.arm, s.sample) for s in sorted(slots, key=STUDY.item_order)]

    assert order("eu", 1) == order("us", 1)
    assert order("eu", 1) != order("eu", 2)
    assert sorted(order("eu", 1)) == sorted(order("eu", 2))


def test_regions_have_another_order_in_other_blocks_whatever_order_they_came_in() -> None:
    deployments = [Deployment(region=region, model="m") for region in ("us", "eu", "apac")]
    orders = [STUDY.deployment_order(block, deployments) for block in range(1, 40)]
    assert orders == [STUDY.deployment_order(block, deployments[::-1]) for block in range(1, 40)]
    assert len({tuple(map(str, order)) for order in orders}) == 6


@pytest.mark.parametrize(
    ("own", "plan", "expected"),
    [
        ({}, {"temperature": 0.5, "top_p": 0.9}, (0.5, 0.9, 8)),
        ({"temperature": 0.7, "top_p": 0.9}, {"temperature": 0.0}, (0.0, 1.0, 8)),
        ({"temperature": 0.7, "top_p": 0.9}, {"max_new_tokens": 3}, (0.7, 0.9, 3)),
    ],
)
def test_a_plan_overrides_what_it_says_of_the_parameters(
    own: dict[str, Any], plan: dict[str, Any], expected: tuple[float, float, int]
) -> None:
    parameters = Plan(**plan).parameters(GenerationParameters(max_new_tokens=8, **own))
    assert (parameters.temperature, parameters.top_p, parameters.max_new_tokens) == expected


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"samples": 2, "seed": SEED}, "2 samples of model 'tiny-llama' at temperature 0 would all be"),
        ({"samples": 2, "temperature": 0.8}, "more than one sample needs a seed"),
        ({"temperature": 99.0}, "temperature 99: engines take 2 at most"),
        ({"samples": 0}, "samples: must be at least 1"),
        ({"blocks": (1, 1)}, "block 1 is given twice"),
        ({"blocks": ()}, "blocks: "),
        ({"arms": ("neutral", "neutral")}, "arm 'neutral' is given twice"),
        ({"arms": ("probe",)}, "arm 'probe' is reserved"),
        ({"top_p": 0.9}, "model 'tiny-llama': top_p has no meaning with temperature 0"),
        ({"temperature": -1.0}, "temperature: "),
        ({"max_new_tokens": 512}, "leaves no room for a question"),
        ({"seed": "xyz"}, "seed: "),
        ({"shared_probes": 1, "seed": SEED}, "shared-seed probes of model 'tiny-llama' at temperature 0"),
    ],
)
def test_a_plan_that_cannot_be_asked_is_refused_in_one_line(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(PlanError) as refused:
        planned(CATALOG, CATALOG.models, **fields)
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


def test_arms_have_the_prompts_of_the_catalog_or_of_the_study() -> None:
    plan = planned(
        CATALOG,
        CATALOG.models,
        arms=("regional", "as-eu", "mine"),
        named={"mine": "Be brief."},
        greedy_probes=1,
    )
    assert plan.prompts == {
        "as-eu": CATALOG.region("eu").system_prompt,
        "mine": "Be brief.",
        "probe": NEUTRAL_PROMPT,
    }
    assert plan.system_prompt("regional", "here") == "here"
    assert plan.system_prompt("mine", "here") == "Be brief."
    with pytest.raises(UnknownName, match="unknown arm 'nuetral': did you mean neutral"):
        planned(CATALOG, CATALOG.models, arms=("nuetral",))


def test_seeds_of_names_beyond_ascii_are_what_they_were() -> None:
    assert derived(SEED, "x", "ü") == 8327653002867013
    assert derived("00", "shuffle", 1) == 1643311555672805
    assert shuffled(SEED, "regions", 1, ["us", "eu", "apac", "x"]) == ["x", "apac", "us", "eu"]


PLAN_BOUNDS: list[tuple[str, list[Any], list[Any]]] = [
    ("blocks", [(1,), (10_000,)], [(), (0,), (10_001,)]),
    ("samples", [1], [0, 10_001]),
    ("greedy_probes", [0], [2]),
    ("shared_probes", [0], [-1, 1001]),
    ("temperature", [0.0], [-0.1]),
    ("top_p", [0.01, 1.0], [0.0, 1.1]),
    ("max_new_tokens", [1], [0]),
    ("seed", ["0" * 8, "a" * 128], ["0" * 7, "a" * 129, "g" * 8, "A" * 8]),
    ("arms", [("regional",)], [(), ("A",), ("-a",)]),
    ("surprise", [], [1]),
]


@pytest.mark.parametrize(("field", "taken", "refused"), PLAN_BOUNDS)
def test_where_a_field_of_a_plan_ends(field: str, taken: list[Any], refused: list[Any]) -> None:
    for value in taken:
        Plan(**{field: value})
    for value in refused:
        with pytest.raises(ValidationError):
            Plan(**{field: value})


def test_the_most_that_a_plan_takes() -> None:
    name = "a" * 64
    most = Plan(
        arms=(name,), prompts={name: "x", "probe": "y"}, samples=10_000, shared_probes=1000, seed=SEED
    )
    assert most.executions_of_a_cell == 11_000
    with pytest.raises(ValidationError):
        Plan(arms=(name + "a",), prompts={name + "a": "x"})


@pytest.mark.parametrize(
    ("plan", "text"),
    [
        (Plan(), ""),
        (Plan(seed=SEED), "1 sample"),
        (Plan(samples=2, seed=SEED), "2 samples"),
        (Plan(blocks=(1, 2)), "2 blocks"),
        (Plan(arms=("neutral",), prompts={"neutral": "x"}), "1 arm (neutral)"),
        (Plan(greedy_probes=1, prompts={"probe": "x"}), "1 probe"),
        (
            Plan(temperature=0.5, top_p=0.25, max_new_tokens=7),
            "temperature 0.5, top p 0.25, max new tokens 7",
        ),
        (
            STUDY.model_copy(update={"study": "s", "version": 2}),
            "study s version 2, 2 arms (regional, neutral), 3 blocks, 4 samples, 3 probes, temperature 0.8",
        ),
    ],
)
def test_a_plan_as_a_person_reads_it(plan: Plan, text: str) -> None:
    assert str(plan) == text


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"prompts": {"regional": "x"}}, "arm 'regional' has no prompt of its own: it is each region's"),
        ({"arms": ("b", "a")}, "arm 'a' has no system prompt"),
        ({"greedy_probes": 1}, "arm 'probe' has no system prompt"),
        ({"shared_probes": 1, "seed": SEED}, "arm 'probe' has no system prompt"),
        ({"shared_probes": 1, "prompts": {"probe": "x"}}, "more than one sample needs a seed"),
        ({"samples": 2}, "more than one sample needs a seed"),
    ],
)
def test_a_plan_that_does_not_hang_together(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Plan(**fields)


def test_which_plans_ask_the_same_and_which_is_the_default() -> None:
    other = STUDY.model_copy(update={"seed": "44556677"})
    assert STUDY.asks_as(other)
    assert not STUDY.asks_as(other.model_copy(update={"samples": 5}))
    assert (Plan().is_default, STUDY.is_default) == (True, False)
    with pytest.raises(ValidationError, match="frozen"):
        STUDY.samples = 5  # type: ignore[misc]


def test_without_a_seed_nothing_has_one_and_orders_are_still_the_same() -> None:
    plan = Plan(arms=("regional", "neutral"), prompts={"neutral": "x"}, blocks=(1, 2))
    slots = plan.executions_of(CELL)
    assert [(s.arm, s.block, s.sample, s.seed, s.greedy) for s in slots] == [
        (arm, block, 1, None, False) for block in (1, 2) for arm in ("regional", "neutral")
    ]
    names = (CELL.model, CELL.question, "regional", 1)
    assert plan.item_order(slots[0]) == (derived("0", "items", 1, *names), slots[0])
    deployments = [Deployment(region=region, model="m") for region in ("us", "eu", "apac")]
    expected = sorted(deployments, key=lambda one: derived("0", "regions", 2, str(one)))
    assert plan.deployment_order(2, deployments) == expected
    with pytest.raises(KeyError):
        plan.system_prompt("other", "here")


def test_probes_take_the_neutral_prompt_that_there_is() -> None:
    named = planned(CATALOG, CATALOG.models, named={"neutral": "Mine."}, greedy_probes=1)
    assert named.prompts == {"probe": "Mine."}
    bare = CATALOG.model_copy(update={"arms": ()})
    plan = planned(bare, bare.models, shared_probes=1, seed=SEED, temperature=1.0)
    assert plan.prompts == {"probe": "You are a helpful AI assistant."}
    assert planned(CATALOG, CATALOG.models).prompts == {}
    own = {**CATALOG.arm_prompts}["neutral"]
    assert planned(CATALOG, CATALOG.models, greedy_probes=1).prompts == {"probe": own}


def test_where_the_parameters_of_a_model_end() -> None:
    most = CATALOG.models[0].context_tokens
    assert planned(CATALOG, CATALOG.models[:1], max_new_tokens=most - 1)
    with pytest.raises(PlanError, match=f"max_new_tokens {most} leaves no room"):
        planned(CATALOG, CATALOG.models[:1], max_new_tokens=most)
    assert planned(CATALOG, CATALOG.models, temperature=2.0)
    with pytest.raises(PlanError, match="engines take 2 at most"):
        planned(CATALOG, CATALOG.models, temperature=2.1)
