"""A code location whose local provider loads no model and answers at once."""

import dagster as dg

from beacon_pipeline.definitions import build_definitions
from tests.beacon_pipeline.locations.slow import SlowProviders


@dg.definitions
def definitions() -> dg.Definitions:
    return build_definitions(providers=SlowProviders(seconds=0))
