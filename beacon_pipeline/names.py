"""Names that are stored outside this code: asset keys, metadata keys, and the tags of Dagster runs.

Dagster's storage keeps them, so a name changes only with a migration of old instances.
"""

from __future__ import annotations

import dagster as dg

RANGE_START_TAG = "dagster/asset_partition_range_start"
RANGE_END_TAG = "dagster/asset_partition_range_end"
PARTITION_TAG = "dagster/partition"
PRIORITY_TAG = "dagster/priority"
BACKFILL_TAG = "dagster/backfill"
ROOT_RUN_TAG = "dagster/root_run_id"
SENSOR_NAME_TAG, SCHEDULE_NAME_TAG = "dagster/sensor_name", "dagster/schedule_name"  # who requested a run
CODE_SERVER_TAG = ".dagster/grpc_info"  # the address of the code server that started the run

JOB_TAG = "beacon/job"
SCHEDULE_TAG = "beacon/schedule"  # the catalog's schedule whose tick asked
REGION_TAG, MODEL_TAG, DEPLOYMENT_TAG = "beacon/region", "beacon/model", "beacon/deployment"
HEALING_TAG = "beacon/healing"  # of a run that reconciliation requested: what it heals
HEALING_REASON_TAG = "beacon/healing_reason"  # of such a run: why, in words for a person
WRONG_TAG = "beacon/wrong"  # of such a run: which wrong thing, so that the next one is another
BLOCKS_TAG = "beacon/blocks"  # of a run that asks several, one after the other: how many
RECORDED_TAG = "beacon/recorded"  # of a run whose job is on record: if it is not, the ledger was replaced
COMPARED_TAG = "beacon/compared"  # of a run that compares: the job whose answers it looks at
# The process that launched the run: where its own process is. Dagster's page hides what begins so.
LAUNCHER_TAG = ".dagster/beacon_launcher"
SHOWN_LAUNCHER_TAG = "beacon/launcher"  # what it was called, on runs that are under way in an upgrade

QUESTIONS = dg.AssetKey("questions")
MODELS = dg.AssetKey("models")
INFERENCE = dg.AssetKey("inference")
LEDGER = dg.AssetKey("ledger")
STATUS_METRICS = dg.AssetKey("status_metrics")
COMPARISONS = dg.AssetKey("comparisons")
FINDINGS = dg.AssetKey("findings")
SCORECARD = dg.AssetKey("scorecard")
PAGE = dg.AssetKey("page")
STUDIES = "studies"  # Dagster's dynamic partitions, one for each version of a study that was asked

GROUP = "beacon"  # one for all: of several, the UI's lineage shows closed boxes first
OWNER = "team:beacon"  # of every asset, as the UI shows it

# In the metadata of a run's failure that says no more than that executions have no answer.
WITHOUT_ANSWER = "executions_without_answer"
CATALOG_DIGEST = "catalog_digest"  # in the metadata of what the catalog's assets materialized

POOL = "inference"  # its limit is in `instance/*.yaml`, and holds for runs from the UI too
