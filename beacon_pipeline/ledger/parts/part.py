"""What every part of the ledger stands on."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime

from beacon_pipeline.ledger.database import Database


class Part:
    """Works on a database that it shares with the other parts; ``clock`` gives the moment of each change."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock


def new_id() -> str:
    return str(uuid.uuid4())
