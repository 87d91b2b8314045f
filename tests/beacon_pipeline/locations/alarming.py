"""The code location with one sensor more, that fails while there is a file called ``broken``."""

import dagster as dg

from beacon_pipeline import environment
from beacon_pipeline.definitions import build_definitions


@dg.sensor(minimum_interval_seconds=1, default_status=dg.DefaultSensorStatus.RUNNING)
def shaky(_context: dg.SensorEvaluationContext) -> dg.SkipReason:
    if (environment.home() / "broken").exists():
        raise RuntimeError("the file is there <!channel>")
    return dg.SkipReason("all is well")


@dg.definitions
def definitions() -> dg.Definitions:
    return dg.Definitions.merge(build_definitions(), dg.Definitions(sensors=[shaky]))
