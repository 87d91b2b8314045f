"""The assets: the catalog's questions and models, and the inference made of them."""

from __future__ import annotations

import dagster as dg

QUESTIONS = dg.AssetKey("questions")
MODELS = dg.AssetKey("models")
INFERENCE = dg.AssetKey("inference")
