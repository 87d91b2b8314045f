"""Which daemon a command has started, on whose behalf, and with which environment."""

from __future__ import annotations

import hashlib
import os
import secrets as randomness
import tempfile
import time
from collections.abc import Collection, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from beacon_pipeline import environment
from beacon_pipeline.catalog import DEFAULT, shipped_names
from beacon_pipeline.instance.processes import ProcessIdentity, this_machine, this_process

PREFIXES = ("BEACON_", "DAGSTER_POSTGRES_", "MODAL_", "HF_")
DIGEST_CHARACTERS = 8  # 32 bits: enough to see a difference, too few to find out a password by trying


class DaemonRecord(BaseModel):
    """A daemon that a command started, and the command: in ``daemon.json`` of the instance folder.

    ``environment`` has a salted digest of each variable: values may be secret.
    """

    model_config = ConfigDict(frozen=True)

    process: ProcessIdentity
    owner: ProcessIdentity
    salt: str
    environment: dict[str, str]

    @classmethod
    def of(cls, pid: int, secrets: Collection[str]) -> DaemonRecord:
        """The record of a daemon that this process has just started. ``secrets`` are more variables."""
        salt = randomness.token_hex(16)
        process = ProcessIdentity(machine=this_machine(), pid=pid, seen_at=time.time())
        digests = _digests(environment_that_matters(secrets), salt)
        return cls(process=process, owner=this_process(), salt=salt, environment=digests)

    def write(self) -> None:
        """Put it in the instance folder, readable for this user only, whole or not at all."""
        path = record_file()
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
            file.write(self.model_dump_json())
        Path(file.name).replace(path)


def record_file() -> Path:
    """Where the record of the instance's daemon is."""
    return environment.home() / "daemon.json"


def read_record() -> DaemonRecord | None:
    """The record as it is; None where no command has started a daemon, or it cannot be read."""
    try:
        return DaemonRecord.model_validate_json(record_file().read_text(encoding="utf-8"))
    except (FileNotFoundError, ValidationError):
        return None


def differing(record: DaemonRecord, secrets: Collection[str]) -> list[str]:
    """The variables that are not the same for a daemon and for this process, by name."""
    ours = _digests(environment_that_matters(secrets), record.salt)
    names = sorted({*ours, *record.environment})
    return [name for name in names if ours.get(name) != record.environment.get(name)]


def environment_that_matters(secrets: Collection[str]) -> dict[str, str]:
    """What decides what a daemon and its runs do, with defaults and relative paths spelled out."""
    found = {
        name: value
        for name, value in os.environ.items()
        if value and (name.startswith(PREFIXES) or name in secrets)
    }
    catalog = found.get("BEACON_CATALOG") or DEFAULT
    return found | {
        "BEACON_CATALOG": catalog if catalog in shipped_names() else str(Path(catalog).absolute()),
        "BEACON_DATABASE_URL": environment.database_url(),
        "BEACON_WORKSPACE": str(environment.workspace_file()),
    }


def _digests(values: Mapping[str, str], salt: str) -> dict[str, str]:
    return {
        name: hashlib.sha256(f"{salt}{value}".encode()).hexdigest()[:DIGEST_CHARACTERS]
        for name, value in values.items()
    }
