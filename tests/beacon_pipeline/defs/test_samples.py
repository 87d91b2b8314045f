"""Partitions with several executions: what Dagster shows of them, what is checked, what heals them."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import dagster as dg
import pytest

from beacon_pipeline.catalog.partitions import key_of, rectangle
from beacon_pipeline.catalog.plan import planned
from beacon_pipeline.cli.common import report_on_record
from beacon_pipeline.defs.assets.status_metrics import take_metrics
from beacon_pipeline.execution.resources import LedgerResource
from beacon_pipeline.jobs.dagster_api import CHECKS_JOB, INFERENCE_JOB
from beacon_pipeline.jobs.job_of_run import make_job
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Execution
from beacon_pipeline.ledger.status import Status
from beacon_pipeline.names import INFERENCE, JOB_TAG
from beacon_pipeline.reconciliation.inspect import Inspector
from beacon_pipeline.reconciliation.reconcile import Repair
from beacon_pipeline.reconciliation.view import newest_materializations
from inference.contract import FailureCode, Item, ItemResult
from tests.beacon_pipeline.location import CATALOG, Location
from tests.beacon_pipeline.scripted import Behaviour, fails, says

CELLS = CATALOG.cells(models=["tiny-qwen"], questions=["math_basic", "geography_basic"])
KEYS = {key_of(cell) for cell in CELLS}
PLAN = planned(
    CATALOG,
    CATALOG.models,
    arms=("regional", "neutral"),
    blocks=(1, 2),
    samples=3,
    greedy_probes=1,
    temperature=0.8,
    seed="feedbeef",
)
OF_A_CELL = 2 * (2 * 3 + 1)
