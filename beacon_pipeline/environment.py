"""What the environment decides: where the instance lives and which database holds the ledger."""

from __future__ import annotations

import os
import re
from pathlib import Path

import sqlalchemy as sa
from pydantic import SecretStr

from beacon_pipeline.errors import BeaconError
from dbt_like_checks.database import secrets

# Databases and targets of alerts: addresses that hold secrets.
ADDRESSES = ("BEACON_DATABASE_URL", "DAGSTER_POSTGRES_URL")
ALERT_URLS = "BEACON_ALERT_URLS"
PROVIDER = "BEACON_PROVIDER"
_NAME_OF_A_SECRET = re.compile(r"(PASSWORD|PASSWD|PASSFILE|SECRET|TOKEN|KEY)$", re.IGNORECASE)
_TARGET = re.compile(r"\w+://(?:(?P<user_part>[^\s/?]*)@)?(?P<host>[^\s/?:,]*)(?P<rest>[^\s,]*)")
_TOKEN = re.compile(r"(?=[^/:?&=]*\d)[^/:?&=]{8,}")  # a part of a path or query that is no plain word
MAX_ALERT_INTERVAL_SECONDS = 24 * 3600


class SettingsError(BeaconError, ValueError):
    """A variable of the environment that cannot be used."""


def home() -> Path:
    """The instance folder: ``DAGSTER_HOME``, or ``.beacon`` in the working directory."""
    return Path(os.environ.get("DAGSTER_HOME") or ".beacon").absolute()


def settle_home() -> Path:
    """The instance folder, and from now on ``DAGSTER_HOME`` of this process and its children: the
    ``dagster.yaml`` in it names that variable."""
    folder = home()
    os.environ["DAGSTER_HOME"] = str(folder)
    return folder


def database_url() -> str:
    """The ledger's database: ``BEACON_DATABASE_URL``, or one SQLite file in the instance folder.

    The URL may hold a password: it is never shown.
    """
    given = os.environ.get("BEACON_DATABASE_URL")
    # Rendered, so that a "?" or a "%" in the folder's name stays a part of the path.
    return given or sa.URL.create("sqlite", database=str(home() / "ledger.db")).render_as_string()


def provider_override() -> tuple[str, frozenset[str]] | None:
    """Which provider serves models instead of the catalog's, and which of them, none for all: of
    ``BEACON_PROVIDER``, ``PROVIDER`` or ``PROVIDER:MODEL,MODEL``. None where it is not set."""
    name, _, models = os.environ.get(PROVIDER, "").partition(":")
    return (name, frozenset(filter(None, models.split(",")))) if name else None


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

    Raises SettingsError with the way out when there is none.
    """
    chosen = os.environ.get("BEACON_WORKSPACE")
    path = Path(chosen) if chosen else Path(__file__).parents[1] / "workspace.yaml"
    if not path.is_file():
        raise SettingsError(f"no Dagster workspace at {path}: set BEACON_WORKSPACE to a workspace.yaml")
    return path.absolute()


def ui_url() -> str:
    """Where a person reaches the Dagster UI, for links: ``BEACON_UI_URL``, or this machine's."""
    return (os.environ.get("BEACON_UI_URL") or "http://127.0.0.1:3000").rstrip("/")


def alert_interval_seconds() -> int:
    """How often alerts look at what is wrong: ``BEACON_ALERT_INTERVAL_SECONDS``, or every 30 seconds.

    Raises SettingsError with the way out.
    """
    given = os.environ.get("BEACON_ALERT_INTERVAL_SECONDS") or "30"
    whole = re.fullmatch(r"[0-9]{1,6}", given)
    if not whole or not 0 < int(given) <= MAX_ALERT_INTERVAL_SECONDS:
        raise SettingsError(
            f"BEACON_ALERT_INTERVAL_SECONDS is {given!r:.40}: give a whole number of seconds, "
            f"1 to {MAX_ALERT_INTERVAL_SECONDS}"
        )
    return int(given)


def check_launchable() -> None:
    """Raises SettingsError where a run that is launched now could not start."""
    _check_workspace(workspace_file())
    alert_interval_seconds()


def _check_workspace(path: Path) -> None:
    from dbt_like_checks.parse.document import plain_yaml

    try:
        content = plain_yaml(path.read_text(encoding="utf-8"))
    except ValueError as error:  # of text that is not UTF-8 too
        raise SettingsError(f"{path} is no Dagster workspace, it cannot be read: {error}") from None
    if not isinstance(content, dict) or not content.get("load_from"):
        raise SettingsError(f"{path} is no Dagster workspace: it lists nothing under 'load_from'")


def masked(text: str) -> str:
    """``text`` without any secret that the environment holds, and without what is written as one."""
    return secrets.masked(text, secret_values())


def secret_values() -> frozenset[str]:
    """What must never be shown: of addresses the secret parts, of variables named like a secret all."""
    found = {
        value
        for name, value in os.environ.items()
        # A short one is a switch rather than a secret, but for a password of PostgreSQL.
        if _NAME_OF_A_SECRET.search(name) and (len(value) >= 8 or name.startswith("PG"))
    }
    for target in _TARGET.finditer(os.environ.get(ALERT_URLS, "")):
        found |= {target[0], *_secrets_of_target(target)}
    for variable in ADDRESSES:
        found |= secrets.secrets_of(os.environ.get(variable, ""))
    return frozenset(filter(None, found))


def _secrets_of_target(target: re.Match[str]) -> list[str]:
    user, colon, password = (target["user_part"] or "").partition(":")
    # What looks like a host may be a token: slack://A/B/C.
    token_or_host = [] if "." in target["host"] or target["host"] == "localhost" else [target["host"]]
    return [password if colon else user, *_TOKEN.findall("/".join([*token_or_host, target["rest"]]))]


def with_dagsters_driver(url: str) -> str:
    """The address with the driver that dagster-postgres is written for.

    SQLAlchemy 2.1 takes psycopg 3 for a plain ``postgresql://``, which refuses Dagster's NOTIFY.
    """
    return f"postgresql+psycopg2://{url.partition('://')[2]}"
