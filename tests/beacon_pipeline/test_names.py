"""The names that Dagster's storage, links and people's scripts hold on to do not change by accident.

After a change that is meant: `BEACON_RENDER_NAMES=1 pytest tests/beacon_pipeline/test_names.py` writes
`names.txt` anew. An instance that is in use keeps its history under the old names.
"""

import os
from pathlib import Path

from beacon_pipeline.catalog import load_catalog
from beacon_pipeline.definitions import build_definitions

NAMES = Path(__file__).with_name("names.txt")


def names() -> str:
    """Everything in the code location of the demo catalog that has a name, by kind."""
    code = build_definitions(load_catalog("demo")).get_repository_def()
    kinds = {
        "assets": [key.to_user_string() for key in code.asset_graph.get_all_asset_keys()],
        "checks": [key.to_user_string() for key in code.asset_graph.asset_check_keys],
        "jobs": [job.name for job in code.get_all_jobs()],
        "schedules": [schedule.name for schedule in code.schedule_defs],
        "sensors": [sensor.name for sensor in code.sensor_defs],
        "resources": list(code.get_top_level_resources()),
    }
    return "\n".join("\n  ".join([f"{kind}:", *sorted(found)]) + "\n" for kind, found in kinds.items())


def test_the_names_are_those_on_record() -> None:
    if os.environ.get("BEACON_RENDER_NAMES"):
        NAMES.write_text(names(), encoding="utf-8")
    assert names() == NAMES.read_text(encoding="utf-8")
