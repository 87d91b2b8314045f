"""What Dagster's storage keeps of ours: keys of assets and metadata, tags of runs, a pool."""

import dagster as dg

from beacon_pipeline import names

STORED = {
    "RANGE_START_TAG": "dagster/asset_partition_range_start",
    "RANGE_END_TAG": "dagster/asset_partition_range_end",
    "PARTITION_TAG": "dagster/partition",
    "PRIORITY_TAG": "dagster/priority",
    "BACKFILL_TAG": "dagster/backfill",
    "ROOT_RUN_TAG": "dagster/root_run_id",
    "SENSOR_NAME_TAG": "dagster/sensor_name",
    "SCHEDULE_NAME_TAG": "dagster/schedule_name",
    "CODE_SERVER_TAG": ".dagster/grpc_info",
    "JOB_TAG": "beacon/job",
    "SCHEDULE_TAG": "beacon/schedule",
    "REGION_TAG": "beacon/region",
    "MODEL_TAG": "beacon/model",
    "DEPLOYMENT_TAG": "beacon/deployment",
    "HEALING_TAG": "beacon/healing",
    "HEALING_REASON_TAG": "beacon/healing_reason",
    "WRONG_TAG": "beacon/wrong",
    "BLOCKS_TAG": "beacon/blocks",
    "COMPARED_TAG": "beacon/compared",
    "LAUNCHER_TAG": ".dagster/beacon_launcher",
    "SHOWN_LAUNCHER_TAG": "beacon/launcher",
    "RECORDED_TAG": "beacon/recorded",
    "QUESTIONS": "questions",
    "MODELS": "models",
    "INFERENCE": "inference",
    "LEDGER": "ledger",
    "STATUS_METRICS": "status_metrics",
    "COMPARISONS": "comparisons",
    "FINDINGS": "findings",
    "SCORECARD": "scorecard",
    "PAGE": "page",
    "STUDIES": "studies",
    "GROUP": "beacon",
    "OWNER": "team:beacon",
    "WITHOUT_ANSWER": "executions_without_answer",
    "CATALOG_DIGEST": "catalog_digest",
    "POOL": "inference",
}


def test_a_stored_name_changes_only_with_a_migration() -> None:
    found = {name: getattr(names, name) for name in vars(names) if name.isupper()}
    assert {
        name: value.to_user_string() if isinstance(value, dg.AssetKey) else value
        for name, value in found.items()
    } == STORED
