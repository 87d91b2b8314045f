"""Asks a planned job of a ledger one item at a time: a process to be killed, and what goes on after it."""

import asyncio
import sys
from pathlib import Path

from beacon_pipeline.catalog import load_catalog
from beacon_pipeline.catalog.plan import Plan, planned
from beacon_pipeline.execution.providers import Providers
from beacon_pipeline.execution.run import Materializer
from beacon_pipeline.ledger import Ledger
from inference.local.provider import LocalProvider
from tests.inference.slow import SlowRuntime

CATALOG = load_catalog("demo")
CELLS = CATALOG.cells(["eu", "us"], ["tiny-llama"], ["math_basic"])
PLAN = planned(
    CATALOG,
    [CATALOG.model("tiny-llama")],
    arms=("regional", "neutral"),
    blocks=(1, 2),
    samples=2,
    greedy_probes=1,
    temperature=0.8,
    seed="feedbeef",
)


def ask(folder: Path, seconds_an_item: float) -> None:
    """Bring the job ``j`` of the ledger in ``folder`` to its end."""
    ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
    ledger.migrate()
    job = ledger.jobs.ensure("j", source="s", catalog="demo", catalog_digest="d", plan=PLAN.kept())
    ledger.executions.ensure(job.id, CELLS, actor="test", slots_of=PLAN.executions_of)

    async def work() -> None:
        provider = LocalProvider(folder, load=lambda _: SlowRuntime(seconds_an_item), batch_size=1)
        providers = Providers(CATALOG, {"local": lambda _: provider})
        try:
            materializer = Materializer(ledger, CATALOG, providers, actor="test")
            await materializer.materialize(job.id, CELLS, lambda _: None, Plan.of(job.plan))
        finally:
            await providers.close()

    asyncio.run(work())
    ledger.close()


if __name__ == "__main__":
    ask(Path(sys.argv[1]), 0.2)
