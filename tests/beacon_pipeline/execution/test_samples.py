"""Samples of the real tiny models on this machine: seeds decide, and nothing else does."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from beacon_pipeline.catalog import load_catalog
from beacon_pipeline.catalog.plan import Plan, planned
from beacon_pipeline.execution.providers import Providers
from beacon_pipeline.execution.run import Materializer
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Execution, Slot
from beacon_pipeline.ledger.status import Status
from inference.local.provider import LocalProvider

CATALOG = load_catalog("demo")
CELLS = CATALOG.cells(["eu", "us"], ["tiny-qwen"], ["taiwan_status", "greatest_leader"])
PLAN = planned(
    CATALOG,
    [CATALOG.model("tiny-qwen")],
    arms=("regional", "neutral"),
    samples=3,
    greedy_probes=1,
    shared_probes=1,
    temperature=2.0,
    max_new_tokens=12,
    seed="feedbeef",
)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[Slot, Execution]]]:
    """The same plan twice, and once with another seed: by the job's name, then by slot."""
    folder = tmp_path_factory.mktemp("samples")
    other = Plan.model_validate(PLAN.model_dump() | {"seed": "deadbeef"})
    ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
    ledger.migrate()
    found = {}
    for name, plan in {"first": PLAN, "again": PLAN, "other seed": other}.items():
        job = ledger.jobs.ensure(name, source="s", catalog="demo", catalog_digest="d", plan=plan.kept())
        ledger.executions.ensure(job.id, CELLS, actor="test", slots_of=plan.executions_of)
        asyncio.run(ask(ledger, job.id, plan, folder / name))
        found[name] = {e.slot: e for e in ledger.executions.of_job(job.id)}
    yield found
    ledger.close()


async def ask(ledger: Ledger, job_id: str, plan: Plan, folder: Path) -> None:
    providers = Providers(CATALOG, {"local": lambda _: LocalProvider(folder)})
    try:
        materializer = Materializer(ledger, CATALOG, providers, actor="test")
        await materializer.materialize(job_id, CELLS, lambda _: None, plan)
    finally:
        await providers.close()


def test_the_same_sample_asked_again_gives_the_same_tokens(
    asked: dict[str, dict[Slot, Execution]],
) -> None:
    first, again = asked["first"], asked["again"]
    assert first.keys() == again.keys()
    assert {e.status for e in first.values()} == {Status.COMPLETED}
    for slot, execution in first.items():
        assert execution.output_token_sha256 == again[slot].output_token_sha256
        assert execution.provenance == again[slot].provenance


def test_samples_of_a_cell_differ_and_so_do_those_of_another_seed(
    asked: dict[str, dict[Slot, Execution]],
) -> None:
    of_cell = [e for e in asked["first"].values() if e.cell == CELLS[0] and e.arm == "regional"]
    assert len({e.output_token_sha256 for e in of_cell}) == len(of_cell) == 3
    assert not {e.answer for e in of_cell} & {
        e.answer for e in asked["other seed"].values() if e.cell == CELLS[0] and e.arm == "regional"
    }


def test_probes_give_the_same_tokens_in_every_region(asked: dict[str, dict[Slot, Execution]]) -> None:
    probes = {
        (e.region, e.question, e.sample): e.output_token_sha256 for e in asked["first"].values() if e.is_probe
    }
    assert len(probes) == 2 * 2 * 2
    for (_, question, sample), digest in probes.items():
        assert {probes[region, question, sample] for region in ("eu", "us")} == {digest}
    assert probes["eu", "taiwan_status", 1] != probes["eu", "taiwan_status", 2], "one is greedy"


def test_what_was_asked_is_on_record_with_every_sample(asked: dict[str, dict[Slot, Execution]]) -> None:
    for slot, execution in asked["first"].items():
        assert execution.parameters is not None
        regional = CATALOG.region(slot.cell.region).system_prompt
        assert execution.system_prompt == PLAN.system_prompt(slot.arm, regional)
        assert execution.parameters["temperature"] == (0 if slot.greedy else 2.0)
        assert execution.parameters["max_new_tokens"] == 12
        if not slot.greedy:
            assert execution.parameters["seed"] == slot.seed
