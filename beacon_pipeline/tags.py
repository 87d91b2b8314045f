"""The tags of a Dagster run that are Beacon's own or that Beacon sets."""

from __future__ import annotations

RANGE_START_TAG = "dagster/asset_partition_range_start"
RANGE_END_TAG = "dagster/asset_partition_range_end"
PARTITION_TAG = "dagster/partition"
PRIORITY_TAG = "dagster/priority"
BACKFILL_TAG = "dagster/backfill"
ROOT_RUN_TAG = "dagster/root_run_id"
CODE_SERVER_TAG = ".dagster/grpc_info"  # the address of the code server that started the run

JOB_TAG = "beacon/job"
SCHEDULE_TAG = "beacon/schedule"  # the catalog's schedule whose tick asked
REGION_TAG, MODEL_TAG, DEPLOYMENT_TAG = "beacon/region", "beacon/model", "beacon/deployment"
HEALING_TAG = "beacon/healing"  # of a run that reconciliation requested: what it heals
WRONG_TAG = "beacon/wrong"  # of such a run: which wrong thing, so that the next one is told apart
LAUNCHER_TAG = "beacon/launcher"  # the process that launched the run: where its own process is
