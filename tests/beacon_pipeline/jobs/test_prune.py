"""What may be deleted of Dagster's runs, on both databases, with the storages that ship."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml

from beacon_pipeline.jobs.prune import delete_runs, prunable_runs
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.names import JOB_TAG
from tests.beacon_pipeline.asking import a_job

LATER = datetime.now(UTC) + timedelta(days=1)
ANSWER = dg.AssetKey("answer")


@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["a", "b"]))
def answer() -> None:
    """An asset of two partitions."""


@pytest.fixture
def instance(database_url: str, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    if database_url.startswith("postgresql"):
        url = database_url.replace("://", "+psycopg2://", 1)
        name, config = "PooledPostgresStorage", {"postgres_url": url}
    else:
        name, config = "PooledSqliteStorage", {"base_dir": str(tmp_path / "storage")}
    custom = {"module": "beacon_pipeline.instance.pooled_storage", "class": name, "config": config}
    (tmp_path / "dagster.yaml").write_text(
        yaml.safe_dump({"storage": {"custom": custom}, "telemetry": {"enabled": False}})
    )
    with dg.DagsterInstance.from_config(str(tmp_path)) as opened:
        yield opened


def run(instance: dg.DagsterInstance, partition: str, **tags: str) -> str:
    return dg.materialize([answer], instance=instance, partition_key=partition, tags=tags).run_id


def unfinished(instance: dg.DagsterInstance) -> str:
    made = dg.DagsterRun(job_name="any", status=dg.DagsterRunStatus.STARTED)
    return instance.add_run(made).run_id


def test_a_run_goes_when_nothing_needs_it(
    instance: dg.DagsterInstance, ledger: Ledger, tmp_path: Path
) -> None:
    a_job(ledger, name="open-job")
    replaced = run(instance, "a")
    of_an_open_job = run(instance, "a", **{JOB_TAG: "open-job"})
    newest = [run(instance, "a"), run(instance, "b")]
    at_work = unfinished(instance)

    assert list(prunable_runs(ledger, instance, datetime.now(UTC) - timedelta(days=1))) == [], "all are young"
    found = list(prunable_runs(ledger, instance, LATER))
    assert found == [replaced]

    delete_runs(instance, found)
    left = {made.run_id for made in instance.get_runs()}
    assert left == {of_an_open_job, *newest, at_work}
    assert instance.get_materialized_partitions(ANSWER) == {"a", "b"}, "what is shown stays shown"
    assert list(tmp_path.glob(f"storage/history/runs/{replaced}*")) == []
    assert list(prunable_runs(ledger, instance, LATER)) == []
