"""Executions on an OpenAI-compatible endpoint, which keeps no calls: nothing is lost silently or invented."""

from __future__ import annotations

import asyncio
import copy
import multiprocessing
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

import beacon_pipeline.catalog
from beacon_pipeline.catalog import Catalog, load_catalog
from beacon_pipeline.execution.providers import SHIPPED, Providers
from beacon_pipeline.execution.request import request_for
from beacon_pipeline.execution.run import Materializer
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Cell, Execution
from beacon_pipeline.ledger.status import AnswerKind, Status
from beacon_pipeline.monitoring.doctor import examine_providers
from inference.contract import UNREPORTED_REGION, FailureCode, NotConfigured
from inference.http.call_ids import ProcessCall
from tests.beacon_pipeline.asking import a_job
from tests.inference.endpoints import KEY, Server, endpoint_server
from tests.waiting import wait_for

CELL = Cell("eu", "served", "asked")
KEY_VARIABLE = "BEACON_TEST_ENDPOINT_KEY"
MISSING_VARIABLE = "BEACON_TEST_MISSING_KEY"
REFUSED_VARIABLE = "BEACON_TEST_REFUSED_KEY"
LOCKED = {"id": "locked", "api_key_variable": MISSING_VARIABLE}


@pytest.fixture(scope="module")
def running_server() -> Iterator[Server]:
    with endpoint_server() as running:
        yield running


@pytest.fixture
def server(running_server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    monkeypatch.setenv(REFUSED_VARIABLE, "refused")
    running_server.forget()
    return running_server


def a_catalog(folder: Path, url: str, prompt: str, *others: dict[str, Any], **changes: Any) -> Catalog:
    """One model at one endpoint, others like it, and one question, written as a person writes them."""
    model = {
        "id": "served",
        "name": "Served",
        "provider": "http",
        "repository": "o/m",
        "revision": "r",
        "dtype": "float32",
        "context_tokens": 64,
        "max_new_tokens": 9,
        "regions": ["eu"],
        "endpoints": {"eu": url},
        "endpoint_model": "served",
        "api_key_variable": KEY_VARIABLE,
        "region_header": "x-region",
    } | changes
    question = {"id": "asked", "text": prompt, "category": "control", "sensitivity": "low"}
    demo = Path(beacon_pipeline.catalog.__file__).parent / "demo" / "regions.yaml"
    (folder / "regions.yaml").write_text(demo.read_text())
    (folder / "models.yaml").write_text(
        yaml.safe_dump({"models": [model, *(copy.deepcopy(model) | other for other in others)]})
    )
    (folder / "questions.yaml").write_text(yaml.safe_dump({"questions": [question]}))
    return load_catalog(str(folder))


async def materialize(
    ledger: Ledger, catalog: Catalog, job_id: str, cell: Cell = CELL, **options: Any
) -> list[Execution]:
    reported: list[Execution] = []
    providers = Providers(catalog, SHIPPED)
    try:
        materializer = Materializer(ledger, catalog, providers, actor="test", sleep=no_sleep, **options)
        await materializer.materialize(job_id, [cell], reported.extend)
    finally:
        await providers.close()
    return reported


async def no_sleep(_seconds: float) -> None:
    await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("prompt", "status", "kind", "region", "usable"),
    [
        ("eu", Status.COMPLETED, AnswerKind.SUBSTANTIVE, "eu", True),
        ("us", Status.COMPLETED, AnswerKind.SUBSTANTIVE, "us", False),
        ("empty", Status.COMPLETED, AnswerKind.EMPTY, UNREPORTED_REGION, False),
        ("null", Status.COMPLETED, AnswerKind.EMPTY, UNREPORTED_REGION, False),
        ("thoughts only", Status.COMPLETED, AnswerKind.UNFINISHED, UNREPORTED_REGION, False),
        ("empty and refusal", Status.COMPLETED, AnswerKind.REFUSAL, UNREPORTED_REGION, False),
        ("filtered", Status.COMPLETED, AnswerKind.EMPTY, UNREPORTED_REGION, False),
        ("no finish reason", Status.COMPLETED, AnswerKind.SUBSTANTIVE, UNREPORTED_REGION, False),
        ("half a surrogate", Status.COMPLETED, AnswerKind.SUBSTANTIVE, UNREPORTED_REGION, False),
        ("eu twice", Status.COMPLETED, AnswerKind.SUBSTANTIVE, "eu", True),
        ("another model in eu", Status.COMPLETED, AnswerKind.SUBSTANTIVE, "eu", False),
        ("quota", Status.FAILED, None, None, False),
    ],
)
async def test_the_record_of_an_endpoints_answer(
    ledger: Ledger,
    tmp_path: Path,
    server: Server,
    prompt: str,
    status: Status,
    kind: AnswerKind | None,
    region: str | None,
    usable: bool,
) -> None:
    catalog = a_catalog(tmp_path, server.url, prompt)
    (execution,) = await materialize(ledger, catalog, a_job(ledger, [CELL]).id)
    assert (execution.status, execution.answer_kind) == (status, kind)
    assert (execution.executed_region, execution.usable) == (region, usable)
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"


