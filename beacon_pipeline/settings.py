"""What the environment decides: where the instance lives and which database holds the ledger."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import SecretStr


def home() -> Path:
    """The instance folder: ``DAGSTER_HOME``, or ``.beacon`` in the working directory."""
    return Path(os.environ.get("DAGSTER_HOME") or ".beacon").absolute()


def database_url() -> str:
    """The ledger's database: ``BEACON_DATABASE_URL``, or one SQLite file in the instance folder.

    The URL may hold a password: it is never shown.
    """
    return os.environ.get("BEACON_DATABASE_URL") or f"sqlite:///{home() / 'ledger.db'}"


def local_call_store() -> Path:
    """Where the local provider keeps its calls."""
    return home() / "local_calls"


def secret(variable: str) -> SecretStr | None:
    """The value of an environment variable that the catalog names, or None where it is not set."""
    value = os.environ.get(variable)
    return None if value is None else SecretStr(value)


def modal_manifest() -> Path:
    """Where `beacon deploy` writes what it deploys to Modal."""
    return home() / "modal_deployments.json"


def workspace_file() -> Path:
    """The Dagster workspace that names the code location: ``BEACON_WORKSPACE``, or the project's own.

    Raises FileNotFoundError with the way out when there is none.
    """
    chosen = os.environ.get("BEACON_WORKSPACE")
    path = Path(chosen) if chosen else Path(__file__).parents[1] / "workspace.yaml"
    if not path.is_file():
        raise FileNotFoundError(f"no Dagster workspace at {path}: set BEACON_WORKSPACE to a workspace.yaml")
    return path.absolute()


def ui_url() -> str:
    """Where a person reaches the Dagster UI, for links: ``BEACON_UI_URL``, or this machine's."""
    return (os.environ.get("BEACON_UI_URL") or "http://127.0.0.1:3000").rstrip("/")


def alert_interval_seconds() -> int:
    """How often alerts look at what is wrong: ``BEACON_ALERT_INTERVAL_SECONDS``, or every 30 seconds.

    Raises ValueError with the way out.
    """
    given = os.environ.get("BEACON_ALERT_INTERVAL_SECONDS") or "30"
    if not given.isascii() or not given.isdigit() or int(given) == 0:
        raise ValueError(f"BEACON_ALERT_INTERVAL_SECONDS is {given!r}: give a whole number of seconds")
    return int(given)
