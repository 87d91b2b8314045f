"""The Dagster code location."""

from __future__ import annotations

import dagster as dg

from beacon_pipeline.catalog import Catalog, load_catalog
from beacon_pipeline.defs.assets.catalog import catalog_assets, catalog_job
from beacon_pipeline.defs.assets.findings import findings_assets, findings_jobs
from beacon_pipeline.defs.assets.inference import inference_asset
from beacon_pipeline.defs.assets.ledger import (
    ledger_asset,
    ledger_asset_checks,
    ledger_checks_schedule,
    ledger_checks_sensor,
)
from beacon_pipeline.defs.assets.status_metrics import metrics_asset
from beacon_pipeline.defs.checks import inference_checks
from beacon_pipeline.defs.jobs import ask_jobs
from beacon_pipeline.defs.schedules import catalog_schedules
from beacon_pipeline.defs.sensors.alerts import alert_sensor
from beacon_pipeline.defs.sensors.cancelled import cancelled_runs_sensor
from beacon_pipeline.defs.sensors.findings import findings_sensor
from beacon_pipeline.defs.sensors.metrics import metrics_sensor
from beacon_pipeline.defs.sensors.reconciliation import INTERVAL_SECONDS as HEALING_INTERVAL_SECONDS
from beacon_pipeline.defs.sensors.reconciliation import reconciliation_sensor
from beacon_pipeline.execution.resources import LedgerResource, ProvidersResource
from beacon_pipeline.jobs.dagster_api import CHECKS_JOB, INFERENCE_JOB, LEDGER_CHECKS_JOB
from beacon_pipeline.names import INFERENCE, LEDGER


def build_definitions(
    catalog: Catalog | None = None,
    *,
    ledger: LedgerResource | None = None,
    providers: ProvidersResource | None = None,
    healing_interval_seconds: int = HEALING_INTERVAL_SECONDS,
) -> dg.Definitions:
    """Everything in the code location, for a catalog (default: the one the environment names).

    Raises CatalogError. ``ledger`` and ``providers`` may be replaced;
    ``healing_interval_seconds`` is how often the record is looked at.
    """
    catalog = catalog or load_catalog()
    ledger = ledger or LedgerResource()
    inference_job = dg.define_asset_job(
        INFERENCE_JOB,
        selection=dg.AssetSelection.assets(INFERENCE).without_checks(),
        description="Bring the executions of chosen partitions to their true state.",
    )
    checks_job = dg.define_asset_job(
        CHECKS_JOB,
        selection=dg.AssetSelection.checks_for_assets(INFERENCE),
        description="Check partitions again; no model is asked. Launched as it is, it checks all that are "
        "materialized. For one, add the tag `dagster/partition` in the Launchpad (such as "
        "`eu:tiny-mistral|identity_basic`); for a range, `dagster/asset_partition_range_start` and `_end`.",
    )
    ledger_checks_job = dg.define_asset_job(
        LEDGER_CHECKS_JOB,
        selection=dg.AssetSelection.checks_for_assets(LEDGER),
        description="Run the data tests on the ledger. No model is asked.",
    )
    comparing = findings_jobs()
    healed = [inference_job, checks_job, ledger_checks_job, *comparing]
    return dg.Definitions(
        assets=[
            *catalog_assets(catalog),
            inference_asset(catalog),
            metrics_asset(catalog),
            ledger_asset(),
            *findings_assets(catalog),
        ],
        asset_checks=[inference_checks(catalog), *ledger_asset_checks(catalog, ledger)],
        jobs=[
            *healed,
            catalog_job(catalog),
            *ask_jobs(catalog),
        ],
        schedules=[*catalog_schedules(catalog), ledger_checks_schedule()],
        sensors=[
            reconciliation_sensor(catalog, healed, healing_interval_seconds),
            alert_sensor(catalog),
            cancelled_runs_sensor(catalog),
            metrics_sensor(catalog),
            findings_sensor(catalog, comparing),
            ledger_checks_sensor,
        ],
        resources={"ledger": ledger, "providers": providers or ProvidersResource()},
        # One process for a run: the work waits on providers, and starting processes costs seconds.
        executor=dg.in_process_executor,
    )


@dg.definitions
def definitions() -> dg.Definitions:
    """What `workspace.yaml` names."""
    return build_definitions()
