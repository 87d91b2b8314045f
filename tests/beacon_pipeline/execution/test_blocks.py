"""A plan's blocks: one call for each deployment, equal items, one block after the other, nothing twice."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from beacon_pipeline.catalog import load_catalog
from beacon_pipeline.catalog.plan import Plan, planned
from beacon_pipeline.execution.providers import Providers
from beacon_pipeline.execution.run import Materializer
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Execution, Job
from beacon_pipeline.ledger.status import Status
from inference.contract import CallStatus, Deployment, FailureCode, Item, ItemResult, Request
from tests.beacon_pipeline.scripted import (
    PENDING,
    SUCCEEDED,
    UNREACHABLE,
    Behaviour,
    ScriptedProvider,
    ended,
    fails,
    says,
)
from tests.databases import migrated_sqlite_file

CATALOG = load_catalog("demo")
CELLS = CATALOG.cells(models=["tiny-llama"], questions=["math_basic", "taiwan_status"])
DEPLOYMENTS = [Deployment(region=region.id, model="tiny-llama") for region in CATALOG.regions]
PLAN = planned(
    CATALOG,
    CATALOG.models,
    arms=("regional", "neutral"),
    blocks=(1, 2, 3),
    samples=2,
    greedy_probes=1,
    temperature=0.8,
    seed="feedbeef",
)
OF_A_CALL = 2 * PLAN.executions_of_a_block  # two questions
LOST_WORKER = ended(CallStatus.FAILED, FailureCode.WORKER_LOST)


class Watched(ScriptedProvider):
    """Notes which calls had ended when each one was made."""

    def __init__(self, script: Sequence[Behaviour], ledger: Ledger) -> None:
        super().__init__(script)
        self.open_at_submit: list[set[str]] = []
        self._ledger = ledger

    async def submit(self, request: Request) -> str:
        open_calls = {call.id for call in self._ledger.calls.unsettled()} - {request.id}
        self.open_at_submit.append(open_calls)
        return await super().submit(request)


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """On SQLite only: the queries are tested on both with the ledger."""
    return migrated_sqlite_file(tmp_path / "ledger.db")


def a_planned_job(ledger: Ledger, plan: Plan = PLAN) -> Job:
    job = ledger.jobs.ensure("j", source="s", catalog="demo", catalog_digest="d", plan=plan.kept())
    ledger.executions.ensure(job.id, CELLS, actor="test", slots_of=plan.executions_of)
    return job


async def no_sleep(_seconds: float) -> None:
    await asyncio.sleep(0)


def materialize(
    ledger: Ledger,
    job: Job,
    provider: ScriptedProvider,
    on_settled: Callable[[Sequence[Execution]], None] = lambda _: None,
    patience: float = 60,
) -> list[Execution]:
    reported: list[Execution] = []

    def settled(some: Sequence[Execution]) -> None:
        reported.extend(some)
        on_settled(some)

    materializer = Materializer(
        ledger,
        CATALOG,
        Providers(CATALOG, {"local": lambda _: provider}),
        actor="test",
        sleep=no_sleep,
        unreachable_patience_seconds=patience,
    )
    asyncio.run(materializer.materialize(job.id, CELLS, settled, Plan.of(job.plan)))
    return reported


def test_a_block_is_one_call_for_each_deployment_in_the_plans_order(ledger: Ledger) -> None:
    job = a_planned_job(ledger)
    provider = Watched([Behaviour(states=[PENDING] * 20 + [SUCCEEDED])], ledger)
    reported = materialize(ledger, job, provider)
    assert len(reported) == len({e.id for e in reported}) == 3 * 3 * OF_A_CALL
    assert {e.status for e in reported} == {Status.COMPLETED}
    asked = [[request.deployment for request in provider.requests[n : n + 3]] for n in (0, 3, 6)]
    assert asked == [PLAN.deployment_order(block, DEPLOYMENTS) for block in (1, 2, 3)]
    assert provider.open_at_submit[::3] == [set()] * 3, "a block waits for the one before"
    assert max(map(len, provider.open_at_submit)) >= 1, "the deployments of a block do not wait"


def test_equal_items_come_in_equal_order_in_every_region(ledger: Ledger) -> None:
    job = a_planned_job(ledger)
    provider = ScriptedProvider([Behaviour()])
    materialize(ledger, job, provider)
    slots = {e.id: e.slot for e in ledger.executions.of_job(job.id)}

    def items(request: Request) -> list[tuple[str, str, int]]:
        return [
            (slots[item.id].cell.question, slots[item.id].arm, slots[item.id].sample)
            for item in request.items
        ]

    orders = [items(request) for request in provider.requests]
    assert orders[0] == orders[1] == orders[2]
    assert orders[3] == orders[4] == orders[5]
    assert orders[0] != orders[3]
    for request, block in zip(provider.requests, [1] * 3 + [2] * 3 + [3] * 3, strict=True):
        assert {slots[item.id].block for item in request.items} == {block}


def test_a_retry_is_a_call_of_its_own_and_can_be_told(ledger: Ledger) -> None:
    job = a_planned_job(ledger)
    script = [Behaviour(states=[LOST_WORKER]), *(Behaviour() for _ in range(9))]
    provider = ScriptedProvider(script)
    materialize(ledger, job, provider)
    assert len(provider.requests) == 10
    executions = ledger.executions.of_job(job.id)
    assert {e.status for e in executions} == {Status.COMPLETED}
    again = [e for e in executions if len(e.attempts) > 1]
    assert {(e.region, e.block) for e in again} == {(provider.requests[0].deployment.region, 1)}
    assert len(again) == OF_A_CALL
    assert [item.seed for item in provider.requests[0].items] == next(
        [item.seed for item in request.items]
        for request in provider.requests[1:]
        if {item.id for item in request.items} == {item.id for item in provider.requests[0].items}
    )


def test_what_is_left_open_keeps_the_next_block_from_beginning(ledger: Ledger) -> None:
    job = a_planned_job(ledger)
    provider = ScriptedProvider([Behaviour(), Behaviour(states=[UNREACHABLE]), Behaviour()])
    reported = materialize(ledger, job, provider, patience=0)
    assert len(provider.requests) == 3
    assert len(reported) == len({e.id for e in reported}) == 3 * 3 * OF_A_CALL, "all are handed over"
    statuses = {(e.block, e.status) for e in reported}
    assert statuses == {
        (1, Status.COMPLETED),
        (1, Status.DISPATCHED),
        (2, Status.PENDING),
        (3, Status.PENDING),
    }
    provider.script = [replace(behaviour, states=[SUCCEEDED]) for behaviour in provider.script]
    reported = materialize(ledger, job, provider)
    assert {e.status for e in reported} == {Status.COMPLETED}
    assert len(provider.requests) == 9, "the open call was attached to, nothing was asked twice"


def test_one_sample_that_fails_for_good_fails_alone(ledger: Ledger) -> None:
    job = a_planned_job(ledger)

    def one_fails(item: Item) -> ItemResult:
        wrong = item.seed is not None and item.seed == doomed.seed
        return fails(FailureCode.GENERATION_ERROR)(item) if wrong else says("fine")(item)

    doomed = next(e for e in ledger.executions.of_job(job.id) if not e.is_probe)
    materialize(ledger, job, ScriptedProvider([Behaviour(results=one_fails)]))
    failed = [e for e in ledger.executions.of_job(job.id) if e.status is not Status.COMPLETED]
    assert [(e.id, e.status) for e in failed] == [(doomed.id, Status.FAILED)]


def test_what_a_person_cancels_meanwhile_is_not_asked(ledger: Ledger) -> None:
    job = a_planned_job(ledger)
    provider = ScriptedProvider([Behaviour()])

    def cancel(_settled: Sequence[Execution]) -> None:
        pending = [
            e.id for e in ledger.executions.of_job(job.id) if e.status is Status.PENDING and e.block > 1
        ]
        ledger.repairs.cancel_pending(pending, actor="a person")

    materialize(ledger, job, provider, on_settled=cancel)
    assert len(provider.requests) == 3
    assert {e.status for e in ledger.executions.of_job(job.id) if e.block > 1} == {Status.CANCELLED}
