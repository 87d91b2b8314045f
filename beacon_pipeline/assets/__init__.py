"""The assets: the catalog's questions and models, the inference made of them, and how well it went."""

from __future__ import annotations

import dagster as dg

QUESTIONS = dg.AssetKey("questions")
MODELS = dg.AssetKey("models")
INFERENCE = dg.AssetKey("inference")
LEDGER = dg.AssetKey("ledger")
STATUS_METRICS = dg.AssetKey("status_metrics")

OWNER = "team:beacon"  # of every asset, as the UI shows it

# In the metadata of a run's failure that says no more than that executions have no answer.
WITHOUT_ANSWER = "executions_without_answer"
CATALOG_DIGEST = "catalog_digest"  # in the metadata of what the catalog's assets materialized

POOL = "inference"  # its limit is in `instance/*.yaml`, and holds for runs from the UI too
