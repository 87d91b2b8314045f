"""What the fork server of `warm_workers.py` imports before its first fork: libraries that every run needs.

Nothing of Beacon is among them, so that each run reads its code as it is at that moment; nor anything that
starts a thread or opens a connection (`test_warm_workers.py`).
"""

import gc
from importlib import import_module

LIBRARIES = (
    "dagster._daemon.cli",  # multiprocessing imports the daemon's `__main__` in each child
    "dagster._grpc.client",
    "dagster._grpc.impl",
    "dagster_postgres",
    "alembic.command",
    "sqlalchemy.dialects.sqlite",
    "sqlalchemy.orm",
    "pydantic.dataclasses",
    "filelock",
    "jinja2",
    "psutil",
    "rapidfuzz.fuzz",
    "structlog",
    "tenacity",
    "yaml",
)

gc.disable()
for library in LIBRARIES:
    import_module(library)
# A collection in a child would write to each object, and so make a copy of it: 54 MB of memory for a run's
# process when it begins, where it would be 86.
gc.collect()
gc.freeze()
gc.enable()