async def test_without_the_key_nothing_is_dispatched(
    ledger: Ledger, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(KEY_VARIABLE)
    job = a_job(ledger, [CELL])
    with pytest.raises(NotConfigured, match=f"set {KEY_VARIABLE}"):
        await materialize(ledger, a_catalog(tmp_path, server.url, "answer"), job.id)
    assert [e.status for e in ledger.executions.of_job(job.id)] == [Status.PENDING]
    assert server.bodies == []


async def test_a_missing_key_holds_up_its_own_gateway_only(
    ledger: Ledger, tmp_path: Path, server: Server
) -> None:
    catalog = a_catalog(tmp_path, server.url, "eu", LOCKED)
    locked = Cell("eu", "locked", "asked")
    job = a_job(ledger, [CELL, locked])
    (execution,) = await materialize(ledger, catalog, job.id)
    assert (execution.cell, execution.status) == (CELL, Status.COMPLETED)
    with pytest.raises(NotConfigured, match=f"eu:locked needs its API key: set {MISSING_VARIABLE}"):
        await materialize(ledger, catalog, job.id, locked)
    assert {e.cell: e.status for e in ledger.executions.of_job(job.id)}[locked] is Status.PENDING
    assert len(server.bodies) == 1


def test_the_doctor_tells_a_missing_key_and_what_is_well_beside_it(tmp_path: Path, server: Server) -> None:
    refused = {"id": "refused", "api_key_variable": REFUSED_VARIABLE}
    catalog = a_catalog(tmp_path, server.url, "eu", LOCKED, refused)
    told = {d.subject: d for d in examine_providers(catalog, Providers(catalog, SHIPPED))}
    assert [(subject, diagnosis.ok) for subject, diagnosis in told.items()] == [
        ("provider http", True),
        ("deployment eu:served", True),
        ("deployment eu:locked", False),
        ("deployment eu:refused", False),
    ]
    assert f"set {MISSING_VARIABLE}" in told["deployment eu:locked"].detail
    assert f"refuses the key in {REFUSED_VARIABLE}" in told["deployment eu:refused"].detail


async def test_with_a_model_that_is_not_served_nothing_is_dispatched(
    ledger: Ledger, tmp_path: Path, server: Server
) -> None:
    job = a_job(ledger, [CELL])
    with pytest.raises(NotConfigured, match="lists other, served, not 'old': correct endpoint_model"):
        await materialize(ledger, a_catalog(tmp_path, server.url, "answer", endpoint_model="old"), job.id)
    assert [e.status for e in ledger.executions.of_job(job.id)] == [Status.PENDING]


def dead_process() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def call_of(process: int) -> str:
    """The id of a call that another process made and has ten minutes for."""
    return str(ProcessCall("request", "owner", socket.gethostname(), process, int(time.time()) + 600))


# the accepted call of an earlier attempt, its process -> status, failure codes of all attempts, requests
INTERRUPTED = {
    "cut before it was accepted": (None, 3, "completed interrupted,- 1"),
    "its process died": ("dead", 3, "completed interrupted,- 1"),
    "its process died, budget spent": ("dead", 1, "failed interrupted 0"),
    "its process may be alive": ("alive", 3, "dispatched - 0"),
}


@pytest.mark.parametrize(("process", "budget", "expected"), INTERRUPTED.values(), ids=INTERRUPTED)
async def test_an_interrupted_call_is_asked_again_within_the_budget(
    ledger: Ledger,
    database_url: str,
    tmp_path: Path,
    server: Server,
    process: str | None,
    budget: int,
    expected: str,
) -> None:
    (tmp_path / "settings.yaml").write_text(f"attempt_budget: {budget}\n")
    catalog = a_catalog(tmp_path, server.url, "answer")
    job = a_job(ledger, [CELL])
    earlier = Ledger(database_url, clock=lambda: datetime.now(UTC) - timedelta(minutes=1))
    call = earlier.calls.open(
        ledger.executions.of_job(job.id), lambda e: request_for(catalog, e), provider="http", actor="first"
    )
    earlier.close()
    assert call is not None
    if process is not None:
        owner = dead_process() if process == "dead" else os.getppid()
        ledger.calls.accept(call.id, call_of(owner))

    (execution,) = await materialize(ledger, catalog, job.id, unreachable_patience_seconds=0)

    status, codes, requests = expected.split()
    assert execution.status.value == status
    assert [attempt.failure_code or "-" for attempt in execution.attempts] == codes.split(",")
    assert len(server.bodies) == int(requests)
    assert (execution.dead_lettered_at is not None) == (status == "failed")


def ask_until_killed(url: str, folder: Path, job_id: str) -> None:
    """What the process of a run does, until somebody kills it."""
    ledger = Ledger(url)
    asyncio.run(materialize(ledger, load_catalog(str(folder)), job_id))


def wait_for_the_request(server: Server, ledger: Ledger) -> None:
    def asked() -> bool:
        return bool(server.bodies) and any(call.provider_call_id for call in ledger.calls.unsettled())

    wait_for("accepted call", asked, every=0.02)


def test_a_killed_process_costs_one_attempt_and_no_answer(
    ledger: Ledger, database_url: str, tmp_path: Path, server: Server
) -> None:
    a_catalog(tmp_path, server.url, "hang once")
    job = a_job(ledger, [CELL])
    process = multiprocessing.get_context("spawn").Process(
        target=ask_until_killed, args=(database_url, tmp_path, job.id)
    )
    process.start()
    try:
        wait_for_the_request(server, ledger)
    finally:
        process.kill()
        process.join()
    (halfway,) = ledger.executions.of_job(job.id)
    assert halfway.status is Status.DISPATCHED

    server.released.set()
    (execution,) = asyncio.run(materialize(ledger, load_catalog(str(tmp_path)), job.id))
    assert execution.status is Status.COMPLETED
    assert [attempt.failure_code for attempt in execution.attempts] == [FailureCode.INTERRUPTED, None]
    assert server.asked["hang once"] == 2


def test_two_runs_side_by_side_ask_once(ledger: Ledger, tmp_path: Path, server: Server) -> None:
    catalog = a_catalog(tmp_path, server.url, "busy")
    job = a_job(ledger, [CELL])

    async def both() -> None:
        first = asyncio.create_task(materialize(ledger, catalog, job.id))
        while not ledger.calls.unsettled():
            await asyncio.sleep(0)
        await materialize(ledger, catalog, job.id, unreachable_patience_seconds=0.1)
        await first

    asyncio.run(both())
    assert [e.status for e in ledger.executions.of_job(job.id)] == [Status.COMPLETED]
    assert server.asked["busy"] == 1
