"""However much goes on in a process, it has few connections to PostgreSQL, and two at rest."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import dagster as dg
import psycopg
import pytest
import sqlalchemy as sa
import yaml

from beacon_pipeline.instance.pooled_storage import THREADS_AT_ONCE
from beacon_pipeline.ledger import Ledger, LedgerUnavailable, database
from tests.beacon_pipeline.homes import make_home, opened
from tests.beacon_pipeline.instances import ROOT
from tests.waiting import wait_for

THREADS = 24
AT_MOST = {
    "dagster": 2 * THREADS_AT_ONCE,
    "ledger": database.POOL["pool_size"] + database.POOL["max_overflow"],
}
KEY = dg.AssetKey("answer")


@contextmanager
def counted(url: str) -> Iterator[Callable[[], int]]:
    """How many connections others have to a database, now."""
    others = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    with psycopg.connect(url, autocommit=True) as connection:
        yield lambda: connection.execute(others).fetchone()[0]  # type: ignore[index]


def at_once(work: Callable[[int], object], now: Callable[[], int]) -> int:
    """Do it in many threads; the most connections that were seen meanwhile."""
    most, done = [0], threading.Event()

    def watch() -> None:
        while not done.is_set():
            most[0] = max(most[0], now())

    with ThreadPoolExecutor(THREADS + 1) as pool:
        watching = pool.submit(watch)
        try:
            list(pool.map(work, range(THREADS)))
        finally:
            done.set()
        watching.result()
    return most[0]


def report_and_read(instance: dg.DagsterInstance, number: int) -> None:
    """What run workers, the daemon and sensors do with the three storages."""
    for round_ in range(3):
        instance.report_runless_asset_event(
            dg.AssetMaterialization(KEY, partition=f"{number}-{round_}", metadata={"n": number})
        )
        instance.get_run_records(limit=1)
        instance.all_instigator_state()
        instance.fetch_materializations(KEY, limit=1)


def ask(ledger: Ledger, number: int) -> None:
    job = ledger.jobs.ensure(f"job-{number % 6}", source="s", catalog="c", catalog_digest="d")
    ledger.executions.of_job(job.id)


def test_many_threads_share_few_connections(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    home = make_home("postgresql", tmp_path, request)
    url = yaml.safe_load((home / "dagster.yaml").read_text())["storage"]["custom"]["config"]["postgres_url"]
    with counted(url) as now:
        with opened(home) as (instance, ledger):
            assert now() <= 2
            assert at_once(partial(report_and_read, instance), now) <= AT_MOST["dagster"] + 1
            assert len(instance.get_materialized_partitions(KEY)) == 3 * THREADS, (
                "nothing was lost by waiting"
            )
            assert at_once(partial(ask, ledger), now) <= AT_MOST["ledger"] + 1
            assert len(ledger.jobs.newest()) == 6
            assert now() == 2, "Dagster's three storages keep one, the ledger another"
        wait_for("the server to see them closed", lambda: now() == 0)


def test_a_ledger_whose_connections_are_all_taken_is_unavailable_and_says_so(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if database_url.startswith("sqlite"):
        return
    monkeypatch.setattr(database, "POOL", {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.1})
    ledger = database.Database(database_url)
    with ledger.engine.connect(), pytest.raises(LedgerUnavailable, match="cannot be used: QueuePool limit"):
        ledger.read(lambda connection: connection.execute(sa.text("SELECT 1")))
    ledger.close()


def test_what_is_deployed_needs_no_more_than_the_server_has() -> None:
    """Every run at work with four, where two are usual (benchmarks/connections.md), and every other process
    at its bound."""
    compose = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())["services"]
    served = int(compose["postgres"]["command"][-1].partition("max_connections=")[2])
    production = yaml.safe_load((ROOT / "beacon_pipeline/instance/production.yaml").read_text())
    runs = production["concurrency"]["runs"]["max_concurrent_runs"]
    others = len(["code", "daemon", "webserver", "reader", "shell"])
    assert 4 * runs + others * sum(AT_MOST.values()) <= served - 3, "three are the superuser's"
