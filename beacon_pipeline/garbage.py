"""Python's search for garbage in processes that mostly hold what they have imported."""

from __future__ import annotations

import atexit
import gc
import sys

# Objects more than at the last look; Python's own is 700. What runs a model must not keep its tensors long.
OF_A_COMMAND, OF_AN_INSTANCE = 100_000, 20_000


def look_seldom(every: int) -> None:
    """Look for garbage after so many new objects at the soonest, and not once more at the end of the process.

    Python looks through all modules again and again while they are imported, and once more when it ends: half
    of the time of a short command, and a third of what a code server or a run worker takes before it works.
    """
    now, *older = gc.get_threshold()
    gc.set_threshold(max(every, now), *older)
    atexit.register(_leave_what_there_is)


def _leave_what_there_is() -> None:
    """What is frozen is left alone. DuckDB's library, where it was loaded, complains of what is left."""
    if "duckdb" not in sys.modules:
        gc.freeze()
