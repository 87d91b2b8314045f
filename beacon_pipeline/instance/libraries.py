"""What the fork server of `warm_workers.py` imports before its first fork: libraries that every run needs.

Nothing of Beacon is among them, so that each run reads its code as it is at that moment; nor anything that
starts a thread or opens a connection (`test_warm_workers.py`).
"""

import gc

gc.disable()

import alembic.command  # noqa: E402, F401
import dagster._daemon.cli  # noqa: E402 - multiprocessing imports the daemon's `__main__` in each child
import dagster._grpc.client  # noqa: E402
import dagster._grpc.impl  # noqa: E402, F401
import dagster_postgres  # noqa: E402, F401
import filelock  # noqa: E402, F401
import jinja2  # noqa: E402, F401
import psutil  # noqa: E402, F401
import pydantic.dataclasses  # noqa: E402, F401
import rapidfuzz.fuzz  # noqa: E402, F401
import sqlalchemy.dialects.sqlite  # noqa: E402, F401
import structlog  # noqa: E402, F401
import tenacity  # noqa: E402, F401
import yaml  # noqa: E402, F401

# A collection in a child would write to each object, and so make a copy of it: 54 MB of memory for a run's
# process, where it would be 86.
gc.collect()
gc.freeze()
gc.enable()
