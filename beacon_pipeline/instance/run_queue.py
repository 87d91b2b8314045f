"""What the catalog's GPU quotas and time limits make of Dagster's run queue and run launcher. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.names import REGION_TAG


def with_quotas(shipped: Mapping[str, Any], catalog: Catalog) -> dict[str, Any]:
    """The values of a `dagster.yaml` with the catalog's: as many runs of a region at once as its
    ``max_containers``, no more calls at once than all regions have together, and the longest run."""
    values = deepcopy(dict(shipped))
    concurrency = values["concurrency"]
    concurrency["runs"]["tag_concurrency_limits"] += [
        {"key": REGION_TAG, "value": region.id, "limit": region.max_containers} for region in catalog.regions
    ]
    quota = sum(region.max_containers for region in catalog.regions)
    concurrency["pools"]["default_limit"] = min(quota, concurrency["pools"]["default_limit"])
    values["run_launcher"]["config"] = {"longest_run_seconds": longest_run_seconds(catalog)}
    return values


def longest_run_seconds(catalog: Catalog) -> int:
    """What no run of the catalog takes: twice the time its slowest model may need, and ten minutes.

    A run gives up waiting by itself (`Materializer`) long before: this ends one that hangs.
    """
    slowest = max(
        model.startup_timeout_seconds + (model.retries + 1) * model.timeout_seconds
        for model in catalog.models
    )
    return 2 * slowest + 600
