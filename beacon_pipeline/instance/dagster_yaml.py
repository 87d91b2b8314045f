"""Which of the two shipped Dagster configurations an instance folder has, and what is written into it.

`dagster.yaml` is static and the GPU quotas are the catalog's, so the file is made from both, anew at
each start. Its first line says so; who deletes that line owns the file.
"""

from __future__ import annotations

import os
import re
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.environment import with_dagsters_driver
from beacon_pipeline.errors import BeaconError
from beacon_pipeline.instance.run_queue import with_quotas

DATABASE_VARIABLE = "DAGSTER_POSTGRES_URL"
FILE = "dagster.yaml"

_SHIPPED = Path(__file__).parent
_MADE = re.compile(r"# Made by Beacon at each start from its (\w+) configuration")


class Kind(StrEnum):
    """The configurations that ship."""

    LOCAL = "local"  # SQLite
    PRODUCTION = "production"  # PostgreSQL


class InstanceError(BeaconError):
    """The instance folder and the environment do not fit together; the message says what to do."""


def kind_of_environment() -> Kind:
    """Production where the environment names a PostgreSQL for Dagster, local where it does not.

    Raises InstanceError for an address of something else. SQLAlchemy needs to know the driver that
    dagster-postgres brings along: it is set here, for this process and its children.
    """
    url = os.environ.get(DATABASE_VARIABLE)
    if not url:
        return Kind.LOCAL
    scheme, separator, _ = url.partition("://")
    if not separator or scheme.partition("+")[0] not in ("postgresql", "postgres"):
        raise InstanceError(f"{DATABASE_VARIABLE} is not an address like postgresql://user@host/database")
    os.environ[DATABASE_VARIABLE] = with_dagsters_driver(url)
    return Kind.PRODUCTION


def check_name(folder: Path, kind: Kind) -> None:
    """Raises InstanceError for a folder in which Dagster cannot keep its files because of its name."""
    # Dagster writes the path into a SQLite URL as it is, where these characters mean something else.
    odd = set("?%") & set(str(folder)) if kind is Kind.LOCAL else set()
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        odd.add("bytes that are not UTF-8")
    if odd:
        raise InstanceError(
            f"Dagster cannot keep its files in a folder with {' or '.join(sorted(odd))} in its name: "
            "choose another DAGSTER_HOME"
        )


def write_configuration(folder: Path, kind: Kind, catalog: Catalog) -> None:
    """Make the folder's `dagster.yaml`, unless someone owns it.

    Raises InstanceError when it was made for the other kind: its runs are in another database.
    """
    path = folder / FILE
    present = check_kind(folder, kind)
    if present is not None and not _MADE.match(present):
        return
    wanted = (
        f"# Made by Beacon at each start from its {kind} configuration and the catalog's GPU quotas.\n"
        "# Delete the line above to keep the file as you change it.\n"
        + yaml.safe_dump(configuration(kind, catalog), sort_keys=False)
    )
    if wanted != present:
        _replace(path, wanted)


def check_kind(folder: Path, kind: Kind) -> str | None:
    """The folder's `dagster.yaml` as it is, if there is one. Raises InstanceError when it was made for
    another kind."""
    path = folder / FILE
    try:
        present = path.read_text(encoding="utf-8") if path.exists() else None
    except UnicodeDecodeError:
        raise InstanceError(f"{path} is not UTF-8 text: repair it, or delete it") from None
    made = _MADE.match(present) if present is not None else None
    if made is not None and made.group(1) != kind:
        raise InstanceError(_other_kind(folder, made.group(1)))
    return present


def configuration(kind: Kind, catalog: Catalog) -> dict[str, Any]:
    """A shipped configuration with the catalog's quotas and limits."""
    shipped: dict[str, Any] = yaml.safe_load((_SHIPPED / f"{kind}.yaml").read_text(encoding="utf-8"))
    return with_quotas(shipped, catalog)


def _other_kind(folder: Path, made_for: str) -> str:
    way_out = (
        f"set {DATABASE_VARIABLE} to it" if made_for == Kind.PRODUCTION else f"unset {DATABASE_VARIABLE}"
    )
    where = "PostgreSQL" if made_for == Kind.PRODUCTION else "SQLite"
    return f"the instance in {folder} keeps its runs in {where}: {way_out}, or choose another DAGSTER_HOME"


def _replace(path: Path, text: str) -> None:
    # Other processes may read it at this moment: they see the old file or the new one, whole.
    made = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        made.touch(mode=0o600)
        made.write_text(text, encoding="utf-8")
        made.replace(path)
    except OSError as error:
        made.unlink(missing_ok=True)  # a full disk leaves nothing half-written behind
        raise OSError(error.errno, error.strerror, str(path)) from None
