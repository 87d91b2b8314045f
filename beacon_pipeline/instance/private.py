"""What an instance keeps is for its owner alone: answers, and what a server's log may say."""

from __future__ import annotations

import os
from pathlib import Path

OTHERS = 0o077  # the permissions of the group and of everyone
# By name, because the folder may be one that holds other things too, as a home folder does. PostgreSQL
# looks after its own.
KEPT = (
    *("dagster.yaml", "ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.db.migrate.lock"),
    *("instance.lock", "daemon.json"),
    *("alerts.lock", "daemon.log", "code_server.log", "modal_deployments.json"),
    *("history", "schedules", "storage", "local_calls", "write_counts", "logs"),
)


def make_private(folder: Path) -> None:
    """Close to others what an older version, or a process with another umask, left open to them.

    What belongs to another user is left as it is.
    """
    for path in (folder / name for name in KEPT):
        if not path.exists():
            continue
        found = path.stat()
        if found.st_uid == os.geteuid() and found.st_mode & OTHERS:
            path.chmod(found.st_mode & 0o7777 & ~OTHERS)
